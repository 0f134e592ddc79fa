"""Knowledge distillation: an image encoder that learns from another one's answers and features.

The teacher is asked about the very crops that the student sees, mixtures included, and patiently
(Beyer et al. 2022, arXiv 2106.05237); its last feature map is a second, far denser target (Romero
et al. 2015, arXiv 1412.6550), which is what a network without ImageNet weights gains most from.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..encoder.network import ImageEncoder
from .augment import resize

_FEATURE_SHARE = 1.0


@dataclass(frozen=True)
class Answer:
    """probabilities [B, L] and features [B, C, h, w] of a teacher."""

    probabilities: Tensor
    features: Tensor


class Teacher:
    """An encoder that answers for another to learn from. `size`: its input in pixels."""

    def __init__(self, encoder: ImageEncoder, size: int, device: torch.device):
        self.encoder = encoder.eval().to(device)
        self.encoder.to(memory_format=torch.channels_last)
        self.size = size

    @torch.no_grad()
    def answer(self, pixels: Tensor) -> Answer:
        """RGB [B, 3, H, W] in 0..1, of any size -> the teacher's answer."""
        pixels = resize(pixels, self.size).contiguous(memory_format=torch.channels_last)
        features = self.encoder.feature_map(pixels)
        logits = self.encoder.classifier(self.encoder.norm(features.mean(dim=(2, 3))))
        return Answer(torch.sigmoid(logits.float()), features.float())


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
