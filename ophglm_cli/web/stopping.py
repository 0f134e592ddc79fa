"""A language model whose writing can be stopped from another thread."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event

import numpy as np

from ophglm_core.chat.conversation import LanguageModel
from ophglm_core.runtime.session import GREEDY, Decoding


class Stopped(Exception):  # noqa: N818 - not an error
    """The person who asked does not want to read on."""


class StoppableModel:
    """A language model's runtime that raises Stopped before its next word once `stop` is set.

    A conversation then keeps what was shown, as it does on Ctrl-C at a terminal.
    """

    def __init__(self, model: LanguageModel):
        self._model = model
        self.context = model.context
        #: Of the answer that is being given.
        self.stop = Event()

    @property
    def tokens(self) -> list[int]:
        """The context's tokens."""
        return self._model.tokens

    def render(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        """See LanguageModel."""
        return self._model.render(messages, add_generation_prompt)

    def count(self, text: str) -> int:
        """See LanguageModel."""
        return self._model.count(text)

    def append_text(self, text: str) -> None:
        """See LanguageModel."""
        self._model.append_text(text)

    def append_prompt(self, prompt: str, soft_tokens: np.ndarray | None = None) -> None:
        """See LanguageModel."""
        self._model.append_prompt(prompt, soft_tokens)

    def truncate(self, length: int) -> None:
        """See LanguageModel."""
        self._model.truncate(length)

    def generate(self, limit: int, decoding: Decoding = GREEDY) -> Iterator[str]:
        """See LanguageModel."""
        for piece in self._model.generate(limit, decoding):
            if self.stop.is_set():
                raise Stopped
            yield piece
