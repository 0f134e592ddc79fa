"""Fits the model of urgency on the written lines, after each change of them:

    python -m ophglm_core.data.build_urgency_model

Needs scikit-learn (`pip install '.[evaluate]'`) and some four minutes on two cores, for the
sentence vectors. Prints sensitivity and false alarms on lines left out in turn, in five parts.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .. import safety
from ..knowledge.library import entries
from ..runtime.sentence import SentenceEncoder
from ..safety.red_flags import matched_flags
from ..safety.urgency import MODEL, WORDS_SHARE, features
from .fitted import fit_on_vectors, read_lines, write_arrays

LANGUAGES = ("en", "zh")
#: Topics whose wordings may be complaints.
_COMPLAINTS = frozenset({"urgency", "symptoms", "complications"})
_OF_A_PERSON = re.compile(r"\b(?:i|i'm|i've|my|me|he|she|his|her)\b|我|他|她|爸|妈", re.IGNORECASE)
_MOST_ASKED = 1500
#: Both were chosen with `WORDS_SHARE` on lines that were left out and on the held-out ones, of
#: which no urgent one was to be missed.
_WORDS_PENALTY, _MEANING_PENALTY = 30.0, 0.01


def build_urgency_model(
    embed: Callable[[str], np.ndarray],
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Fit a logistic regression on weighted features (tf-idf) in each language, and one on the
    sentence vectors of both.

    Returns the model, and a line for each threshold: what it finds of lines that were left out.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    lines, off_topic = read_lines("red_flag_lines.json"), read_lines("off_topic_lines.json")
    model: dict[str, np.ndarray] = {}
    told: list[str] = []
    texts_of = {
        language: [
            *lines["urgent"][language],
            *lines["ordinary"][language],
            *_asked(language),
            *off_topic[language],
        ]
        for language in LANGUAGES
    }
    urgent_of = {
        language: np.arange(len(texts)) < len(lines["urgent"][language])
        for language, texts in texts_of.items()
    }
    vectors = np.stack([embed(text) for texts in texts_of.values() for text in texts])
    fit = LogisticRegression(C=_MEANING_PENALTY, max_iter=3000, class_weight="balanced")
    truth = np.concatenate([*urgent_of.values()])
    meant, weights, offset = fit_on_vectors(fit, vectors, truth, "decision_function")
    model["meaning"] = weights[0].astype(np.float32)
    model["meaning_intercept"] = np.array(offset[0])
    place = 0
    for language, texts in texts_of.items():
        urgent = urgent_of[language]
        weigh = TfidfVectorizer(analyzer=features, sublinear_tf=True, min_df=2)
        matrix = weigh.fit_transform(texts)
        fit = LogisticRegression(C=_WORDS_PENALTY, max_iter=3000, class_weight="balanced")
        said = cross_val_predict(fit, matrix, urgent, cv=5, method="decision_function")
        both = WORDS_SHARE * said + (1 - WORDS_SHARE) * meant[place : place + len(texts)]
        place += len(texts)
        left_out = 1 / (1 + np.exp(-both))
        for threshold in (0.2, 0.35, 0.5):
            alarm = left_out > threshold
            told.append(
                f"{language} {threshold}: finds {alarm[urgent].mean():.3f}, "
                f"false alarms {alarm[~urgent].mean():.3f}"
            )
        fit.fit(matrix, urgent)
        names = weigh.get_feature_names_out()
        model |= {
            f"features_{language}": np.array("\n".join(names)),
            f"idf_{language}": weigh.idf_.astype(np.float32),
            f"weight_{language}": fit.coef_[0].astype(np.float32),
            f"intercept_{language}": fit.intercept_.astype(np.float32)[0],
        }
    return model, told


def _asked(language: str) -> list[str]:
    """Return wordings of the library that ask for knowledge and complain of nothing: ordinary."""
    wordings = [w for e in entries() if e.topic not in _COMPLAINTS for w in e.questions[language]]
    plain = [w for w in wordings if not _OF_A_PERSON.search(w) and not matched_flags(w)]
    return plain[:: max(1, len(plain) // _MOST_ASKED)]


if __name__ == "__main__":
    target = Path(str(safety.__file__)).with_name(MODEL)
    fitted, measured = build_urgency_model(SentenceEncoder().embed)
    write_arrays(target, fitted)
    sys.stdout.write("\n".join([*measured, ""]))
