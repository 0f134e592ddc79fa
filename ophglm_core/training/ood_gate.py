"""Fitting the out-of-distribution gate, and its threshold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data.records import Record
from ..errors import InputError
from ..images import load_crop
from ..networks.encoder import ImageEncoder
from .augmentation import to_pixels

#: Photographs that the gate is fitted to: more change nothing, and from fewer it cannot be fitted.
_PHOTOGRAPHS, _FEWEST = 3000, 1000
#: The share of the photographs that the threshold is set on which the gate finds ungradable.
_SHARE = 0.01


def fit_gate(encoder: ImageEncoder, records: list[Record], size: int) -> bool:
    """Fit the encoder's gate to training photographs; return whether there were enough of them."""
    chosen = records[:: max(1, len(records) // _PHOTOGRAPHS)]
    if len(chosen) < _FEWEST:
        return False
    encoder.gate.fit(_features(encoder, [r.image for r in chosen], size))
    return True


def ood_threshold(scores: np.ndarray) -> float:
    """Return the OOD score [N] from which a picture is ungradable; NaN judges nothing."""
    return round(float(np.nanquantile(scores, 1 - _SHARE)), 4)


@torch.no_grad()
def _features(encoder: ImageEncoder, paths: list[Path], size: int, batch_size: int = 32) -> Tensor:
    """Pooled, normed features [N, C] of the photographs that can be read."""
    encoder.eval()
    pooled = []
    for start in range(0, len(paths), batch_size):
        crops = []
        for path in paths[start : start + batch_size]:
            try:
                crops.append(torch.from_numpy(load_crop(path, size).copy()))
            except InputError:
                continue
        if crops:
            features = encoder.feature_map(to_pixels(torch.stack(crops))).mean(dim=(2, 3))
            pooled.append(encoder.norm(features))
    return torch.cat(pooled)
