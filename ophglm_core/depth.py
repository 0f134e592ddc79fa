"""Pictures of more than 8 bits: brought to 8 by the bits that the camera used.

A file of 16-bit words may hold the 12 bits of a sensor; read as 16 it would be all but black.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, TiffImagePlugin

from .errors import InputError
from .files import Source, readable

#: Depths of sensors and files, in bits.
_DEPTHS = (8, 10, 12, 14, 16)


def depth_in_use(top: int) -> int:
    """Return the least usual depth, 8 to 16 bits, that holds the largest value `top`; beyond 16
    bits, the bits of `top`."""
    return next((bits for bits in _DEPTHS if top < 1 << bits), top.bit_length())


def to_eight_bits(values: np.ndarray, depth: int | None = None) -> np.ndarray:
    """Bring integers or floats of any shape to uint8 of the same shape.

    depth: of the values in bits; None takes that in use. Floats have no depth: their largest value
    becomes 255. Negative values become 0.
    """
    if values.dtype == np.uint8 and depth in (None, 8):
        return values
    if values.dtype.kind == "f":
        top = float(np.nanmax(values, initial=0.0))
        scaled = np.nan_to_num(values * (255.0 / (top or 1.0)), posinf=255.0)
        return scaled.clip(0, 255).astype(np.uint8)
    if values.dtype.kind == "i":
        values = values.clip(0, None)
    if depth is None:
        depth = depth_in_use(int(values.max(initial=0)))
    shifted = values >> (depth - 8) if depth >= 8 else values << (8 - depth)
    return shifted.clip(0, 255).astype(np.uint8)


def load_deep_colour(opened: Image.Image, path: Path, source: Source) -> Image.Image | None:
    """Decode a 16-bit RGB or RGBA file to 8 bits by the bits in use; None if it is none.

    opened: the file `path`, read from `source`, not yet loaded. Pillow has no 16-bit colour and
    keeps the upper byte of each value; where that shows that fewer bits are in use, the file is
    decoded a second time, for the lower bytes. Raises InputError where Pillow cannot do that.
    """
    order = _byte_order(opened)
    if order is None:
        return None
    _read_as(opened, order)
    opened.load()
    upper = np.asarray(opened)
    depth = depth_in_use(int(upper[..., :3].max(initial=0)) << 8 | 255)
    if depth == 16:
        return opened
    with Image.open(readable(source), formats=("PNG", "TIFF")) as again:
        if _codec(again) == "libtiff" and _planar(again):
            raise InputError(
                f"{path} holds fewer than 16 bits in compressed planes of 16, which cannot be "
                "read; export it as PNG."
            )
        _read_as(again, "L" if order == "B" else "B")
        again.load()
        lower = np.asarray(again)
    shift = depth - 8
    # Into the opened one, which knows which way is up.
    opened.paste(Image.fromarray((upper << (8 - shift)) | (lower >> shift) if shift else lower))
    return opened


def _byte_order(opened: Image.Image) -> str | None:
    """Return how the 16-bit values of a colour file lie, 'B' or 'L' end first; None if it has
    none."""
    if opened.mode not in ("RGB", "RGBA") or not getattr(opened, "tile", None):
        return None
    rawmode = _rawmode(opened)
    if isinstance(opened, TiffImagePlugin.TiffImageFile):
        bits = opened.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, ())
        if set(bits) != {16} or not (";16" in rawmode or _planar(opened)):
            return None
        if _codec(opened) == "libtiff":  # which turns values into the order of this machine
            return "L" if np.little_endian else "B"
        return "L" if opened.tag_v2.prefix == TiffImagePlugin.II else "B"
    return "B" if rawmode.endswith(";16B") else None


def _read_as(opened: Image.Image, order: str) -> None:
    """Have the values of a file taken as of this byte order: of each the first byte ('B') or the
    second ('L') is kept."""
    if _codec(opened) == "libtiff" and _planar(opened):
        return
    tiles = []
    for tile in opened.tile:  # type: ignore[attr-defined]
        arguments = tile.args
        first = arguments if isinstance(arguments, str) else arguments[0]
        # Of planes, Pillow gives the letter of the channel alone and forgets the 16 bits.
        rawmode = f"{first.split(';')[0]};16{order}"
        whole = rawmode if isinstance(arguments, str) else (rawmode, *arguments[1:])
        tiles.append(tile._replace(args=whole))
    opened.tile = tiles  # type: ignore[attr-defined]


def _rawmode(opened: Image.Image) -> str:
    arguments = opened.tile[0].args  # type: ignore[attr-defined]
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _codec(opened: Image.Image) -> str:
    return str(opened.tile[0].codec_name)  # type: ignore[attr-defined]


def _planar(opened: Image.Image) -> bool:
    return (
        isinstance(opened, TiffImagePlugin.TiffImageFile)
        and opened.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION, 1) == 2
    )
