"""The fusion module in the local runtime: ONNX Runtime, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..encoder.onnx_runtime import load_session


@dataclass(frozen=True)
class Fused:
    """rows [K, H] for the language model and logits of its head (see network.Fusion), float32."""

    rows: np.ndarray
    logits: np.ndarray


class FusionSession:
    """An exported fusion module. Raises UsageError if the file cannot be loaded."""

    INPUTS = ("images", "text", "text_mask", "shown")

    def __init__(self, path: Path):
        self._session = load_session(path)

    def run(self, images: np.ndarray, text: np.ndarray) -> Fused:
        """Fuse feature maps [M, C, h, w] of one or two photographs with a question [1, T, D]."""
        tokens = images.reshape(*images.shape[:2], -1).transpose(0, 2, 1)[None]  # [1, M, P, C]
        masks = (np.ones(text.shape[:2], np.float32), np.ones((1, len(images)), np.float32))
        inputs = (np.ascontiguousarray(tokens, np.float32), text, *masks)
        rows, logits = self._session.run(None, dict(zip(self.INPUTS, inputs, strict=True)))
        return Fused(rows[0], logits[0])
