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


def load_session(path: Path) -> onnxruntime.InferenceSession:
    """Load an ONNX file for the CPU. Raises UsageError if it is none."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # Matrices kept as int8 are to be computed with in fp32, as torch does.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{path} cannot be loaded as an ONNX model ({first}).") from None


class EncoderSession:
    """An exported encoder, ready to run. Raises UsageError if the file cannot be loaded."""

    OUTPUTS = ("logits", "maps", "features", "distance")

    def __init__(self, path: Path):
        self._session = load_session(path)

    def run(self, pixels: np.ndarray) -> EncoderOutput:
        """Run RGB float32 [B, 3, H, W] in 0..1."""
        return EncoderOutput(*self._session.run(list(self.OUTPUTS), {"pixels": pixels}))
