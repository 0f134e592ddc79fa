"""Stage 1: the image encoder on multi-label classification of fundus photographs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from .augment import DRAWS, augment, draws_of, resize, to_pixels
from .crops import CropStore
from .distillation import VIEWS, StoredAnswers, Student, Teacher, distillation_loss, turn
from .loop import random_order

#: Crops are kept a little larger than the network's input, for rotation and scale to draw on.
CROP_MARGIN = 1.14
_SMOOTHING = 0.04
_LABEL_SHARE = 0.2


@dataclass(frozen=True)
class FirstEpochs:
    """The first `epochs` see photographs of `size` pixels."""

    size: int
    epochs: int


class EncoderStage:
    """The loss and the evaluation of the image encoder.

    train, validation: the records. size: the network's input in pixels. first: the input of the
    first epochs, and how many they are, or None: low resolution first costs a fraction. teacher: an
    encoder that the network learns from beside the labels, or None.
    """

    def __init__(
        self,
        encoder: ImageEncoder,
        train: list[Record],
        validation: list[Record],
        size: int,
        folder: Path,
        device: torch.device,
        first: FirstEpochs | None = None,
        teacher: Teacher | None = None,
    ):
        module = Student(encoder, teacher.widths) if teacher else encoder
        self.module: nn.Module = module.to(device)
        self.module.to(memory_format=torch.channels_last)
        self.size, self.first, self.device, self.teacher = size, first, device, teacher
        largest = max(size, teacher.size) if teacher else size
        self.crops = CropStore(folder, [r.image for r in train], round(largest * CROP_MARGIN))
        self.validation_crops = CropStore(folder, [r.image for r in validation], size)
        self.truth = label_matrix(train)
        self.validation_truth = label_matrix(validation)
        self.positive_weight = torch.from_numpy(_positive_weights(self.truth)).to(device)
        self.usable: list[int] = list(range(len(train)))
        self.answers: StoredAnswers | None = None
        if teacher is not None:
            self.answers = StoredAnswers(folder, teacher, len(train), size, VIEWS)

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

    def order(self, seed: int, epoch: int, batch: int) -> list[int]:
        """Return a random order of the photographs."""
        return random_order(self.samples, seed, epoch)

    def loss(
        self, model: nn.Module, indices: list[int], epoch: int, generator: torch.Generator
    ) -> Tensor:
        """Binary cross-entropy over the known labels, positives weighted by the root of rarity.

        With a teacher, its answers are learned as well.
        """
        rows = [self.usable[i] for i in indices]
        truth = torch.from_numpy(self.truth[rows]).to(self.device)  # [B, L], NaN: unknown
        size = self.size_at(epoch)
        if self.teacher is None or self.answers is None:
            draws = torch.rand(len(rows), DRAWS, generator=generator)
            crops = self.crops.batch(rows).to(self.device)
            logits = model(_channels_last(augment(crops, size, draws)))
            return masked_loss(logits.float(), truth, self.positive_weight)
        view, largest = epoch % VIEWS, max(self.size, self.teacher.size)

        def seen(some: Sequence[int], pixels: int) -> Tensor:
            draws = draws_of(row * VIEWS + view for row in some)
            return augment(self.crops.batch(some).to(self.device), pixels, draws)

        answer = self.answers.answer(rows, view, lambda some: seen(some, largest))
        quarters, mirrored = torch.randint(0, 4, (2,), generator=generator).tolist()
        answer = answer.turned(quarters, mirrored > 1)
        pixels = turn(resize(seen(rows, self.size), size), quarters, mirrored > 1)
        logits, maps = model(_channels_last(pixels))
        loss = distillation_loss(logits, maps, answer)
        return loss + _LABEL_SHARE * masked_loss(logits.float(), truth, self.positive_weight)

    def size_at(self, epoch: int) -> int:
        """Return the input size in pixels of an epoch, counted from 0."""
        return self.first.size if self.first and epoch < self.first.epochs else self.size

    def evaluate(self, module: nn.Module, epoch: int) -> dict[str, Any]:
        """Return the validation AUC per label and as 'score' the mean over the five diseases.

        While the resolution is low the score only grows, so that neither the early stop nor the
        choice of the best epoch falls into that part.
        """
        encoder = module.encoder if isinstance(module, Student) else module
        size = self.size_at(epoch)
        logits = predict_logits(encoder, self.validation_crops, size, self.device)
        auc = auc_per_label(self.validation_truth, logits, LABELS)
        macro = mean_defined([auc[label] for label in DISEASES])
        score = 0.0 if np.isnan(macro) else macro
        return {
            "score": score if size == self.size else epoch - 1e6,
            "auc": auc,
            "macro_auc": macro,
        }


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
    module: nn.Module, crops: CropStore, size: int, device: torch.device, batch: int = 32
) -> np.ndarray:
    """Logits float32 [N, L] of a store of crops, seen at `size` pixels."""
    module.eval()
    parts = [np.zeros((0, len(LABELS)), dtype=np.float32)]
    for start in range(0, len(crops.paths), batch):
        rows = range(start, min(start + batch, len(crops.paths)))
        pixels = _channels_last(resize(to_pixels(crops.batch(rows).to(device)), size))
        parts.append(module(pixels).float().cpu().numpy())
    return np.concatenate(parts)
