"""The frozen encoder's feature maps of a set of photographs, computed once and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..encoder.onnx_runtime import EncoderSession
from ..errors import InputError
from ..images import load_crop
from ..modelfolder import ModelFolder
from .crops import open_map

_BATCH = 16


class ImageTokens:
    """Image tokens fp16 [N, P, C] of the photographs `paths`, in a memory-mapped file.

    They come from the exported encoder, as a conversation's do.
    """

    def __init__(self, folder: Path, model: ModelFolder, paths: Sequence[str]):
        self.model, self.size = model, model.manifest.encoder.input_size
        self.paths = list(dict.fromkeys(paths))
        self.row = {path: row for row, path in enumerate(self.paths)}
        self._session = EncoderSession(model.encoder_onnx)
        blank = np.zeros((1, 3, self.size, self.size), np.float32)
        features = self._session.run(blank).features  # [1, C, h, w]
        self.width, self.places = features.shape[1], features.shape[2] * features.shape[3]
        listing = "\n".join([model.manifest.encoder.sha256, *self.paths])
        stem = hashlib.sha256(listing.encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        shape = (len(self.paths), self.places, self.width)
        self._tokens = open_map(folder / f"tokens-{stem}.f16", shape, np.float16)
        self._known = open_map(folder / f"tokens-{stem}.known", (len(self.paths),), np.uint8)

    def fill(self, progress: Callable[[int, int], None]) -> dict[str, str]:
        """Compute what is not there yet; return the unreadable pictures, with a sentence each."""
        todo = [row for row in range(len(self.paths)) if not self._known[row]]
        done, broken = len(self.paths) - len(todo), {}

        def load(row: int) -> np.ndarray | InputError:
            try:
                return load_crop(Path(self.paths[row]), self.size)
            except InputError as error:
                return error

        with ThreadPoolExecutor() as pool:
            for start in range(0, len(todo), _BATCH):
                rows = todo[start : start + _BATCH]
                crops: dict[int, np.ndarray] = {}
                for row, crop in zip(rows, pool.map(load, rows), strict=True):
                    if isinstance(crop, InputError):
                        broken[self.paths[row]] = str(crop)
                    else:
                        crops[row] = crop
                if crops:
                    pixels = np.stack(list(crops.values())).transpose(0, 3, 1, 2)
                    maps = self._session.run(pixels.astype(np.float32) / 255).features
                    index = list(crops)
                    self._tokens[index] = maps.reshape(*maps.shape[:2], -1).transpose(0, 2, 1)
                    self._known[index] = 1
                done += len(rows)
                progress(done, len(self.paths))
        return broken

    def batch(self, images: Sequence[tuple[str, ...]]) -> tuple[Tensor, Tensor]:
        """Return tokens float32 [B, M, P, C] and which photographs are shown, float32 [B, M]."""
        most = max(len(paths) for paths in images)
        tokens = np.zeros((len(images), most, self.places, self.width), np.float32)
        shown = np.zeros((len(images), most), np.float32)
        for i, paths in enumerate(images):
            for j, path in enumerate(paths):
                tokens[i, j], shown[i, j] = self._tokens[self.row[path]], 1
        return torch.from_numpy(tokens), torch.from_numpy(shown)
