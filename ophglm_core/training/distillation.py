"""Knowledge distillation: an image encoder that learns from another one's answers and features.

The teacher is asked about the very crops that the student sees, and patiently (Beyer et al. 2022,
arXiv 2106.05237); its last feature map is a second, far denser target (Romero et al. 2015,
arXiv 1412.6550), which is what a network without ImageNet weights gains most from.

A long schedule would ask the teacher the same again and again, at more cost than the student's own
step: so the teacher is asked about a few augmented views of each photograph, and its answers are
kept. The student sees these views mirrored and in quarter turns, with the features turned alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..encoder.network import ImageEncoder
from .augment import resize
from .crops import open_map

#: Augmented views of each photograph that the teacher is asked about.
VIEWS = 4
_FEATURE_SHARE = 1.0


@dataclass(frozen=True)
class Answer:
    """probabilities [B, L] and features [B, C, h, w] of a teacher."""

    probabilities: Tensor
    features: Tensor

    def turned(self, quarters: int, mirrored: bool) -> Answer:
        """Return the answer about the same pictures, turned as `turn` turns them."""
        return Answer(self.probabilities, turn(self.features, quarters, mirrored))


def turn(pictures: Tensor, quarters: int, mirrored: bool) -> Tensor:
    """[B, C, H, H] turned by `quarters` of a circle and then, if asked, mirrored."""
    pictures = torch.rot90(pictures, quarters, (2, 3))
    return pictures.flip(3) if mirrored else pictures


class Teacher:
    """An encoder that answers for another to learn from. `size`: its input in pixels."""

    def __init__(self, encoder: ImageEncoder, size: int, device: torch.device):
        self.encoder = encoder.eval().to(device)
        self.encoder.to(memory_format=torch.channels_last)
        self.size, self.device = size, device
        with torch.no_grad():
            blank = torch.zeros(1, 3, size, size, device=device)
            self.places = int(self.encoder.feature_map(blank).shape[-1])

    @torch.no_grad()
    def answer(self, pixels: Tensor) -> Answer:
        """RGB [B, 3, H, W] in 0..1, of any size -> the teacher's answer."""
        pixels = resize(pixels, self.size).contiguous(memory_format=torch.channels_last)
        features = self.encoder.feature_map(pixels)
        logits = self.encoder.classifier(self.encoder.norm(features.mean(dim=(2, 3))))
        return Answer(torch.sigmoid(logits.float()), features.float())


class StoredAnswers:
    """A teacher's answers about `views` views of each of `samples` photographs, in `folder`.

    Features are kept in fp16 and averaged to at most [C, places, places]. The files are memory
    mapped: they survive a kill and stay out of memory.
    """

    def __init__(self, folder: Path, teacher: Teacher, samples: int, places: int, views: int):
        self.teacher, self.views = teacher, views
        self.places = min(places, teacher.places)
        labels = teacher.encoder.classifier.out_features
        rows = samples * views
        shape = (rows, teacher.encoder.features, self.places, self.places)
        self._features = open_map(folder / "teacher-features.f16", shape, np.float16)
        self._probabilities = open_map(folder / "teacher-answers.f32", (rows, labels), np.float32)
        self._known = open_map(folder / "teacher-known.u8", (rows,), np.uint8)

    def answer(
        self, samples: Sequence[int], view: int, pixels: Callable[[Sequence[int]], Tensor]
    ) -> Answer:
        """Return the answer about one view of some photographs.

        pixels: called with the numbers in `samples` of the photographs that the teacher was not
        asked about yet; returns that view of them, RGB [B, 3, H, W] in 0..1.
        """
        rows = np.asarray(samples) * self.views + view
        missing = [i for i, row in enumerate(rows) if not self._known[row]]
        if missing:
            fresh = self.teacher.answer(pixels([samples[i] for i in missing]))
            features = functional.adaptive_avg_pool2d(fresh.features, self.places)
            self._features[rows[missing]] = features.cpu().numpy().astype(np.float16)
            self._probabilities[rows[missing]] = fresh.probabilities.cpu().numpy()
            self._known[rows[missing]] = 1
        device = self.teacher.device
        return Answer(
            torch.from_numpy(self._probabilities[rows]).to(device),
            torch.from_numpy(self._features[rows]).to(device).float(),
        )


class Student(nn.Module):
    """An encoder, and a projection of its features to the teacher's that only training needs."""

    def __init__(self, encoder: ImageEncoder, teacher_features: int):
        super().__init__()
        self.encoder = encoder
        self.projection = nn.Conv2d(encoder.features, teacher_features, 1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """RGB [B, 3, H, W] in 0..1 -> logits [B, L], projected features [B, Ct, h, w]."""
        features = self.encoder.feature_map(pixels)
        pooled = self.encoder.norm(features.mean(dim=(2, 3)))
        logits = self.encoder.classifier(self.encoder.dropout(pooled))
        return logits, self.projection(features)


def distillation_loss(logits: Tensor, projected: Tensor, answer: Answer) -> Tensor:
    """Cross-entropy with the teacher's probabilities, and one minus the cosine between features.

    The features are compared place by place; the finer of the two maps is averaged to the coarser.
    """
    theirs, ours = answer.features, projected.float()
    places = (min(ours.shape[2], theirs.shape[2]), min(ours.shape[3], theirs.shape[3]))
    ours = functional.adaptive_avg_pool2d(ours, places)
    theirs = functional.adaptive_avg_pool2d(theirs, places)
    distance = 1 - functional.cosine_similarity(ours, theirs, dim=1).mean()
    entropy = functional.binary_cross_entropy_with_logits(logits.float(), answer.probabilities)
    return entropy + _FEATURE_SHARE * distance
