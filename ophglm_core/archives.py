"""Photographs in zip files, each named by a path that goes through its archive: `a.zip/b/c.jpg`.

Nothing is unpacked to the disk.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo

from .errors import InputError
from .remote_files import RemotePath

SUFFIX = ".zip"
#: The largest member that is read, in bytes: no photograph's file is larger.
MOST_BYTES = 1 << 30


def is_archive(path: Path) -> bool:
    """Whether a path names a zip file, by its suffix."""
    return path.suffix.lower() == SUFFIX and path.is_file()


def archive_of(path: Path) -> Path | None:
    """Return the zip file that a path goes through, or None."""
    if isinstance(path, RemotePath) or SUFFIX + os.sep not in str(path).lower():
        return None
    return next((parent for parent in path.parents if is_archive(parent)), None)


def members(archive: Path) -> list[Path]:
    """Return the paths of the files in a zip file, sorted. Raises InputError if it is none."""
    return sorted(archive / name for name in _opened(archive).files)


def read_member(path: Path, at_most: int = MOST_BYTES) -> bytes:
    """Return a member's bytes, the first of them where it has more than `at_most`.

    Raises InputError if it is not there or not readable without a password; zipfile's and zlib's
    own errors if it is broken.
    """
    opened, info = _member(path)
    if info.flag_bits & 1:
        raise InputError(f"{path} is locked with a password; unpack it.")
    with opened.zip.open(info) as stream:
        return stream.read(min(at_most, info.file_size))


def member_size(path: Path) -> int:
    """Return how large a member says to be when unpacked, in bytes, which `read_member` never
    exceeds. Raises InputError if it is not there or larger than MOST_BYTES."""
    size = _member(path)[1].file_size
    if size > MOST_BYTES:
        raise InputError(f"{path} is larger than {MOST_BYTES >> 30} GB when unpacked.")
    return size


def member_state(path: Path) -> list[int]:
    """Return a member's size in bytes and CRC-32, by which it is known to be the same. Raises
    InputError if it is not there."""
    info = _member(path)[1]
    return [info.file_size, info.CRC]


class _Archive:
    def __init__(self, path: Path):
        self.zip = ZipFile(path)
        self.files: dict[str, ZipInfo] = {}
        for info in self.zip.infolist():
            # No name leads out of the archive: neither from the root nor by the folder above.
            parts = [p for p in info.filename.split("/") if p not in ("", os.curdir, os.pardir)]
            if parts and not info.is_dir():
                self.files.setdefault("/".join(parts), info)


@lru_cache(maxsize=4)
def _kept_open(path: str, changed: int, size: int) -> _Archive:
    # An archive of a hundred thousand pictures takes a second to list.
    return _Archive(Path(path))


def _opened(archive: Path) -> _Archive:
    try:
        found = archive.stat()
        return _kept_open(os.path.abspath(archive), found.st_mtime_ns, found.st_size)
    except (BadZipFile, NotImplementedError, ValueError):
        raise InputError(f"{archive} is no zip file that can be read.") from None
    except OSError as error:
        raise InputError(f"{archive} cannot be read ({error.strerror}).") from None


def _member(path: Path) -> tuple[_Archive, ZipInfo]:
    archive = archive_of(path)
    if archive is not None:
        opened = _opened(archive)
        if info := opened.files.get(path.relative_to(archive).as_posix()):
            return opened, info
    raise InputError(f"No such file: {path}.")
