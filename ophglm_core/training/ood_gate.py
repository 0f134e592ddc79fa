"""Fitting the out-of-distribution gate, and its threshold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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


def fit_gate(
    encoder: ImageEncoder, records: list[Record], size: int, pooled: np.ndarray | None = None
) -> bool:
    """Fit the encoder's gate to training photographs; return whether there were enough of them.

    pooled: their pooled features [N, C] where these are known already.
    """
    chosen = slice(None, None, max(1, len(records) // _PHOTOGRAPHS))
    if len(records[chosen]) < _FEWEST:
        return False
    if pooled is None:
        features = _features(encoder, [r.image for r in records[chosen]], size)
    else:
        with torch.no_grad():
            features = encoder.norm(torch.from_numpy(pooled[chosen]))
    encoder.gate.fit(features)
    return True


def ood_threshold(scores: np.ndarray, sources: Sequence[str]) -> float:
    """Return the OOD score from which a picture is ungradable: at most 1 % of each source's.

    scores: [N], NaN where a picture judges nothing. sources: one a picture. A source with too few
    pictures to have one in a hundred counts with the others.
    """
    small = {name for name, count in Counter(sources).items() if count < 1 / _SHARE}
    groups = np.array(["" if name in small else name for name in sources])
    quantiles = [np.nanquantile(scores[groups == name], 1 - _SHARE) for name in set(groups)]
    return round(float(max(quantiles)), 4)


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
