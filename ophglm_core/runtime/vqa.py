"""The language model looks at the photograph: local runtime, through the fusion module's rows."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from ..llm.llama_runtime import LlamaSession
from ..llm.rows import feed_prompt
from ..modelfolder import FUSION_ONNX, TEXT_ENCODER_ONNX, TOKENIZER, ModelFolder
from ..text_encoder.runtime import TextEncoderSession
from .photograph import Photograph
from .prompt import messages
from .runtime import FusionSession

_ANSWER_TOKENS = 32
_CONTEXT = 1024


class Reader:
    """Answers short questions about photographs, in a context of its own.

    gguf: the language model that the folder's fusion module was trained with.
    """

    def __init__(self, model: ModelFolder, gguf: Path):
        self._model, self._gguf = model, gguf

    # Loaded when first needed: many a conversation never asks about the picture.
    @cached_property
    def _text(self) -> TextEncoderSession:
        path = self._model.path
        return TextEncoderSession(path / TEXT_ENCODER_ONNX, path / TOKENIZER)

    @cached_property
    def _fusion(self) -> FusionSession:
        return FusionSession(self._model.path / FUSION_ONNX)

    @cached_property
    def _session(self) -> LlamaSession:
        return LlamaSession(self._gguf, _CONTEXT)

    def knows(self, question: str) -> bool:
        """Whether the text encoder knows most of a question's words."""
        return self._text.knows(question)

    def rows(self, question: str, photographs: list[Photograph]) -> np.ndarray:
        """Return the rows [K, H] of photographs with regard to a question."""
        features = np.stack([p.features for p in photographs])  # [M, C, h, w]
        return self._fusion.run(features, self._text.run(question)).rows

    def answer(
        self,
        question: str,
        language: str,
        photographs: list[Photograph] | None,
        told: str | None = None,
    ) -> str:
        """Answer a question from photographs; None: without any.

        told: what stands before the question instead of the usual instruction.
        """
        rows = self.rows(question, photographs) if photographs else None
        prompt = self._session.render(messages(question, language, told), answer_next=True)
        self._session.rewind(0)
        feed_prompt(self._session, prompt, rows)
        return "".join(self._session.generate(_ANSWER_TOKENS)).strip()
