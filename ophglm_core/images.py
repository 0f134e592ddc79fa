"""Open fundus photographs and bring them into the form that the image encoder reads."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import InputError

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})
#: What can be classified: a file, or a picture in memory (PIL, or uint8 [H, W, 3] or [H, W]).
Picture = Path | Image.Image | np.ndarray

# A photograph of 300 megapixels is no fundus camera's; past it Pillow's bomb check refuses.
Image.MAX_IMAGE_PIXELS = 300_000_000
#: Up to this brightness (0 to 255, brightest channel) a pixel belongs to the black surround.
SURROUND = 18
_PROBE = 256


@dataclass(frozen=True)
class Disc:
    """The retina's disc (field of view) in a photograph: its bounding box in pixels."""

    left: float
    top: float
    right: float
    bottom: float


def find_images(folder: Path) -> Iterator[Path]:
    """Yield the pictures below `folder`, recursively and sorted.

    Links to folders are followed, each folder once; hidden files and folders are passed over.
    """
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in EXTENSIONS:
                yield Path(place, name)


def open_photograph(picture: Picture, min_side: int | None = None) -> Image.Image:
    """Open a picture as RGB, upright by its EXIF orientation.

    A picture in memory is converted. Raises InputError if an array is not uint8 [H, W, 3] or
    [H, W].
    """
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or 0 in picture.shape:
            raise InputError(
                f"An array of {picture.dtype} {list(picture.shape)} is no photograph; give uint8 "
                "[height, width, 3]."
            )
        if picture.ndim == 3 and picture.shape[2] not in (3, 4):
            raise InputError(
                f"An array of {list(picture.shape)} is no photograph; give [height, width, 3]."
            )
        picture = Image.fromarray(picture)
    if isinstance(picture, Image.Image):
        return (ImageOps.exif_transpose(picture) or picture).convert("RGB")
    return _open_file(picture, min_side)


def _open_file(path: Path, min_side: int | None) -> Image.Image:
    """Open a file as RGB, upright.

    min_side: the smallest side in pixels that is needed; a JPEG is then decoded at a reduced
    scale where that suffices, which makes a 12-megapixel photograph several times faster.

    Raises InputError, with one sentence, for a file that is missing, no picture, or broken.
    """
    try:
        # Pillow warns of damaged EXIF and TIFF tags; the picture itself decides what we say.
        with warnings.catch_warnings(), Image.open(path) as opened:
            warnings.simplefilter("ignore")
            if min_side is not None and opened.format == "JPEG":
                opened.draft("RGB", (min_side, min_side))
            opened.load()
            wide = opened.mode.startswith("I") or opened.mode == "F"
            image = _to_eight_bits(opened) if wide else opened
            upright = ImageOps.exif_transpose(image) or image
            return upright.convert("RGB")
    except FileNotFoundError:
        raise InputError(f"No such file: {path}.") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; name one photograph.") from None
    except PermissionError:
        raise InputError(f"{path} cannot be read; check its permissions.") from None
    except UnidentifiedImageError:
        raise InputError(
            f"{path} is not a picture that can be read (JPEG, PNG, TIFF, BMP or WebP)."
        ) from None
    except Image.DecompressionBombError:
        raise InputError(f"{path} is larger than 300 megapixels; export it smaller.") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(
            f"{path} is a broken picture ({str(error).rstrip('.')}); export it again."
        ) from None


def _to_eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image, dtype=np.float32)
    top = float(values.max(initial=0.0))
    # 16-bit files of 12-bit cameras fill only part of the range.
    return Image.fromarray((values * (255.0 / max(top, 1.0))).clip(0, 255).astype(np.uint8))


def find_disc(image: Image.Image) -> Disc:
    """Find the retina's disc: the box around what is brighter than the black surround.

    A picture without a surround, or one that is all dark, gives the whole frame.
    """
    width, height = image.size
    scale = min(1.0, _PROBE / max(width, height))
    small = image.resize(
        (max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BOX
    )
    bright = np.asarray(small).max(axis=2) > SURROUND
    # A time stamp or a speck in the surround fills few pixels of its row; the disc fills many.
    across, down = bright.sum(axis=0), bright.sum(axis=1)
    columns = np.flatnonzero(across > 0.06 * across.max())
    rows = np.flatnonzero(down > 0.06 * down.max())
    if columns.size < 0.2 * small.width or rows.size < 0.2 * small.height:
        return Disc(0, 0, width, height)
    x, y = width / small.width, height / small.height
    return Disc(columns[0] * x, rows[0] * y, (columns[-1] + 1) * x, (rows[-1] + 1) * y)


def crop_disc(image: Image.Image, size: int) -> Image.Image:
    """Return the square around the retina's disc as an RGB picture of `size` x `size` pixels.

    The disc keeps its shape: what the camera cut off is filled with black.
    """
    disc = find_disc(image)
    side = max(disc.right - disc.left, disc.bottom - disc.top)
    x, y = (disc.left + disc.right) / 2, (disc.top + disc.bottom) / 2
    left, top = round(x - side / 2), round(y - side / 2)
    box = (left, top, left + round(side), top + round(side))
    return image.crop(box).resize((size, size), Image.Resampling.BICUBIC, reducing_gap=3.0)


def load_crop(picture: Picture, size: int) -> np.ndarray:
    """Open a picture and return its disc crop, uint8 [size, size, 3]. Raises InputError."""
    return np.asarray(crop_disc(open_photograph(picture, min_side=2 * size), size))
