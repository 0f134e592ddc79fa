"""Open fundus photographs and bring them into the form that the image encoder reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from .dicom import Tags
from .errors import InputError
from .picture_files import Photograph, open_file

#: What can be classified: a file, or a picture in memory (PIL, or uint8 [H, W, 3] or [H, W]).
Picture = Path | Image.Image | np.ndarray

#: Up to this brightness (0 to 255, brightest channel) a pixel belongs to the black surround.
SURROUND = 18
_PROBE = 256
#: From this brightness on (0 to 255, darkest channel) a pixel is a page's white.
_PAPER = 225


@dataclass(frozen=True)
class Disc:
    """The retina's disc (field of view) in a photograph: its bounding box in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def side(self) -> float:
        """The side of the square around it."""
        return max(self.right - self.left, self.bottom - self.top)


@dataclass(frozen=True)
class DiscCrop:
    """The square around the retina's disc. pixels: uint8 [size, size, 3]. side: of that square in
    the photograph's own pixels. tags: what the file says besides."""

    pixels: np.ndarray
    side: float
    tags: Tags


@contextmanager
def opened_photograph(picture: Picture, min_side: int | None = None) -> Iterator[Photograph]:
    """Give a picture for the block, and no longer, as RGB, upright by its EXIF orientation.

    min_side: the smallest side in pixels that is needed. Raises InputError for a file that cannot
    be read, and for an array that is not uint8 [H, W, 3] or [H, W].
    """
    if isinstance(picture, Path):
        with open_file(picture, min_side) as photograph:
            yield photograph
        return
    if isinstance(picture, np.ndarray):
        picture = _from_array(picture)
    upright = ImageOps.exif_transpose(picture) or picture
    yield Photograph(upright.convert("RGB"))


def open_photograph(picture: Picture, min_side: int | None = None) -> Image.Image:
    """Return a picture as RGB, upright. Raises as `opened_photograph` does."""
    with opened_photograph(picture, min_side) as photograph:
        return photograph.image.copy()


def _from_array(values: np.ndarray) -> Image.Image:
    if values.dtype != np.uint8 or values.ndim not in (2, 3) or 0 in values.shape:
        raise InputError(
            f"An array of {values.dtype} {list(values.shape)} is no photograph; give uint8 "
            "[height, width, 3]."
        )
    if values.ndim == 3 and values.shape[2] not in (3, 4):
        raise InputError(
            f"An array of {list(values.shape)} is no photograph; give [height, width, 3]."
        )
    return Image.fromarray(values)


def brightest(pixels: np.ndarray) -> np.ndarray:
    """Return the brightest channel of each pixel: [H, W, 3] -> [H, W]."""
    # NumPy's max over an axis of three takes twenty times as long.
    result: np.ndarray = np.maximum(np.maximum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])
    return result


def find_disc(image: Image.Image) -> Disc:
    """Find the retina's disc: the box around what is brighter than the black surround.

    A picture without a surround, or one that is all dark, gives the whole frame.
    """
    return _find_disc(image, _probe(image))


def _find_disc(image: Image.Image, small: np.ndarray) -> Disc:
    """See find_disc. small: the picture's probe, uint8 [h, w, 3]."""
    width, height = image.size
    # A mask without steps: the disc lies at the same place however coarsely the file was decoded.
    found = _filled_box(np.clip(brightest(small) / SURROUND - 0.5, 0, 1))
    if found is None:
        return Disc(0, 0, width, height)
    left, top, right, bottom = found
    x, y = width / small.shape[1], height / small.shape[0]
    return Disc(left * x, top * y, right * x, bottom * y)


def _probe(image: Image.Image) -> np.ndarray:
    """Return a picture made small, uint8 [h, w, 3]."""
    scale = min(1.0, _PROBE / max(image.size))
    width, height = (max(1, round(side * scale)) for side in image.size)
    # A box that is no whole number of pixels would shift edges by up to half of one.
    return np.asarray(image.resize((width, height), Image.Resampling.HAMMING, reducing_gap=2.0))


def _filled_box(mask: np.ndarray) -> tuple[float, float, float, float] | None:
    """Return the box around what a mask [h, w] in 0..1 has, left, top, right, bottom, in its pixels
    and their fractions; None if that is next to nothing."""
    # A time stamp or a speck in the surround fills few pixels of its row; the disc fills many.
    across, down = _extent(mask.sum(axis=0)), _extent(mask.sum(axis=1))
    if across is None or down is None:
        return None
    return across[0], down[0], across[1], down[1]


