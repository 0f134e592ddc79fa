"""GGUF models in several files, as llama.cpp's gguf-split names them."""

from __future__ import annotations

import re
from pathlib import Path

#: How the name of a GGUF ends that is one of several parts of a model.
PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$")


def is_first(path: Path) -> bool:
    """Whether a GGUF is whole, or the first of its parts: that is the one to be loaded."""
    return not PART.search(path.name) or "-00001-of-" in path.name


def all_parts(path: Path) -> list[Path]:
    """Return all files of the model that a GGUF is a part of, or the whole of."""
    if not PART.search(path.name):
        return [path]
    return sorted(path.parent.glob(PART.sub("-*-of-*.gguf", path.name)))
