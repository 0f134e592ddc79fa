"""Spoilt copies of photographs, as a camera spoils them: to ask whether one can be judged.

Few public sets hold photographs that were turned away, and fewer say so.
"""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from PIL import Image, ImageFilter

from ..files import atomic_write
from ..images import open_photograph

#: Pixels of the longer side of a copy; an encoder sees fewer.
_SIDE = 512
_WAYS = ("blurred", "dark", "washed_out")


def spoilt_copy(photograph: Path, folder: Path, rng: random.Random) -> Path:
    """Write a copy that is out of focus, too dark or washed out; return its path in `folder`.

    A copy that is there already is taken. Raises InputError for a photograph that cannot be read,
    and OSError for a folder that cannot be written.
    """
    way = rng.choice(_WAYS)
    strength = rng.random()
    name = hashlib.sha256(str(photograph).encode(errors="surrogateescape")).hexdigest()[:16]
    copy = folder / f"{name}-{way}-{strength:.3f}.jpg"
    if copy.exists():
        return copy
    image = open_photograph(photograph, min_side=_SIDE)
    image.thumbnail((_SIDE, _SIDE))
    with atomic_write(copy) as partial:
        _spoil(image, way, strength).save(partial, "JPEG", quality=92)
    return copy


def _spoil(image: Image.Image, way: str, strength: float) -> Image.Image:
    """strength: 0, hardly to be judged, to 1, not at all."""
    if way == "blurred":
        # At 1/80 of the side veins of the second order are gone, at 1/30 the disc's edge.
        return image.filter(ImageFilter.GaussianBlur(max(image.size) / (80 - 50 * strength)))
    if way == "dark":
        return image.point(lambda value: round(value * (0.3 - 0.15 * strength)))
    # Only what is light is lifted: the surround stays black.
    gain = 2 + 2 * strength
    return image.point(lambda value: min(255, round(value * gain)) if value > 12 else value)