def _extent(filled: np.ndarray) -> tuple[float, float] | None:
    """Return where what fills the rows or columns [n] of a mask begins and ends; None if that is
    next to nothing."""
    enough = 0.06 * filled.max()
    found = np.flatnonzero(filled > enough)
    if found.size < 0.2 * filled.size:
        return None

    def beyond(last: int, next_one: int) -> float:
        """How far past the middle of the last row the crossing lies, in rows."""
        return float((filled[last] - enough) / (filled[last] - filled[next_one]))

    first, last = int(found[0]), int(found[-1])
    begin = first + 0.5 - beyond(first, first - 1) if first else 0.0
    end = last + 0.5 + beyond(last, last + 1) if last + 1 < filled.size else float(filled.size)
    return begin, end


def _without_page(image: Image.Image) -> tuple[Image.Image, Disc]:
    """Blacken the white page that a photograph lies on, and find the retina's disc; without a page,
    return the same picture."""
    small = _probe(image)
    paper = np.minimum(np.minimum(small[..., 0], small[..., 1]), small[..., 2]) > _PAPER
    edge = np.concatenate([paper[0], paper[-1], paper[1:-1, 0], paper[1:-1, -1]])
    # Photographs end in black or in retina; haze does not whiten nine tenths of all four edges.
    if edge.mean() < 0.9 or _filled_box(~paper) is None:
        return image, _find_disc(image, small)
    # What is white within the photograph is no page: only what joins the margin is.
    white = np.pad(np.where(paper, 255, 0).astype(np.uint8), 1, constant_values=255)
    margin = Image.fromarray(white).copy()  # which can be painted on
    ImageDraw.floodfill(margin, (0, 0), 128)
    page = margin.point(lambda value: 255 * (value == 128))
    # Its last pixels mix page and photograph.
    page = page.filter(ImageFilter.MaxFilter(3)).crop((1, 1, margin.width - 1, margin.height - 1))
    image = image.copy()
    image.paste((0, 0, 0), mask=page.resize(image.size))
    return image, find_disc(image)


def _square(disc: Disc) -> tuple[float, float, float, float]:
    x, y, half = (disc.left + disc.right) / 2, (disc.top + disc.bottom) / 2, disc.side / 2
    return x - half, y - half, x + half, y + half


def disc_square(image: Image.Image) -> tuple[float, float, float, float]:
    """Return the square around the retina's disc in pixels: left, top, right, bottom.

    It reaches beyond the picture where the camera cut the disc off.
    """
    return _square(_without_page(image)[1])


def _crop(image: Image.Image, size: int) -> tuple[Image.Image, float]:
    """Return the square around the retina's disc as `size` x `size` pixels, and its side in the
    image's own."""
    image, disc = _without_page(image)
    left, top, right, bottom = _square(disc)
    held = max(left, 0), max(top, 0), min(right, image.width), min(bottom, image.height)
    scale = size / disc.side
    # Only what the picture holds is resized: the square of a long strip would not fit into memory.
    x, y = round((held[0] - left) * scale), round((held[1] - top) * scale)
    width = max(1, round((held[2] - left) * scale) - x)
    height = max(1, round((held[3] - top) * scale) - y)
    part = image.resize((width, height), Image.Resampling.BICUBIC, held, reducing_gap=3.0)
    if part.size == (size, size):
        return part, disc.side
    crop = Image.new("RGB", (size, size))
    crop.paste(part, (x, y))
    return crop, disc.side


def load_disc(picture: Picture, size: int) -> DiscCrop:
    """Open a picture and return the square around the retina's disc as `size` x `size` pixels.

    The disc keeps its shape: what the camera cut off is filled with black, and a white page around
    the photograph becomes black. Raises InputError.
    """
    for min_side in (size, 2 * size):
        with opened_photograph(picture, min_side) as photograph:
            crop, side = _crop(photograph.image, size)
            found = DiscCrop(np.asarray(crop), side * photograph.reduction, photograph.tags)
        # A small disc in a large frame: decoded once more, with twice the pixels.
        if side >= size or photograph.reduction == 1:
            break
    return found


def load_crop(picture: Picture, size: int) -> np.ndarray:
    """Open a picture and return its disc crop, uint8 [size, size, 3]. Raises InputError."""
    return load_disc(picture, size).pixels


def crop_disc(picture: Picture, size: int) -> Image.Image:
    """Open a picture and return its disc crop as an RGB picture of `size` x `size` pixels. Raises
    InputError."""
    return Image.fromarray(load_crop(picture, size))
