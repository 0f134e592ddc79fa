"""Fits the model of urgency on the written lines, after each change of them:

    python -m ophglm_core.data.build_urgency_model

Needs scikit-learn (`pip install '.[evaluate]'`). Prints sensitivity and false alarms on lines left
out in turn, in five parts.
"""

from __future__ import annotations

import json
import re
import sys
from importlib import resources
from pathlib import Path

import numpy as np

from .. import safety
from ..files import atomic_write
from ..knowledge.library import entries
from ..safety.red_flags import matched_flags
from ..safety.urgency import MODEL, features

LANGUAGES = ("en", "zh")
#: Topics whose wordings may be complaints.
_COMPLAINTS = frozenset({"urgency", "symptoms", "complications"})
_OF_A_PERSON = re.compile(r"\b(?:i|i'm|i've|my|me|he|she|his|her)\b|我|他|她|爸|妈", re.IGNORECASE)
_MOST_ASKED = 1500


def build_urgency_model() -> tuple[dict[str, np.ndarray], list[str]]:
    """Fit a logistic regression on weighted features (tf-idf) in each language.

    Returns the model, and a line for each threshold: what it finds of lines that were left out.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    file = resources.files(__package__) / "red_flag_lines.json"
    lines = json.loads(file.read_text(encoding="utf-8"))
    model: dict[str, np.ndarray] = {}
    told: list[str] = []
    for language in LANGUAGES:
        texts = [*lines["urgent"][language], *lines["ordinary"][language], *_asked(language)]
        urgent = np.arange(len(texts)) < len(lines["urgent"][language])
        weigh = TfidfVectorizer(analyzer=features, sublinear_tf=True, min_df=2)
        matrix = weigh.fit_transform(texts)
        fit = LogisticRegression(C=30, max_iter=3000, class_weight="balanced")
        left_out = cross_val_predict(fit, matrix, urgent, cv=5, method="predict_proba")[:, 1]
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
    fitted, measured = build_urgency_model()
    with atomic_write(target) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **fitted)
    sys.stdout.write("\n".join([*measured, ""]))
