"""Files of photographs: which they are, and how each is opened within limits of size."""

from __future__ import annotations

import io
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from . import dicom
from .archives import archive_of, member_size, read_member
from .byte_budget import ByteBudget
from .depth import load_deep_colour, to_eight_bits
from .dicom import DicomPicture, Tags
from .errors import InputError
from .file_names import printable
from .files import Source, readable
from .remote_files import MOST_UNSAID, RemotePath, read_remote, read_start, size_of

if TYPE_CHECKING:
    from pydicom import Dataset

EXTENSIONS = (
    frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".webp"})
    | frozenset({".avif", ".jp2", ".j2k", ".jpx"})
    | dicom.SUFFIXES
)
#: Pillow's readers that are asked: no format of a camera needs another program (EPS) or executes.
_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "DIB", "WEBP", "AVIF", "JPEG2000", "GIF", "PPM")
#: How pictures begin that carry no suffix: JPEG, PNG, TIFF, JPEG 2000; DICOM has its mark at 128.
_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ")
_HEAD = 132
_STARTS_AT = {4: (b"ftypavif",), 8: (b"WEBP",), 128: (b"DICM",)}

#: The largest mosaics of wide-field cameras stay below; decoded it is 400 MB.
MOST_PIXELS = 100_000_000
#: Of decoded pictures that are held at the same time, however many cores decode.
_DECODED = ByteBudget(512 << 20)
#: Of files out of archives and from afar, which are read whole.
_UNPACKED = ByteBudget(256 << 20)
# Pillow itself refuses from twice this on, also where it decodes what a file has embedded.
Image.MAX_IMAGE_PIXELS = MOST_PIXELS
# In its blocks of 16 MB the C library keeps what is freed, for each thread that ever decoded;
# blocks beyond 32 MB always go back to the system (M_MMAP_THRESHOLD in mallopt(3)).
Image.core.set_block_size(64 << 20)


@dataclass(frozen=True)
class Photograph:
    """A picture as RGB, upright. tags: what its file says besides. reduction: how many pixels of
    the file one of its pixels is wide, for a JPEG that was decoded smaller."""

    image: Image.Image
    tags: Tags = field(default_factory=Tags)
    reduction: float = 1.0


def looks_like_picture(path: Path) -> bool:
    """Whether a file is a picture by its suffix; without one, or with a number for one as in the
    UIDs that name DICOM files, by how it begins. What cannot be looked into counts as one, so that
    it is not lost without a word."""
    suffix = path.suffix.lower()
    if suffix in EXTENSIONS:
        return True
    if path.name.upper() == "DICOMDIR" or not (suffix == "" or suffix[1:].isdigit()):
        return False
    try:
        if isinstance(path, RemotePath):
            head = read_start(path, _HEAD)
        elif archive_of(path) is not None:
            head = read_member(path, at_most=_HEAD)
        elif not stat.S_ISREG(path.stat().st_mode):
            return False
        else:
            head = _head(path)
    except Exception:  # zipfile's readers raise what they happen to meet
        return True
    marks = [(at, mark) for at, found in _STARTS_AT.items() for mark in found]
    return head.startswith(_STARTS) or any(head.startswith(mark, at) for at, mark in marks)


@contextmanager
def open_file(path: Path, min_side: int | None = None) -> Iterator[Photograph]:
    """Open a file and give its photograph for the block and no longer: its decoded bytes count
    among those that all threads may hold.

    min_side: the smallest side in pixels that is needed; a JPEG is then decoded at a reduced
    scale where that suffices, which makes a 12-megapixel photograph several times faster.

    Raises InputError, with one sentence, for a file that is missing, no picture, broken, no regular
    file, or larger than MOST_PIXELS; the last before it is decoded.
    """
    with _source(path) as source, _opened(path, source) as opened:
        width, height = opened.size
        _check_size(path, width, height)
        if isinstance(opened, DicomPicture):
            held, reduction = 4 * 3 * width * height, 1.0
        else:
            if min_side is not None and opened.format == "JPEG":
                with _complaints(path):
                    opened.draft("RGB", (min_side, min_side))
            reduction = width / max(1, opened.width)
            # Decoded, and once more where it is copied.
            held = 2 * 4 * opened.width * opened.height
            if not opened.mode.startswith(("RGB", "L", "P", "1")) or opened.info.get("progressive"):
                held += 8 * width * height
        with _DECODED.hold(held):
            with _complaints(path):
                photograph = _decode(path, source, opened, reduction)
            try:
                yield photograph
            finally:  # its memory goes back before another thread may take as much
                photograph.image.close()
                if isinstance(opened, Image.Image):
                    opened.close()


