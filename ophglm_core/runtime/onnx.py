"""The exported networks in ONNX Runtime: image encoder, text encoder, fusion module."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UsageError

# From version 1.29 ONNX Runtime tells its makers what it runs, under an identifier that it keeps on
# the disk. Nothing may leave a clinic unasked. Read when the library loads.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

#: A question longer than this many tokens is cut; none of the built ones comes near.
TEXT_MAX_LENGTH = 64

#: In fp32 as on the processor: TF32 has ten bits, and a probability near its threshold would turn
#: with the machine that it was computed on.
_CUDA = ("CUDAExecutionProvider", {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"})
_CPU: tuple[str, dict[str, str]] = ("CPUExecutionProvider", {})


def load_session(
    path: Path, threads: int | None = None, card: bool = False
) -> onnxruntime.InferenceSession:
    """Load an ONNX file. threads: to compute with; None takes all processors. card: whether it
    goes to a CUDA card, where there is one that the installed ONNX Runtime can use. Raises
    UsageError if it is none."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 4
    # Threads that wait actively take the processors from those that decode, and from others.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Matrices kept as int8 are to be computed with in fp32, as torch does.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        with_card = card and _CUDA[0] in onnxruntime.get_available_providers()
        providers = [_CUDA, _CPU] if with_card else [_CPU]
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{path} cannot be loaded as an ONNX model ({first}).") from None


@dataclass(frozen=True)
class EncoderOutput:
    """logits [B, L], class activation maps [B, L, h, w], features [B, C, h, w] and OOD scores [B],
    all float32."""

    logits: np.ndarray
    cams: np.ndarray
    features: np.ndarray
    ood_score: np.ndarray


class EncoderSession:
    """An exported image encoder, on a CUDA card where ONNX Runtime has one. threads: see
    `load_session`. Raises UsageError if the file cannot be loaded."""

    OUTPUTS = ("logits", "cams", "features", "ood_score")

    def __init__(self, path: Path, threads: int | None = None):
        self._session = load_session(path, threads, card=True)

    @property
    def device(self) -> str:
        """What it computes on: 'CUDA' or 'CPU'."""
        return "CUDA" if _CUDA[0] in self._session.get_providers() else "CPU"

    def run(self, pixels: np.ndarray) -> EncoderOutput:
        """Run RGB float32 [B, 3, H, W] in 0..1."""
        # By their order: folders of format 1 have other names for them.
        return EncoderOutput(*self._session.run(None, {"pixels": pixels}))


class TextEncoderSession:
    """An exported text encoder. Raises UsageError if a file cannot be loaded."""

    INPUTS = ("ids", "mask")

    def __init__(self, onnx: Path, tokenizer: Path):
        from tokenizers import Tokenizer

        self._session = load_session(onnx)
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(TEXT_MAX_LENGTH)
        unknown = getattr(self._tokenizer.model, "unk_token", None)
        self._unknown = self._tokenizer.token_to_id(unknown) if unknown else None

    def run(self, question: str) -> np.ndarray:
        """Return a question's vectors, float32 [1, T, D]."""
        encoding = self._tokenizer.encode(question)
        ids = np.array([encoding.ids], dtype=np.int64)
        inputs = dict(zip(self.INPUTS, (ids, np.ones_like(ids)), strict=True))
        vectors: np.ndarray = self._session.run(None, inputs)[0]
        return vectors

    def in_vocabulary(self, question: str) -> bool:
        """Whether at least three quarters of a question's tokens are in the vocabulary."""
        ids = self._tokenizer.encode(question, add_special_tokens=False).ids
        return sum(i == self._unknown for i in ids) * 4 <= len(ids)


class FusionSession:
    """An exported fusion module. Raises UsageError if the file cannot be loaded."""

    INPUTS = ("images", "text", "text_mask", "shown")
    OUTPUTS = ("soft_tokens", "logits")

    def __init__(self, path: Path):
        self._session = load_session(path)

    def run(self, images: np.ndarray, text: np.ndarray) -> np.ndarray:
        """Fuse feature maps [M, C, h, w] of one or two photographs with a question [1, T, D].

        Returns soft tokens, float32 [K, H].
        """
        tokens = images.reshape(*images.shape[:2], -1).transpose(0, 2, 1)[None]  # [1, M, P, C]
        masks = (np.ones(text.shape[:2], np.float32), np.ones((1, len(images)), np.float32))
        inputs = (np.ascontiguousarray(tokens, np.float32), text, *masks)
        # By their order: folders of format 1 have other names for them.
        outputs = self._session.run(None, dict(zip(self.INPUTS, inputs, strict=True)))
        soft_tokens: np.ndarray = outputs[0][0]
        return soft_tokens
