"""What a turn wants that is no question to the library, recognised by its meaning.

"Could it be wrong?", "recap please", "who sees my picture?": people word these in more ways than
rules foresee. Beside the rules of `question` and `tasks` stands a linear model of the sentence
vector, fitted on written wordings (`data/act_lines.json`, `data/build_act_model.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import resources

import numpy as np

from ..wording import word_count

MODEL = "acts.npz"
#: What is none of the acts: a question to the library, or about other things.
NONE = "none"
#: From this probability on; chosen on lines that were left out of the fit. It finds two thirds of
#: them; of the library's wordings that name no disease it takes one in two hundred for an act.
_SURE = 0.5
#: Who writes more tells something of his own.
_LONGEST = 30


def act_in(text: str, embed: Callable[[str], np.ndarray] | None) -> str | None:
    """Return the act that a turn is, as a key of `data/act_lines.json`; None if it is none.

    embed: text -> its unit sentence vector, float32 [384]; without it nothing is recognised.
    """
    if embed is None or word_count(text) > _LONGEST:
        return None
    names, weights, offset = _model()
    logits = weights @ embed(text) + offset
    best = int(logits.argmax())
    probability = 1 / np.exp(logits - logits[best]).sum()
    return names[best] if names[best] != NONE and probability >= _SURE else None


@cache
def _model() -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return the acts' names, weights [A, 384] and offsets [A]."""
    with (resources.files(__package__) / MODEL).open("rb") as stream:
        held = np.load(stream)
        return str(held["names"]).split("\n"), held["weights"], held["offset"]
