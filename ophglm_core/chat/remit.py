"""Whether a turn can be about eyes at all, by its meaning.

"does posturing matter" is asked of what was spoken of, "who won the cup" of nothing that is known
here; neither names a disease, and few of their words are in the library. A linear model of the
sentence vector tells them apart, fitted on written lines (`data/turn_lines.json`,
`data/off_topic_lines.json`, `data/build_remit_model.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import resources

import numpy as np

MODEL = "remit.npz"


def within_remit(text: str, embed: Callable[[str], np.ndarray] | None) -> float:
    """Return the probability that a turn is about eyes, 0 to 1, among as many that are not.

    embed: text -> its unit sentence vector, float32 [384]; without it nothing is known: 0.5.
    """
    if embed is None:
        return 0.5
    weights, offset = _model()
    return float(1 / (1 + np.exp(-(weights @ embed(text) + offset))))


@cache
def _model() -> tuple[np.ndarray, float]:
    """Return the weights [384] and the offset."""
    with (resources.files(__package__) / MODEL).open("rb") as stream:
        held = np.load(stream)
        return held["weights"], float(held["offset"])
