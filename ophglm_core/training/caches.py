"""Disc crops of a whole set, decoded once and kept in a memory-mapped file.

Decoding and cropping a photograph costs more than a training step on it; the file also survives
a kill, so that a resumed training starts at once, and stays out of memory where a set is large.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..images import load_crop


class CropStore:
    """uint8 disc crops [N, size, size, 3] of the photographs `paths`, in that order."""

    def __init__(self, folder: Path, paths: Sequence[Path], size: int):
        listing = "\n".join(str(p.resolve()) for p in paths) + f"\n{size}"
        stem = hashlib.sha256(listing.encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        self.paths = list(paths)
        self.size = size
        self.broken: dict[int, str] = {}
        shape = (len(self.paths), size, size, 3)
        self._crops = open_map(folder / f"crops-{stem}.u8", shape)
        self._state = open_map(folder / f"crops-{stem}.state", (len(self.paths),))

    def fill(self, progress: Callable[[int, int], None]) -> None:
        """Decode what is not there yet; `progress(done, total)` is called as it goes.

        Pictures that cannot be read are kept in `broken` (index -> sentence).
        """
        todo = [i for i in range(len(self.paths)) if self._state[i] == 0]
        done = len(self.paths) - len(todo)

        def decode(index: int) -> tuple[int, np.ndarray | None, str]:
            try:
                return index, load_crop(self.paths[index], self.size), ""
            except InputError as error:
                return index, None, str(error)

        with ThreadPoolExecutor() as pool:
            for index, crop, message in pool.map(decode, todo):
                if crop is None:
                    self.broken[index] = message
                else:
                    self._crops[index] = crop
                    self._state[index] = 1
                done += 1
                progress(done, len(self.paths))

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Return crops as uint8 [B, size, size, 3]."""
        return torch.from_numpy(self._crops[np.asarray(indices)])


def open_map(path: Path, shape: tuple[int, ...], dtype: type = np.uint8) -> np.memmap:
    """Open a memory-mapped array; one that has not this size is made anew, filled with zeros."""
    expected = int(np.prod(shape)) * np.dtype(dtype).itemsize
    mode = "r+" if path.is_file() and path.stat().st_size == expected else "w+"
    return np.memmap(path, dtype=dtype, mode=mode, shape=shape)  # type: ignore[call-overload]
