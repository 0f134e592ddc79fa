"""Fits what tells turns about eyes from those about other things, after a change of the lines:

    python -m ophglm_core.data.build_remit_model

Needs scikit-learn (`pip install '.[evaluate]'`) and some three minutes on two cores, for the
sentence vectors. Prints what it makes of lines that were left out in turn, in five parts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .. import chat
from ..chat.remit import MODEL
from ..knowledge.library import LANGUAGES, entries, subjects_named
from ..runtime.sentence import SentenceEncoder
from .fitted import fit_on_vectors, read_lines, write_arrays

#: Wordings of the library that name no subject, in each language, beside the turns.
_ASKED = 700


def build_remit_model(
    embed: Callable[[str], np.ndarray],
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Fit a logistic regression on sentence vectors.

    Returns the model, and a line for each limit: of turns about eyes and of others, each left out,
    the share below it.
    """
    from sklearn.linear_model import LogisticRegression

    turns, off_topic = read_lines("turn_lines.json"), read_lines("off_topic_lines.json")
    about: list[str] = []
    others: list[str] = []
    for language in LANGUAGES:
        asked = [w for e in entries() for w in e.questions[language] if not subjects_named(w)]
        about += [*turns[language], *asked[:: max(1, len(asked) // _ASKED)]]
        others += off_topic[language]
    vectors = np.stack([embed(text) for text in (*about, *others)])
    truth = np.array([1] * len(about) + [0] * len(others))
    fit = LogisticRegression(C=0.03, max_iter=1000, class_weight="balanced")
    left_out, weights, offset = fit_on_vectors(fit, vectors, truth, "predict_proba")
    remit = left_out[:, 1]
    told = [
        f"below {limit}: about eyes {(remit[truth == 1] < limit).mean():.3f}, "
        f"others {(remit[truth == 0] < limit).mean():.3f}"
        for limit in (0.1, 0.2, 0.3, 0.5)
    ]
    return {"weights": weights[0].astype(np.float32), "offset": np.float32(offset[0])}, told


if __name__ == "__main__":
    target = Path(str(chat.__file__)).with_name(MODEL)
    fitted, measured = build_remit_model(SentenceEncoder().embed)
    write_arrays(target, fitted)
    sys.stdout.write("\n".join([*measured, ""]))
