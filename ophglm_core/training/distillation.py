"""Knowledge distillation: an image encoder that learns from another one's answers and features.

The teacher is asked about the very crops that the student sees, and patiently (Beyer et al. 2022,
arXiv 2106.05237). Its feature maps, inside the network as at its end, are far denser targets than
its answers (Romero et al. 2015, arXiv 1412.6550): a network without ImageNet weights learns each of
its stages from them, at every patch of every picture.

A long schedule would ask the teacher the same again and again, at more cost than the student's own
step: so the teacher is asked about a few augmented views of each photograph, and its answers are
kept. The student sees these views mirrored and in quarter turns, with the features turned alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..networks.encoder import ImageEncoder
from .augmentation import resize
from .caches import open_map

#: Augmented views of each photograph that the teacher is asked about.
VIEWS = 2
#: Pixels a patch stands for in the maps inside the networks that are compared.
STRIDES = (8, 16)
#: The finest grid that maps are compared on: finer ones hold noise and fill the disk.
_FINEST = 14
#: Of the last map, in ConvNeXt as in EfficientNet.
_LAST_STRIDE = 32


@dataclass(frozen=True)
class Answer:
    """probabilities [B, L] of a teacher, and its feature maps [B, C, h, w]: inside at STRIDES, then
    the last."""

    probabilities: Tensor
    maps: tuple[Tensor, ...]

    def turned(self, quarters: int, mirrored: bool) -> Answer:
        """Return the answer about the same pictures, turned as `turn` turns them."""
        turned = tuple(turn(m, quarters, mirrored) for m in self.maps)
        return Answer(self.probabilities, turned)


def turn(pictures: Tensor, quarters: int, mirrored: bool) -> Tensor:
    """[B, C, H, H] turned by `quarters` of a circle and then, if asked, mirrored."""
    pictures = torch.rot90(pictures, quarters, (2, 3))
    return pictures.flip(3) if mirrored else pictures


class Teacher:
    """An encoder that answers for another to learn from.

    size: its input in pixels. outputs: the numbers of those of its outputs that the other has, in
    the other's order; None is all.
    """

    def __init__(
        self,
        encoder: ImageEncoder,
        size: int,
        device: torch.device,
        outputs: Sequence[int] | None = None,
    ):
        self.outputs = list(range(encoder.classifier.out_features) if outputs is None else outputs)
        self.encoder = encoder.eval().to(device)
        self.encoder.to(memory_format=torch.channels_last)
        self.size, self.device = size, device
        self.widths = [*encoder.hint_widths(STRIDES), encoder.classifier.in_features]

    @torch.no_grad()
    def answer(self, pixels: Tensor) -> Answer:
        """RGB [B, 3, H, W] in 0..1, of any size -> the teacher's answer."""
        pixels = resize(pixels, self.size).contiguous(memory_format=torch.channels_last)
        features, inside = self.encoder.hints(pixels, STRIDES)
        logits = self.encoder.classifier(self.encoder.norm(features.mean(dim=(2, 3))))
        maps = tuple(m.float() for m in (*inside, features))
        return Answer(torch.sigmoid(logits[:, self.outputs].float()), maps)


class StoredAnswers:
    """A teacher's answers about `views` views of each of `samples` photographs, in `folder`.

    size: the student's input in pixels; maps are kept on its grids, or coarser, in fp16. The files
    are memory mapped: they survive a kill and stay out of memory.
    """

    def __init__(self, folder: Path, teacher: Teacher, samples: int, size: int, views: int):
        self.teacher, self.views = teacher, views
        count = samples * views
        self._maps = []
        for stride, width in zip((*STRIDES, _LAST_STRIDE), teacher.widths, strict=True):
            patches = min(math.ceil(min(size, teacher.size) / stride), _FINEST)
            path = folder / f"teacher-maps-{stride}.f16"
            self._maps.append(open_map(path, (count, width, patches, patches), np.float16))
        self._probabilities = open_map(
            folder / "teacher-answers.f32", (count, len(teacher.outputs)), np.float32
        )
        self._known = open_map(folder / "teacher-known.u8", (count,), np.uint8)

    def answer(
        self, samples: Sequence[int], view: int, pixels: Callable[[Sequence[int]], Tensor]
    ) -> Answer:
        """Return the answer about one view of some photographs.

        pixels: called with the numbers in `samples` of the photographs that the teacher was not
        asked about yet; returns that view of them, RGB [B, 3, H, W] in 0..1.
        """
        indices = np.asarray(samples) * self.views + view
        missing = [i for i, index in enumerate(indices) if not self._known[index]]
        if missing:
            fresh = self.teacher.answer(pixels([samples[i] for i in missing]))
            for held, fine in zip(self._maps, fresh.maps, strict=True):
                coarse = functional.adaptive_avg_pool2d(fine, held.shape[-1])
                held[indices[missing]] = coarse.cpu().numpy().astype(np.float16)
            self._probabilities[indices[missing]] = fresh.probabilities.cpu().numpy()
            self._known[indices[missing]] = 1
        device = self.teacher.device
        return Answer(
            torch.from_numpy(self._probabilities[indices]).to(device),
            tuple(torch.from_numpy(held[indices]).to(device).float() for held in self._maps),
        )


class Student(nn.Module):
    """An encoder, and projections of its maps to its teacher's that only training needs.

    widths: of the teacher's maps, inside at STRIDES and the last.
    """

    def __init__(self, encoder: ImageEncoder, widths: list[int]):
        super().__init__()
        self.encoder = encoder
        own = [*encoder.hint_widths(STRIDES), encoder.classifier.in_features]
        self.projections = nn.ModuleList(
            nn.Conv2d(a, b, 1) for a, b in zip(own, widths, strict=True)
        )

    def forward(self, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """RGB [B, 3, H, W] in 0..1 -> logits [B, L], and maps as the teacher's [B, Ct, h, w]."""
        features, inside = self.encoder.hints(pixels, STRIDES)
        pooled = self.encoder.norm(features.mean(dim=(2, 3)))
        logits = self.encoder.classifier(self.encoder.dropout(pooled))
        maps = [p(m) for p, m in zip(self.projections, (*inside, features), strict=True)]
        return logits, maps


def distillation_loss(logits: Tensor, maps: list[Tensor], answer: Answer) -> Tensor:
    """Cross-entropy with the teacher's probabilities, and one minus the cosine between maps.

    The maps are compared patch by patch, the finer averaged to the coarser, both without the
    teacher's mean over the batch, which says nothing of a picture.
    """
    distances = []
    for ours, theirs in zip(maps, answer.maps, strict=True):
        patches = min(ours.shape[-1], theirs.shape[-1])
        ours, theirs = (functional.adaptive_avg_pool2d(m.float(), patches) for m in (ours, theirs))
        usual = theirs.mean(dim=(0, 2, 3), keepdim=True)  # [1, C, 1, 1]
        alike = functional.cosine_similarity(ours - usual, theirs - usual, dim=1)
        distances.append(1 - alike.mean())
    entropy = functional.binary_cross_entropy_with_logits(logits.float(), answer.probabilities)
    return entropy + torch.stack(distances).sum()