def dicom_header(path: Path) -> Dataset:
    """Return the tags of a DICOM photograph. Raises InputError if it is none or cannot be read."""
    with _source(path) as source, _opened(path, source) as opened:
        if not isinstance(opened, DicomPicture):
            raise InputError(f"{path} is no DICOM file.")
        return opened.header


@contextmanager
def _source(path: Path) -> Iterator[Source]:
    """Give what is to be read: the file, or the bytes of one in an archive or from afar."""
    if isinstance(path, RemotePath):
        size = size_of(path)
        with _UNPACKED.hold(MOST_UNSAID if size is None else size):
            yield read_remote(path)
        return
    if archive_of(path) is None:
        _check_regular(path)
        yield path
        return
    with _UNPACKED.hold(member_size(path)):
        with _complaints(path):
            unpacked = read_member(path)
        yield unpacked


def _head(source: Source) -> bytes:
    if isinstance(source, bytes):
        return source[:_HEAD]
    with source.open("rb") as stream:
        return stream.read(_HEAD)


def _check_regular(path: Path) -> None:
    with _complaints(path):
        mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise InputError(f"{path} is a folder; name one photograph.")
    if not stat.S_ISREG(mode):  # to open a pipe would wait for ever
        raise InputError(f"{path} is a pipe or a device; name a file.")


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise InputError(
            f"{path} has {width} x {height} pixels, more than {MOST_PIXELS // 10**6} megapixels; "
            "export it smaller."
        )


@contextmanager
def _opened(path: Path, source: Source) -> Iterator[Image.Image | DicomPicture]:
    with _complaints(path):
        head = _head(source)
        named = path.suffix.lower() in dicom.SUFFIXES
        if head[128:] == b"DICM" or (named and not head.startswith(_STARTS)):
            opened: Image.Image | DicomPicture = DicomPicture(path, source)
        else:
            opened = _open_with_pillow(source, head)
    if isinstance(opened, DicomPicture):
        yield opened
    else:
        with opened:
            yield opened


def _open_with_pillow(source: Source, head: bytes) -> Image.Image:
    # Some cameras' servers send a JPEG with the blank line of its mail or web header before it.
    if head[:1] in b"\r\n" and head.lstrip(b"\r\n").startswith(b"\xff\xd8\xff"):
        whole = source if isinstance(source, bytes) else source.read_bytes()
        return Image.open(io.BytesIO(whole.lstrip(b"\r\n")), formats=_FORMATS)
    return Image.open(readable(source), formats=_FORMATS)


def _decode(
    path: Path, source: Source, opened: Image.Image | DicomPicture, reduction: float
) -> Photograph:
    if isinstance(opened, DicomPicture):
        return Photograph(opened.decode(), opened.tags())
    image = load_deep_colour(opened, path, source) or opened
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(to_eight_bits(np.asarray(image)))
    # A copy would double what a large picture takes.
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    return Photograph(rgb, reduction=reduction)


@contextmanager
def _complaints(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong in a file into an InputError of one sentence."""
    try:
        # Pillow warns of damaged EXIF and TIFF tags; the picture itself decides what we say.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"No such file: {path}.") from None
    except PermissionError:
        raise InputError(f"{path} cannot be read; check its permissions.") from None
    except UnidentifiedImageError:
        raise InputError(
            f"{path} is not a picture that can be read (JPEG, PNG, TIFF, BMP, WebP, AVIF, "
            "JPEG 2000 or DICOM)."
        ) from None
    except Image.DecompressionBombError:
        raise InputError(
            f"{path} has more than {MOST_PIXELS // 10**6} megapixels; export it smaller."
        ) from None
    except MemoryError:
        raise InputError(f"{path} does not fit into memory; export it smaller.") from None
    except Exception as error:
        # On damaged files each of Pillow's and pydicom's readers raises what it happens to meet.
        reason = printable(" ".join(str(error).split())).rstrip(".") or type(error).__name__
        raise InputError(f"{path} is a broken picture ({reason}); export it again.") from None
