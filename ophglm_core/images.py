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
from .picture_files import MOST_PIXELS, Photograph, open_file

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
    found = _filled_box(brightest(small) > SURROUND)
    if found is None:
        return Disc(0, 0, width, height)
    left, top, right, bottom = found
    x, y = width / small.shape[1], height / small.shape[0]
    return Disc(left * x, top * y, right * x, bottom * y)


def _probe(image: Image.Image) -> np.ndarray:
    """Return a picture made small, uint8 [h, w, 3]."""
    scale = min(1.0, _PROBE / max(image.size))
    width, height = (max(1, round(side * scale)) for side in image.size)
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


def _filled_box(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """Return the box around what a mask [h, w] has: left, top, right, bottom, the latter two past
    its end; None if that is next to nothing."""
    # A time stamp or a speck in the surround fills few pixels of its row; the disc fills many.
    across, down = mask.sum(axis=0), mask.sum(axis=1)
    columns = np.flatnonzero(across > 0.06 * across.max())
    rows = np.flatnonzero(down > 0.06 * down.max())
    if columns.size < 0.2 * mask.shape[1] or rows.size < 0.2 * mask.shape[0]:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


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


def _square(disc: Disc) -> tuple[int, int, int, int]:
    x, y = (disc.left + disc.right) / 2, (disc.top + disc.bottom) / 2
    left, top = round(x - disc.side / 2), round(y - disc.side / 2)
    return left, top, left + round(disc.side), top + round(disc.side)


def disc_square(image: Image.Image) -> tuple[int, int, int, int]:
    """Return the square around the retina's disc in pixels: left, top, right, bottom.

    It reaches beyond the picture where the camera cut the disc off.
    """
    return _square(_without_page(image)[1])


def crop_disc(image: Image.Image, size: int) -> Image.Image:
    """Return the square around the retina's disc as an RGB picture of `size` x `size` pixels.

    The disc keeps its shape: what the camera cut off is filled with black, and a white page around
    the photograph becomes black.
    """
    return _crop(image, size)[0]


def _crop(image: Image.Image, size: int) -> tuple[Image.Image, float]:
    """Return `crop_disc`'s picture and the side of its square in the image's pixels."""
    image, disc = _without_page(image)
    if disc.side**2 > MOST_PIXELS:
        # The square of a long strip has many times its pixels, which do not fit into memory.
        scale = 4 * size / disc.side
        smaller = image.resize(
            (max(1, round(image.width * scale)), max(1, round(image.height * scale))),
            Image.Resampling.BOX,
        )
        return crop_disc(smaller, size), disc.side
    square = image.crop(_square(disc))
    return square.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=3.0), disc.side


def load_disc(picture: Picture, size: int) -> DiscCrop:
    """Open a picture and return its disc crop of `size` x `size` pixels. Raises InputError."""
    with opened_photograph(picture, min_side=2 * size) as photograph:
        crop, side = _crop(photograph.image, size)
        return DiscCrop(np.asarray(crop), side * photograph.reduction, photograph.tags)


def load_crop(picture: Picture, size: int) -> np.ndarray:
    """Open a picture and return its disc crop, uint8 [size, size, 3]. Raises InputError."""
    return load_disc(picture, size).pixels
