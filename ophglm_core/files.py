"""Writing files so that they are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import InputError


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically. Raises InputError if it cannot be written."""
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}).") from None
