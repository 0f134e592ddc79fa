"""What the builders of fitted files share: the written lines that they read, and the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ..files import atomic_write


def read_lines(name: str) -> Any:
    """Return the values of a JSON file in this package."""
    return json.loads((resources.files(__package__) / name).read_text(encoding="utf-8"))


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to an .npz file, whole or not at all."""
    with atomic_write(path) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)
