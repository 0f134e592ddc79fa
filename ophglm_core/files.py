"""Files: read with a sentence for what is wrong, written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError


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


@contextmanager
def written_file(path: Path) -> Iterator[Path]:
    """Give a file to write, which takes the place of `path` when the block ends without an error.

    Raises OSError if it cannot.
    """
    partial = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    yield partial
    os.replace(partial, path)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically. Raises InputError if it cannot be written."""
    try:
        with written_file(path) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}).") from None
