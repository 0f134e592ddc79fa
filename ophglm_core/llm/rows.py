"""A rendered prompt with rows in the placeholder's place, put into the local runtime's context."""

from __future__ import annotations

import numpy as np

from ..fusion.prompt import PLACEHOLDER
from .llama_runtime import LlamaSession


def feed_prompt(session: LlamaSession, prompt: str, rows: np.ndarray | None) -> None:
    """Feed a prompt; `rows` [K, H] go where its placeholder is, None leaves it out."""
    before, mark, after = prompt.partition(PLACEHOLDER)
    session.feed(before)
    if mark and rows is not None:
        session.feed_rows(rows)
    session.feed(after)
