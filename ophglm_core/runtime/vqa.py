"""Photograph and question to a short answer of the language model, through the fusion module."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..later import Later
from ..model_folder import FUSION_ONNX, TEXT_ENCODER_ONNX, TOKENIZER, ModelFolder
from ..prompts import vqa_messages
from .onnx import FusionSession, TextEncoderSession
from .session import Session

_MAX_TOKENS = 32
_CONTEXT = 1024


class VqaRuntime:
    """Answers short questions about photographs, in a context of its own.

    open_session: gives a context, of so many tokens, of the language model that the folder's fusion
    module was trained with. Photographs are given as the encoder's feature maps [C, h, w], one or
    two.
    """

    def __init__(self, model: ModelFolder, open_session: Callable[[int], Session]):
        # Loaded when first needed: many a conversation never asks about the picture.
        path = model.path
        self._text = Later(lambda: TextEncoderSession(path / TEXT_ENCODER_ONNX, path / TOKENIZER))
        self._fusion = Later(lambda: FusionSession(path / FUSION_ONNX))
        self._session = Later(lambda: open_session(_CONTEXT))
        fusion = model.manifest.fusion
        #: The conditions that it was trained on.
        self.conditions = model.conditions.keys[: fusion.network.labels if fusion else 0]

    def load(self) -> None:
        """Load what the first answer would have to wait for. May be called in another thread.

        Raises UsageError.
        """
        self._text.get()
        self._fusion.get()
        self._session.get()

    def in_vocabulary(self, question: str) -> bool:
        """Whether the text encoder knows most of a question's words."""
        return self._text.get().in_vocabulary(question)

    def soft_tokens(self, question: str, features: Sequence[np.ndarray]) -> np.ndarray:
        """Return the soft tokens [K, H] of photographs with regard to a question."""
        return self._fusion.get().run(np.stack(features), self._text.get().run(question))

    def answer(
        self,
        question: str,
        language: str,
        features: Sequence[np.ndarray] | None,
        system: str | None = None,
    ) -> str:
        """Answer a question from photographs; None: without any.

        system: what the language model is told first, instead of the usual instruction.
        """
        soft_tokens = self.soft_tokens(question, features) if features else None
        messages = vqa_messages(question, language, system)
        session = self._session.get()
        session.truncate(0)
        session.append_prompt(session.render(messages, True), soft_tokens)
        return "".join(session.generate(_MAX_TOKENS)).strip()
