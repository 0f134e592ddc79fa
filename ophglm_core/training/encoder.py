"""Stage 1: the image encoder on multi-label classification of fundus photographs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..data.records import Record, label_matrix
from ..encoder.network import ImageEncoder
from ..labels import DISEASES, LABELS
from ..metrics import auc_per_label, mean_defined
from .augment import augment, resize, to_pixels
from .crops import CropStore
from .distillation import Student, Teacher, distillation_loss

#: Crops are kept a little larger than the network's input, for rotation and scale to draw on.
CROP_MARGIN = 1.14
_SMOOTHING = 0.04


class EncoderStage:
    """The loss and the evaluation of the image encoder.

    train, validation: the records. size: the network's input in pixels. teacher: an encoder that
    the network learns from beside the labels, or None.
    """

    def __init__(
        self,
        encoder: ImageEncoder,
        train: list[Record],
        validation: list[Record],
        size: int,
        folder: Path,
        device: torch.device,
        teacher: Teacher | None = None,
    ):
        module = Student(encoder, teacher.encoder.features) if teacher else encoder
        self.module: nn.Module = module.to(device)
        self.module.to(memory_format=torch.channels_last)
        self.size, self.device, self.teacher = size, device, teacher
        largest = max(size, teacher.size) if teacher else size
        self.crops = CropStore(folder, [r.image for r in train], round(largest * CROP_MARGIN))
        self.validation_crops = CropStore(folder, [r.image for r in validation], size)
        self.truth = label_matrix(train)
        self.validation_truth = label_matrix(validation)
        self.positive_weight = torch.from_numpy(_positive_weights(self.truth)).to(device)
        self.usable: list[int] = list(range(len(train)))

    @property
    def samples(self) -> int:
        """Number of training photographs that could be read."""
        return len(self.usable)

    def prepare(self, progress: Callable[[int, int], None]) -> dict[Path, str]:
        """Decode all photographs; return those that cannot be read, with a sentence each."""
        total = len(self.crops.paths) + len(self.validation_crops.paths)
        first = len(self.crops.paths)
        self.crops.fill(lambda done, _: progress(done, total))
        self.validation_crops.fill(lambda done, _: progress(first + done, total))
        self.usable = [i for i in self.usable if i not in self.crops.broken]
        for index in self.validation_crops.broken:
            self.validation_truth[index] = np.nan
        broken = {self.crops.paths[i]: text for i, text in self.crops.broken.items()}
        for i, text in self.validation_crops.broken.items():
            broken[self.validation_crops.paths[i]] = text
        return broken

    def loss(
        self, model: nn.Module, indices: list[int], epoch: int, generator: torch.Generator
    ) -> Tensor:
        """Binary cross-entropy over the known labels, positives weighted by the root of rarity.

        With a teacher, its answers are learned as well, half of the time on mixed pictures.
        """
        rows = [self.usable[i] for i in indices]
        crops = self.crops.batch(rows).to(self.device)
        truth = torch.from_numpy(self.truth[rows]).to(self.device)  # [B, L], NaN: unknown
        if self.teacher is None:
            logits = model(_channels_last(augment(crops, self.size, generator)))
            return masked_loss(logits.float(), truth, self.positive_weight)
        pixels = augment(crops, max(self.size, self.teacher.size), generator)
        mixed = float(torch.rand(1, generator=generator)) < 0.5
        if mixed:  # mixup: the teacher is asked about the mixture itself, so no label is needed
            share = float(torch.rand(1, generator=generator)) * 0.5
            pixels = pixels * (1 - share) + pixels.flip(0) * share
        answer = self.teacher.answer(pixels)
        logits, projected = model(_channels_last(resize(pixels, self.size)))
        loss = distillation_loss(logits, projected, answer)
        if not mixed:
            loss = loss + 0.2 * masked_loss(logits.float(), truth, self.positive_weight)
        return loss

    def evaluate(self, module: nn.Module) -> dict[str, Any]:
        """Return the validation AUC per label and as 'score' the mean over the five diseases."""
        encoder = module.encoder if isinstance(module, Student) else module
        logits = predict_logits(encoder, self.validation_crops, self.device)
        auc = auc_per_label(self.validation_truth, logits, LABELS)
        macro = mean_defined([auc[label] for label in DISEASES])
        return {"score": 0.0 if np.isnan(macro) else macro, "auc": auc, "macro_auc": macro}


def _channels_last(pixels: Tensor) -> Tensor:
    return pixels.contiguous(memory_format=torch.channels_last)


def masked_loss(logits: Tensor, truth: Tensor, positive_weight: Tensor) -> Tensor:
    """Label-smoothed binary cross-entropy of [B, L] over the labels that are known (not NaN)."""
    known = ~torch.isnan(truth)
    target = torch.where(known, truth, 0.0) * (1 - 2 * _SMOOTHING) + _SMOOTHING
    loss = functional.binary_cross_entropy_with_logits(
        logits, target, pos_weight=positive_weight, reduction="none"
    )
    return (loss * known).sum() / known.sum().clamp_min(1)


def _positive_weights(truth: np.ndarray) -> np.ndarray:
    positive, negative = np.nansum(truth == 1, axis=0), np.nansum(truth == 0, axis=0)
    weights: np.ndarray = np.sqrt((negative + 1) / (positive + 1)).clip(0.5, 8.0)
    return weights.astype(np.float32)


@torch.no_grad()
def predict_logits(
    module: nn.Module, crops: CropStore, device: torch.device, batch: int = 32
) -> np.ndarray:
    """Logits float32 [N, L] of a store of crops that have the network's size."""
    module.eval()
    parts = [np.zeros((0, len(LABELS)), dtype=np.float32)]
    for start in range(0, len(crops.paths), batch):
        rows = range(start, min(start + batch, len(crops.paths)))
        pixels = _channels_last(to_pixels(crops.batch(rows).to(device)))
        parts.append(module(pixels).float().cpu().numpy())
    return np.concatenate(parts)
