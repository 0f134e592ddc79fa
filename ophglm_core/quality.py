"""Is a picture a gradable colour fundus photograph at all?

Rules on the disc crop that a person can check, for pictures that no encoder should be asked about:
too small, too dark, washed out, cut off, or without the colours of a retina. Each limit lies
outside of what more than 99 % of ODIR-5K's photographs show. Haze is not judged, and blur only
where the encoder sees no cataract: a dense one causes both and must still come out as one. What
these rules let pass and the encoder has not seen the like of is ungradable by its own gate
(`networks.encoder.OodGate`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from .images import SURROUND, brightest

_GRID = 56

#: Of the retina's side in pixels: with fewer, one is wider than the main veins (about 125 µm) of a
#: 45 degree photograph (about 13 mm).
LEAST_SIDE = 96
DARKEST = 22.0
MOST_WHITE = 0.5
LEAST_COVERED, LEAST_CENTRE = 0.30, 0.7
LEAST_SHARPNESS = 0.2
#: What is said of a blurred photograph that is called cataract: the encoder calls most of those so.
BLURRED = "Blurred, by a cataract or by the focus."
#: Smaller crops, or retinas with fewer pixels, hold no fine structures whose absence says anything.
_SHARP_SIDE = 192
#: Colours of a retina, as natural logarithms of the ratios of its channels.
LEAST_RED, MOST_NOT_RED = 0.0, 0.66
LEAST_SPREAD, MOST_RED_SPREAD, MOST_BLUE_SPREAD = 0.015, 0.55, 0.95


@dataclass(frozen=True)
class Quality:
    """Measures of a disc crop.

    brightness: mean of the brightest channel inside the disc, 0 to 255. white: share of the disc
    that is white. covered: share of the crop that is not black surround; centre: the same within
    0.6 of the crop's half width. red: mean of log(red / green) inside the disc; red_spread and
    blue_spread: deviations of log(red / green) and log(green / blue); not_red: share of the disc
    where green is above red. side: of the retina in the photograph, in its own pixels. sharpness:
    deviation of what is finer than 1/160 of the crop over that between 1/160 and 1/40, in green;
    infinite where the photograph is too small for it.
    """

    brightness: float
    white: float
    covered: float
    centre: float
    red: float
    red_spread: float
    blue_spread: float
    not_red: float
    side: float = float("inf")
    sharpness: float = float("inf")

    def reason(self) -> str | None:
        """Return why the picture cannot be graded, or None if it can."""
        if self.side < LEAST_SIDE:
            return f"it is too small (the retina is {self.side:.0f} pixels wide)"
        if self.brightness < DARKEST:
            return "it is too dark"
        if self.covered < LEAST_COVERED or self.centre < LEAST_CENTRE:
            return "too little of the retina is in the picture"
        if self.white > MOST_WHITE:
            return "it is washed out"
        if (
            self.red < LEAST_RED
            or self.not_red > MOST_NOT_RED
            or not LEAST_SPREAD < self.red_spread < MOST_RED_SPREAD
            or self.blue_spread > MOST_BLUE_SPREAD
        ):
            return "it does not look like a colour fundus photograph"
        return None

    @property
    def blurred(self) -> bool:
        """Whether small lesions could not be seen: for the focus, or haze before the retina."""
        return self.sharpness < LEAST_SHARPNESS


def measure(crop: np.ndarray, side: float = float("inf")) -> Quality:
    """Measure a disc crop, uint8 [H, W, 3]. side: of what it shows, in the photograph's pixels."""
    step = max(1, crop.shape[0] // _GRID)
    small = crop[::step, ::step].astype(np.float32)
    inside = brightest(small) > SURROUND
    if not inside.any():
        return Quality(float(small.max()), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, side)
    half = small.shape[0] / 2
    y, x = np.mgrid[: small.shape[0], : small.shape[1]] - half + 0.5
    # The small constant keeps noise in near-black channels from looking like colour.
    red, green, blue = (np.log(small[..., i][inside] + 4) for i in range(3))
    return Quality(
        brightness=float(brightest(small)[inside].mean()),
        white=float((small.min(axis=2)[inside] > 225).mean()),
        covered=float(inside.mean()),
        centre=float(inside[np.hypot(x, y) < 0.6 * half].mean()),
        red=float((red - green).mean()),
        red_spread=float((red - green).std()),
        blue_spread=float((green - blue).std()),
        not_red=float((red < green).mean()),
        side=side,
        sharpness=_sharpness(crop, side),
    )


def _sharpness(crop: np.ndarray, side: float) -> float:
    """See Quality.sharpness. crop: uint8 [H, W, 3]."""
    size = crop.shape[0]
    if min(size, side) < _SHARP_SIDE:
        return float("inf")
    green = Image.fromarray(np.ascontiguousarray(crop[..., 1]))
    fine = green.filter(ImageFilter.GaussianBlur(size / 160))
    # Coarse structure is the same in half of the rows and columns, for a quarter of the time.
    coarse = green.reduce(2).filter(ImageFilter.GaussianBlur(size / 40 / 2))
    # The edge of the disc is sharp in any photograph.
    disc = Image.fromarray(np.where(brightest(crop) > SURROUND, 255, 0).astype(np.uint8)).reduce(2)
    # MinFilter says the same and takes 40 times as long.
    for radius in ((size // 100, 0), (0, size // 100)):
        disc = disc.filter(ImageFilter.BoxBlur(radius)).point(lambda value: 255 * (value == 255))
    half = np.asarray(disc) > 0
    if not half.any():
        return float("inf")
    inside = half.repeat(2, axis=0).repeat(2, axis=1)[:size, :size]
    structure = _deviation(fine.reduce(2), coarse, half)
    return _deviation(green, fine, inside) / max(structure, 1e-3)


def _deviation(one: Image.Image, other: Image.Image, inside: np.ndarray) -> float:
    """Deviation of the difference of two pictures of one size, where `inside` [H, W] is true."""
    difference = np.asarray(one, np.float32) - np.asarray(other, np.float32)
    return float(difference[inside].std())
