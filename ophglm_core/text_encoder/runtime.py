"""The text encoder in the local runtime: ONNX Runtime and tokenizers, without torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..encoder.onnx_runtime import load_session


class TextEncoderSession:
    """An exported text encoder. Raises UsageError if a file cannot be loaded."""

    INPUTS = ("ids", "mask")

    def __init__(self, onnx: Path, tokenizer: Path, longest: int = 64):
        from tokenizers import Tokenizer

        self._session = load_session(onnx)
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(longest)
        unknown = getattr(self._tokenizer.model, "unk_token", None)
        self._unknown = self._tokenizer.token_to_id(unknown) if unknown else None

    def run(self, question: str) -> np.ndarray:
        """Return a question's vectors, float32 [1, T, D]."""
        encoding = self._tokenizer.encode(question)
        ids = np.array([encoding.ids], dtype=np.int64)
        inputs = dict(zip(self.INPUTS, (ids, np.ones_like(ids)), strict=True))
        vectors: np.ndarray = self._session.run(None, inputs)[0]
        return vectors

    def knows(self, question: str) -> bool:
        """Whether at least three quarters of a question's tokens are in the vocabulary."""
        ids = self._tokenizer.encode(question, add_special_tokens=False).ids
        return sum(i == self._unknown for i in ids) * 4 <= len(ids)
