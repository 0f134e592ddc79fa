"""Disc crops and image tokens of a whole set, computed once and kept in memory-mapped files.

Decoding and cropping a photograph costs more than a training step on it; the files also survive
a kill, so that a resumed training starts at once, and stay out of memory where a set is large.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..images import load_crop
from ..model_folder import ModelFolder
from ..runtime.onnx import EncoderSession

_BATCH_SIZE = 16


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


class ImageTokens:
    """Image tokens fp16 [N, P, C] of the photographs `paths`, in a memory-mapped file.

    They come from the exported encoder, as a conversation's do.
    """

    def __init__(self, folder: Path, model: ModelFolder, paths: Sequence[str]):
        self.model, self.size = model, model.manifest.encoder.input_size
        self.paths = list(dict.fromkeys(paths))
        self._index = {path: index for index, path in enumerate(self.paths)}
        self._session = EncoderSession(model.encoder_onnx)
        blank = np.zeros((1, 3, self.size, self.size), np.float32)
        features = self._session.run(blank).features  # [1, C, h, w]
        self.width, self.patches = features.shape[1], features.shape[2] * features.shape[3]
        listing = "\n".join([model.manifest.encoder.sha256, *self.paths])
        stem = hashlib.sha256(listing.encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        shape = (len(self.paths), self.patches, self.width)
        self._tokens = open_map(folder / f"tokens-{stem}.f16", shape, np.float16)
        self._known = open_map(folder / f"tokens-{stem}.known", (len(self.paths),), np.uint8)

    def fill(self, progress: Callable[[int, int], None]) -> dict[str, str]:
        """Compute what is not there yet; return the unreadable pictures, with a sentence each."""
        todo = [i for i in range(len(self.paths)) if not self._known[i]]
        done, broken = len(self.paths) - len(todo), {}

        def load(index: int) -> np.ndarray | InputError:
            try:
                return load_crop(Path(self.paths[index]), self.size)
            except InputError as error:
                return error

        with ThreadPoolExecutor() as pool:
            for start in range(0, len(todo), _BATCH_SIZE):
                part = todo[start : start + _BATCH_SIZE]
                crops: dict[int, np.ndarray] = {}
                for number, crop in zip(part, pool.map(load, part), strict=True):
                    if isinstance(crop, InputError):
                        broken[self.paths[number]] = str(crop)
                    else:
                        crops[number] = crop
                if crops:
                    pixels = np.stack(list(crops.values())).transpose(0, 3, 1, 2)
                    features = self._session.run(pixels.astype(np.float32) / 255).features
                    tokens = features.reshape(*features.shape[:2], -1).transpose(0, 2, 1)
                    self._tokens[list(crops)] = tokens
                    self._known[list(crops)] = 1
                done += len(part)
                progress(done, len(self.paths))
        return broken

    def pooled(self, paths: Sequence[str]) -> np.ndarray:
        """Return the mean over the patches of some photographs, float32 [N, C]."""
        rows = [self._tokens[self._index[path]].mean(axis=0, dtype=np.float32) for path in paths]
        return np.stack(rows)

    def batch(self, images: Sequence[tuple[str, ...]]) -> tuple[Tensor, Tensor]:
        """Return tokens float32 [B, M, P, C] and which photographs are shown, float32 [B, M]."""
        most = max(len(paths) for paths in images)
        tokens = np.zeros((len(images), most, self.patches, self.width), np.float32)
        shown = np.zeros((len(images), most), np.float32)
        for i, paths in enumerate(images):
            for j, path in enumerate(paths):
                tokens[i, j], shown[i, j] = self._tokens[self._index[path]], 1
        return torch.from_numpy(tokens), torch.from_numpy(shown)


def open_map(path: Path, shape: tuple[int, ...], dtype: type = np.uint8) -> np.memmap:
    """Open a memory-mapped array; one that has not this size is replaced by one of zeros.

    Raises OSError if the disk has no room for it: a file with holes would end the process by a
    signal once they are filled.
    """
    expected = int(np.prod(shape)) * np.dtype(dtype).itemsize
    mode = "r+" if path.is_file() and path.stat().st_size == expected else "w+"
    if mode == "w+" and expected and hasattr(os, "posix_fallocate"):
        try:
            with path.open("wb") as stream:
                os.posix_fallocate(stream.fileno(), 0, expected)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        mode = "r+"
    return np.memmap(path, dtype=dtype, mode=mode, shape=shape)  # type: ignore[call-overload]
