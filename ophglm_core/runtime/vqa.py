"""Photograph and question to a short answer of the language model, through the fusion module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

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
        self._model, self._open_session = model, open_session
        fusion = model.manifest.fusion
        #: The conditions that it was trained on.
        self.conditions = model.conditions.keys[: fusion.network.labels if fusion else 0]

    # Loaded when first needed: many a conversation never asks about the picture.
    @cached_property
    def _text(self) -> TextEncoderSession:
        path = self._model.path
        return TextEncoderSession(path / TEXT_ENCODER_ONNX, path / TOKENIZER)

    @cached_property
    def _fusion(self) -> FusionSession:
        return FusionSession(self._model.path / FUSION_ONNX)

    @cached_property
    def _session(self) -> Session:
        return self._open_session(_CONTEXT)

    def in_vocabulary(self, question: str) -> bool:
        """Whether the text encoder knows most of a question's words."""
        return self._text.in_vocabulary(question)

    def soft_tokens(self, question: str, features: Sequence[np.ndarray]) -> np.ndarray:
        """Return the soft tokens [K, H] of photographs with regard to a question."""
        return self._fusion.run(np.stack(features), self._text.run(question))

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
        self._session.truncate(0)
        self._session.append_prompt(self._session.render(messages, True), soft_tokens)
        return "".join(self._session.generate(_MAX_TOKENS)).strip()
