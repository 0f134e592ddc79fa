"""Files: read with a sentence for what is wrong, written whole or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError
from .remote_files import RemotePath

#: What a file's content is read from: the file, or the content itself.
Source = Path | bytes


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, with or without a byte order mark.

    Raises InputError if it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file in UTF-8.") from None


def readable(source: Source) -> Path | io.BytesIO:
    """Return what readers take that want a path or a stream."""
    return io.BytesIO(source) if isinstance(source, bytes) else source


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a file to write, which takes the place of `path` when the block ends without an error
    and is removed when it does not.

    Raises OSError if it cannot.
    """
    partial = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically. Raises InputError if it cannot be written."""
    with _named_if_it_fails(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically. Raises InputError if it cannot be written."""
    with _named_if_it_fails(path) as partial:
        partial.write_bytes(content)


@contextmanager
def _named_if_it_fails(path: Path) -> Iterator[Path]:
    try:
        with atomic_write(path) as partial:
            yield partial
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}).") from None


@contextmanager
def atomic_directory(target: Path) -> Iterator[Path]:
    """Give a temporary folder beside `target` that takes its place when the block ends well.

    What `target` held and the block did not write again is kept, so that a later stage adds its
    part to the folder of an earlier one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        partial.chmod(0o755)
        if target.is_dir():
            shutil.copytree(target, partial, dirs_exist_ok=True)
        yield partial
        if target.exists():
            old = partial.with_name(partial.name + "-old")
            os.replace(target, old)
            os.replace(partial, target)
            shutil.rmtree(old)
        else:
            os.replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class FileKeys:
    """Names files so that two paths to one file get one key: relative or absolute, or through a
    linked folder. A link to a file is a file of its own. An address is its own key."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def of(self, path: Path) -> str:
        """Return a file's key: its absolute path, with links to folders resolved."""
        if isinstance(path, RemotePath):
            return path.address
        folder, name = os.path.split(path)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder or os.curdir)
        return os.path.join(self._folders[folder], name)
