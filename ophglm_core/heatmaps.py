"""Where the encoder looked: class activation maps laid over the photograph.

A map decomposes a label's logit over patches (Zhou et al. 2016, arXiv 1512.04150), at twice the
network's resolution. It shows what moved the network, which is not the same as a lesion; how often
its strongest point lies in one is measured by `evaluation.pointing`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from .conditions import LabelSet
from .findings import Findings
from .images import SURROUND, brightest, load_crop

#: Black through red and yellow to white: reads in grey, too.
_STOPS = np.array([[0, 0, 0], [120, 0, 40], [230, 60, 0], [255, 190, 0], [255, 255, 220]])
_POSITIONS = np.linspace(0, 1, len(_STOPS))
#: What is marked must be seen through its mark.
OPACITY = 0.55
_SIZE = 512


def heat(values: np.ndarray, size: int = _SIZE) -> np.ndarray:
    """Scale a map [h, w] to heat [size, size] in 0..1: only what speaks for the label is hot."""
    positive = np.maximum(values.astype(np.float32), 0.0)
    # The logit's own scale: a map whose strongest patch adds less than 4 stays pale.
    positive = np.clip(positive / max(4.0, float(positive.max())), 0, 1)
    picture = Image.fromarray(positive).resize((size, size), Image.Resampling.BICUBIC)
    result: np.ndarray = np.clip(np.asarray(picture), 0, 1)
    return result


def strongest_point(values: np.ndarray) -> tuple[float, float]:
    """Return where a map [h, w] is strongest: x and y as fractions of its width and height."""
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    return (float(column) + 0.5) / values.shape[1], (float(row) + 0.5) / values.shape[0]


def with_legend(picture: Image.Image, text: str) -> Image.Image:
    """Return an overlay with a strip below it: what it is of, and the colours from weak to strong.

    text: in the letters of Pillow's own font (Latin).
    """
    size, strip = picture.width, 30
    result = Image.new("RGB", (size, picture.height + strip))
    result.paste(picture)
    scale = np.linspace(0, 1, size // 4)
    colours = np.stack([np.interp(scale, _POSITIONS, _STOPS[:, c]) for c in range(3)], axis=1)
    bar = np.repeat(colours[None].astype(np.uint8), 10, axis=0)
    x, y = size - size // 4 - 44, picture.height
    result.paste(Image.fromarray(bar), (x, y + 10))
    draw = ImageDraw.Draw(result)
    draw.text((6, y + 9), text, fill="white")
    draw.text((x - 30, y + 9), "weak", fill="white")
    draw.text((size - 40, y + 9), "strong", fill="white")
    return result


def overlay(findings: Findings, labels: LabelSet, label: str, size: int = _SIZE) -> Image.Image:
    """Return the disc crop of the findings' photograph with a label's map over it.

    labels: the model's. Raises InputError if the photograph can no longer be read, ValueError
    without maps.
    """
    crop, colour, share = _crop_and_heat(findings, labels, label, size)
    share = OPACITY * share[..., None]
    mixed = crop * (1 - share) + colour * share
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))


def heat_layer(findings: Findings, labels: LabelSet, label: str, size: int = _SIZE) -> Image.Image:
    """Return a label's map alone as RGBA, to be laid over the disc crop; at an opacity of OPACITY
    this gives what `overlay` returns.

    Raises as `overlay` does.
    """
    _, colour, share = _crop_and_heat(findings, labels, label, size)
    pixels = np.concatenate([colour, 255 * share[..., None]], axis=2)
    return Image.fromarray(pixels.round().astype(np.uint8))


def _crop_and_heat(
    findings: Findings, labels: LabelSet, label: str, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the disc crop and the heat's colour, float [size, size, 3], and how much of the latter
    there is, float [size, size] in 0..1."""
    if findings.cams is None:
        raise ValueError("findings without class activation maps; ask the classifier to keep them")
    picture = Path(findings.image) if findings.picture is None else findings.picture
    crop = load_crop(picture, size)
    warmth = heat(findings.cams[labels.index(label)], size)
    colour = np.stack([np.interp(warmth, _POSITIONS, _STOPS[:, c]) for c in range(3)], axis=2)
    pixels = crop.astype(np.float32)
    # A coarse map reaches over the edge of the retina; nothing can be seen in the surround.
    return pixels, colour, warmth * (brightest(pixels) > SURROUND)
