"""A rendered prompt with rows in the placeholder's place, put into the local runtime's context."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..fusion.prompt import PLACEHOLDER


class Context(Protocol):
    """What takes words and rows, such as llama_runtime.LlamaSession."""

    def feed(self, text: str) -> None: ...
    def feed_rows(self, rows: np.ndarray) -> None: ...


def feed_prompt(session: Context, prompt: str, rows: np.ndarray | None) -> None:
    """Feed a prompt; `rows` [K, H] go where its placeholder is, None leaves it out."""
    before, mark, after = prompt.partition(PLACEHOLDER)
    session.feed(before)
    if mark and rows is not None:
        session.feed_rows(rows)
    session.feed(after)
