"""How urgent a text sounds: linear models of its words and of its meaning, beside the rules of
`red_flags`.

They were fitted on some 2,900 written lines, urgent and ordinary, in English and Chinese
(`data/red_flag_lines.json`), on questions of the library and on lines on other things
(`data/build_urgency_model.py`), and are measured on 300 lines by another hand. Among the words'
features are the rules' own concepts, so that "no flashes" and "flashes" differ; the sentence vector
knows what a line is about, however it is said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources

import numpy as np

from ..tfidf import unit_weights
from ..wording import is_chinese
from .clauses import read, sentences
from .spelling import normalised

MODEL = "urgency.npz"
#: How much the words count beside the meaning.
WORDS_SHARE = 0.6
#: Parts of a long text whose meaning is compared: those whose words sound the most urgent.
_COMPARED = 3
#: Sentences that are judged together: the lines that it was fitted on are no longer.
_WINDOW = 3
_LONGEST_WINDOW = 600


def features(text: str) -> list[str]:
    """Return a text's words, pairs and triples of them, parts of words, and its concepts."""
    text = normalised(text)
    words = re.findall(r"[a-z']+|\d+|[?？]", text)
    found = [*words]
    found += [" ".join(words[i : i + n]) for n in (2, 3) for i in range(len(words) - n + 1)]
    for run in re.findall(r"[\u4e00-\u9fff]+", text):
        found += [run[i : i + n] for n in (1, 2, 3) for i in range(len(run) - n + 1)]
    for word in re.findall(r"[a-z]{4,}", text):
        found += [f"#{word[i : i + 4]}" for i in range(len(word) - 3)]
    for sentence, question in sentences(text):
        for clause in read(sentence, question):
            found += [f"@{concept}" for concept in sorted(clause.concepts())]
    return found


def urgency(text: str, embed: Callable[[str], np.ndarray] | None = None) -> float:
    """Return the probability, 0 to 1, that a text describes what needs emergency eye care.

    Of a long text it is that of its most urgent three sentences. embed: text -> its unit sentence
    vector, float32 [384]; without it the words alone are judged.
    """
    idf, weights, intercept = _model("zh" if is_chinese(text) else "en")

    def by_words(window: str) -> float:
        values = unit_weights(features(window), idf)
        return intercept + sum(value * weights[f] for f, value in values.items())

    scored = sorted(((by_words(window), window) for window in _windows(text)), reverse=True)
    scores = [score for score, _ in scored]
    if embed is not None:
        direction, offset = _meaning()
        scores = [
            WORDS_SHARE * score + (1 - WORDS_SHARE) * float(direction @ embed(window) + offset)
            for score, window in scored[:_COMPARED]
        ]
    return 1 / (1 + math.exp(-max(scores)))


def _windows(text: str) -> Iterator[str]:
    if len(text) <= _LONGEST_WINDOW:
        yield text
        return
    parts = re.split(r"(?<=[.!?;。！？；\n])\s*", text)
    for start in range(max(1, len(parts) - _WINDOW + 1)):
        yield " ".join(parts[start : start + _WINDOW])[: 2 * _LONGEST_WINDOW]


@cache
def _meaning() -> tuple[np.ndarray, float]:
    """Return the weights of a sentence vector, [384], and the intercept."""
    with (resources.files(__package__) / MODEL).open("rb") as stream:
        held = np.load(stream)
        return held["meaning"], float(held["meaning_intercept"])


@cache
def _model(language: str) -> tuple[dict[str, float], dict[str, float], float]:
    """Return the features' inverse document frequencies, their weights, and the intercept."""
    with (resources.files(__package__) / MODEL).open("rb") as stream:
        held = np.load(stream)
        names = str(held[f"features_{language}"]).split("\n")
        idf, weights = (
            dict(zip(names, held[f"{part}_{language}"].tolist(), strict=True))
            for part in ("idf", "weight")
        )
        return idf, weights, float(held[f"intercept_{language}"])
