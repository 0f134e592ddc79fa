"""From photographs to findings: the image encoder, calibrated, over one picture or thousands."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from .encoder.onnx_runtime import EncoderSession
from .errors import InputError
from .images import load_crop
from .labels import LABELS

_BATCH = 8


class EncoderPredictor:
    """Runs an exported encoder over files: decoding in threads, the network in batches."""

    def __init__(self, onnx: Path, size: int):
        self.session = EncoderSession(onnx)
        self.size = size

    def logits(self, paths: Sequence[Path]) -> list[list[float]]:
        """Return logits per picture, in order; a picture that cannot be read gets NaNs."""
        rows: list[list[float]] = []
        for _, result in self.stream(paths):
            if isinstance(result, InputError):
                rows.append([float("nan")] * len(LABELS))
            else:
                rows.append(result["logits"].tolist())
        return rows

    def stream(self, paths: Iterable[Path]) -> Iterator[tuple[Path, InputError | dict[str, Any]]]:
        """Yield each path, in order, with its outputs (logits [L], maps [L, h, w]) or its error."""
        remaining = iter(paths)
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            ahead: list[tuple[Path, Future[np.ndarray]]] = []
            while True:
                # Two batches ahead: enough to keep the network fed, little enough for any memory.
                for path in islice(remaining, 2 * _BATCH - len(ahead)):
                    ahead.append((path, pool.submit(load_crop, path, self.size)))
                if not ahead:
                    return
                batch, ahead = ahead[:_BATCH], ahead[_BATCH:]
                yield from self._run(batch)

    def _run(
        self, batch: list[tuple[Path, Future[np.ndarray]]]
    ) -> Iterator[tuple[Path, InputError | dict[str, Any]]]:
        crops: dict[int, np.ndarray] = {}
        errors: dict[int, InputError] = {}
        for index, (_, future) in enumerate(batch):
            try:
                crops[index] = future.result()
            except InputError as error:
                errors[index] = error
        if crops:
            pixels = np.stack(list(crops.values())).transpose(0, 3, 1, 2).astype(np.float32) / 255
            output = self.session.run(pixels)
        place = {index: row for row, index in enumerate(crops)}
        for index, (path, _) in enumerate(batch):
            if index in errors:
                yield path, errors[index]
            else:
                row = place[index]
                yield path, {"logits": output.logits[row], "maps": output.maps[row]}
