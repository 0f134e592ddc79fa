"""Sentence vectors: what a sentence means, as a direction."""

from __future__ import annotations

import numpy as np

from ..later import Later
from ..model_folder import TEXT_ENCODER_ONNX, TOKENIZER, open_model
from .onnx import TextEncoderSession

_MAX_LENGTH = 128


class SentenceEncoder:
    """The bundled folder's MiniLM, pooled over its tokens (Reimers and Gurevych 2019,
    arXiv 1908.10084). It knows English. It is read when it is first asked.

    Example: `SentenceEncoder().embed("Is it hereditary?")` has 384 numbers.
    """

    def __init__(self) -> None:
        self._session = Later(_load)

    def embed(self, text: str) -> np.ndarray:
        """Return a sentence's unit vector, float32 [384]."""
        vector: np.ndarray = self._session.get().run(text)[0].mean(axis=0)
        return vector / float(np.linalg.norm(vector))


def _load() -> TextEncoderSession:
    folder = open_model().path
    return TextEncoderSession(folder / TEXT_ENCODER_ONNX, folder / TOKENIZER, _MAX_LENGTH)
