"""Is a picture a gradable colour fundus photograph at all?

Rules on the disc crop that a person can check, for pictures that no encoder should be asked about:
too dark, washed out, without colour, or without the red-orange of a retina. Haze and blur are not
judged here: a dense cataract causes both and must still come out as one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SURROUND = 18
_GRID = 64


@dataclass(frozen=True)
class QualityLimits:
    """Where a measure stops being one of a fundus photograph; set outside ODIR-5K's range."""

    darkest: float = 22.0
    most_white: float = 0.5
    least_redness: float = 0.10
    least_covered: float = 0.30


@dataclass(frozen=True)
class Quality:
    """Measures of a disc crop.

    brightness: mean of the brightest channel inside the disc, 0 to 255. redness: share of the
    disc whose channels are ordered as a retina's (red over green over blue). covered: share of the
    crop that is not black surround. white: share of the disc that is white.
    """

    brightness: float
    redness: float
    covered: float
    white: float

    def reason(self, limits: QualityLimits | None = None) -> str | None:
        """Return why the picture cannot be graded, or None if it can."""
        limits = limits or QualityLimits()
        if self.brightness < limits.darkest:
            return "it is too dark"
        if self.covered < limits.least_covered:
            return "too little of the retina is in the picture"
        if self.white > limits.most_white:
            return "it is washed out"
        if self.redness < limits.least_redness:
            return "it does not look like a colour fundus photograph"
        return None


def measure(crop: np.ndarray) -> Quality:
    """Measure a disc crop, uint8 [H, W, 3]."""
    step = max(1, crop.shape[0] // _GRID)
    small = crop[::step, ::step].astype(np.float32)
    inside = small.max(axis=2) > _SURROUND
    if not inside.any():
        return Quality(float(small.max()), 0.0, 0.0, 0.0)
    red, green, blue = (small[..., i][inside] for i in range(3))
    ordered = (red > green * 1.06) & (green >= blue * 0.85)
    return Quality(
        brightness=float(small.max(axis=2)[inside].mean()),
        redness=float(ordered.mean()),
        covered=float(inside.mean()),
        white=float((small.min(axis=2)[inside] > 225).mean()),
    )
