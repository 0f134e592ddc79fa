"""The image encoder in the local runtime: ONNX Runtime, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from ..errors import UsageError


@dataclass(frozen=True)
class EncoderOutput:
    """logits [B, L], class activation maps [B, L, h, w], features [B, C, h, w] and distances from
    the training's photographs [B], all float32."""

    logits: np.ndarray
    maps: np.ndarray
    features: np.ndarray
    distance: np.ndarray


class EncoderSession:
    """An exported encoder, ready to run. Raises UsageError if the file cannot be loaded."""

    OUTPUTS = ("logits", "maps", "features", "distance")

    def __init__(self, path: Path, threads: int = 0):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UsageError(f"{path} cannot be loaded as an ONNX model ({first}).") from None

    def run(self, pixels: np.ndarray) -> EncoderOutput:
        """Run RGB float32 [B, 3, H, W] in 0..1."""
        return EncoderOutput(*self._session.run(list(self.OUTPUTS), {"pixels": pixels}))
