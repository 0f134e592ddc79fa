"""Where the encoder looked: class activation maps laid over the photograph.

A map is the exact decomposition of a label's logit over places (Zhou et al. 2016, arXiv
1512.04150). It shows what moved the network, which is not the same as a lesion.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from .findings import Findings
from .images import SURROUND, crop_disc, open_photograph
from .labels import LABELS

#: Black through red and yellow to white: reads in grey, too.
_STOPS = np.array([[0, 0, 0], [120, 0, 40], [230, 60, 0], [255, 190, 0], [255, 255, 220]])
_SIZE = 512


def heat(values: np.ndarray, size: int = _SIZE) -> np.ndarray:
    """Scale a map [h, w] to heat [size, size] in 0..1: only what speaks for the label is hot."""
    positive = np.maximum(values.astype(np.float32), 0.0)
    # The logit's own scale: a map whose strongest place adds less than 4 stays pale.
    positive = np.clip(positive / max(4.0, float(positive.max())), 0, 1)
    picture = Image.fromarray(positive).resize((size, size), Image.Resampling.BICUBIC)
    result: np.ndarray = np.clip(np.asarray(picture), 0, 1)
    return result


def overlay(findings: Findings, label: str, size: int = _SIZE) -> Image.Image:
    """Return the disc crop of the findings' photograph with a label's map over it.

    Raises InputError if the photograph can no longer be read, ValueError without maps.
    """
    if findings.maps is None:
        raise ValueError("findings without maps; ask the classifier to keep them")
    crop = crop_disc(open_photograph(Path(findings.image), at_least=size), size)
    warmth = heat(findings.maps[LABELS.index(label)], size)
    position = np.linspace(0, 1, len(_STOPS))
    colour = np.stack([np.interp(warmth, position, _STOPS[:, c]) for c in range(3)], axis=2)
    picture = np.asarray(crop, dtype=np.float32)
    # A coarse map reaches over the edge of the retina; nothing can be seen in the surround.
    share = 0.65 * (warmth * (picture.max(axis=2) > SURROUND))[..., None]
    mixed = picture * (1 - share) + colour * share
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))
