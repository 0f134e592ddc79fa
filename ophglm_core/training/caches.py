"""Disc crops of a whole set, and what an encoder gives of them, computed once and kept in
memory-mapped files.

Decoding and cropping a photograph costs more than a training step on it; the files also survive
a kill, so that a resumed training starts at once, and stay out of memory where a set is large.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..images import load_crop
from ..model_folder import ModelFolder
from ..networks.encoder import ImageEncoder
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


class _Computed(ABC):
    """What an encoder gives of each of the photographs `paths`, in a memory-mapped file.

    size: pixels at which they are read. identity: what else the values depend on.
    """

    def __init__(
        self, folder: Path, paths: Sequence[str], size: int, identity: str, shape: tuple[int, ...]
    ):
        self.paths = list(dict.fromkeys(paths))
        self.size = size
        self._index = {path: index for index, path in enumerate(self.paths)}
        stem = hashlib.sha256("\n".join([identity, *self.paths]).encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        name, rows = type(self).__name__, (len(self.paths), *shape)
        self._values = open_map(folder / f"{name}-{stem}.f16", rows, np.float16)
        self._known = open_map(folder / f"{name}-{stem}.known", (len(self.paths),), np.uint8)

    @abstractmethod
    def _compute(self, pixels: np.ndarray) -> np.ndarray:
        """RGB float32 [B, 3, H, W] in 0..1 -> values [B, ...]."""

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
                    self._values[list(crops)] = self._compute(pixels.astype(np.float32) / 255)
                    self._known[list(crops)] = 1
                done += len(part)
                progress(done, len(self.paths))
        return broken


class PooledFeatures(_Computed):
    """Pooled features of photographs by an encoder in eval mode.

    identity: of the encoder's weights. size: its input in pixels.
    """

    def __init__(
        self, folder: Path, encoder: ImageEncoder, identity: str, paths: Sequence[str], size: int
    ):
        super().__init__(folder, paths, size, identity, (encoder.classifier.in_features,))
        self._encoder = encoder.eval()

    @torch.no_grad()
    def _compute(self, pixels: np.ndarray) -> np.ndarray:
        device = self._encoder.mean.device
        maps = self._encoder.feature_map(torch.from_numpy(pixels).to(device))
        pooled: np.ndarray = maps.mean(dim=(2, 3)).cpu().numpy()
        return pooled

    def rows(self, paths: Sequence[str]) -> np.ndarray:
        """Return those of some photographs, float32 [N, C]; 0 of one that cannot be read."""
        return self._values[[self._index[path] for path in paths]].astype(np.float32)


class ImageTokens(_Computed):
    """Image tokens [P, C] of photographs.

    They come from the exported encoder, as a conversation's do.
    """

    def __init__(self, folder: Path, model: ModelFolder, paths: Sequence[str]):
        info = model.manifest.encoder
        self._session = EncoderSession(model.encoder_onnx)
        blank = np.zeros((1, 3, info.input_size, info.input_size), np.float32)
        self.patches, self.width = self._compute(blank).shape[1:]
        super().__init__(folder, paths, info.input_size, info.sha256, (self.patches, self.width))

    def _compute(self, pixels: np.ndarray) -> np.ndarray:
        features = self._session.run(pixels).features  # [B, C, h, w]
        return features.reshape(*features.shape[:2], -1).transpose(0, 2, 1)

    def batch(self, images: Sequence[tuple[str, ...]]) -> tuple[Tensor, Tensor]:
        """Return tokens float32 [B, M, P, C] and which photographs are shown, float32 [B, M]."""
        most = max(len(paths) for paths in images)
        tokens = np.zeros((len(images), most, self.patches, self.width), np.float32)
        shown = np.zeros((len(images), most), np.float32)
        for i, paths in enumerate(images):
            for j, path in enumerate(paths):
                tokens[i, j], shown[i, j] = self._values[self._index[path]], 1
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
