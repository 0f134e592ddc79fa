"""Fits what recognises a turn that is no question to the library, after each change of its lines:

    python -m ophglm_core.data.build_act_model

Needs scikit-learn (`pip install '.[evaluate]'`) and some three minutes on two cores, for the
sentence vectors. Prints what it finds of lines that were left out in turn, in five parts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .. import chat
from ..chat.acts import MODEL, NONE
from ..knowledge.library import LANGUAGES, entries
from ..runtime.sentence import SentenceEncoder
from .fitted import fit_on_vectors, read_lines, write_arrays

#: Wordings of the library, in each language, that the model sees as no act.
_ASKED = 1500


def build_act_model(embed: Callable[[str], np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Fit a multinomial logistic regression on sentence vectors.

    Returns the model, and a line for each threshold: what it finds of acts that were left out, how
    often it takes one for another, and how much else it takes for an act.
    """
    from sklearn.linear_model import LogisticRegression

    lines, off_topic = read_lines("act_lines.json"), read_lines("off_topic_lines.json")
    names = [NONE, *(name for name in lines if name != NONE)]
    texts: list[str] = []
    acts: list[int] = []
    for language in LANGUAGES:
        for number, name in enumerate(names):
            own = [*lines[name][language]]
            if name == NONE:
                asked = [w for e in entries() for w in e.questions[language]]
                own += [*off_topic[language], *asked[:: max(1, len(asked) // _ASKED)]]
            texts += own
            acts += [number] * len(own)
    vectors, truth = np.stack([embed(text) for text in texts]), np.array(acts)
    fit = LogisticRegression(C=0.1, max_iter=1000)
    left_out, weights, offset = fit_on_vectors(fit, vectors, truth, "predict_proba")
    best, sure = left_out.argmax(axis=1), left_out.max(axis=1)
    told = []
    for threshold in (0.5, 0.6, 0.7, 0.8, 0.9):
        said = np.where(sure >= threshold, best, 0)
        act = truth > 0
        told.append(
            f"{threshold}: finds {(said == truth)[act].mean():.3f}, another act "
            f"{((said != truth) & (said > 0))[act].mean():.3f}, of what is none "
            f"{(said > 0)[~act].mean():.4f}"
        )
    return {
        "names": np.array("\n".join(names)),
        "weights": weights.astype(np.float32),
        "offset": offset.astype(np.float32),
    }, told


if __name__ == "__main__":
    target = Path(str(chat.__file__)).with_name(MODEL)
    fitted, measured = build_act_model(SentenceEncoder().embed)
    write_arrays(target, fitted)
    sys.stdout.write("\n".join([*measured, ""]))
