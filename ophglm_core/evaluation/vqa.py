"""Does it look? Answers about photographs, against answers without the right one."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .classify import Classifier
from .data.vqa import VqaPair, closed_answer
from .findings import Findings, describe
from .fusion.photograph import Photograph
from .fusion.reader import Reader
from .labels import BY_KEY, DISEASES

#: What the language model is given of the photograph, a column each.
CONDITIONS = ("photograph", "nothing", "findings", "shuffled")
_NAMES = {name: c.key for c in BY_KEY.values() for name in (c.name, c.name_zh)}


def evaluate_vqa(
    reader: Reader,
    classifier: Classifier,
    pairs: Sequence[VqaPair],
    limit: int,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, Any]:
    """Ask up to `limit` questions of each kind, language and condition asked about, four times
    each.

    'photograph': with the picture's rows. 'nothing': without. 'findings': without rows, with the
    classifier's findings as text. 'shuffled': with the rows of another patient's picture. Questions
    whose words the text encoder does not know, and pictures that cannot be graded, are left out and
    counted.
    """
    draw = random.Random(seed)
    known = [p for p in pairs if reader.knows(p.question)]
    groups: dict[tuple[str | None, ...], list[VqaPair]] = {}
    for pair in known:
        groups.setdefault((pair.kind, pair.language, asked_about(pair)), []).append(pair)
    chosen = [p for g in groups.values() for p in draw.sample(g, min(limit, len(g)))]
    paths = list(dict.fromkeys(path for p in chosen for path in p.image))
    seen: dict[str, Findings] = {}
    for path, finding in zip(paths, classifier.classify(map(Path, paths), True), strict=True):
        seen[path] = finding
        progress(len(seen), len(paths) + len(chosen))
    usable = [p for p in chosen if all(seen[path].status == "ok" for path in p.image)]
    answers: list[dict[str, str]] = []
    for number, pair in enumerate(usable, start=1):
        others = [
            p for p in usable if p.patient != pair.patient and len(p.image) == len(pair.image)
        ]
        answers.append(_ask(reader, pair, draw.choice(others) if others else None, seen))
        progress(len(paths) + number, len(paths) + len(chosen))
    return {
        "model": classifier.model.identity,
        "questions": len(usable),
        "left_out": {
            "unknown_words": len(pairs) - len(known),
            "turned_away": len(chosen) - len(usable),
        },
        "kinds": _by_kind(usable, answers),
        "presence": _presence(usable, answers, seen, classifier),
    }


def _ask(
    reader: Reader, pair: VqaPair, other: VqaPair | None, seen: dict[str, Findings]
) -> dict[str, str]:
    def shown(images: Sequence[str]) -> list[Photograph]:
        maps = [(path, seen[path].features) for path in images]
        return [Photograph(path, features) for path, features in maps if features is not None]

    told = " ".join(describe(seen[path], pair.language) for path in pair.image)
    told = f"A classifier read the fundus photograph: {told} Answer in a few words."
    question, language = pair.question, pair.language
    answers = {
        "photograph": reader.answer(question, language, shown(pair.image)),
        "nothing": reader.answer(question, language, None),
        "findings": reader.answer(question, language, None, told),
    }
    if other is not None:
        answers["shuffled"] = reader.answer(question, language, shown(other.image))
    return answers


def _by_kind(
    pairs: Sequence[VqaPair], answers: Sequence[dict[str, str]]
) -> dict[str, dict[str, dict[str, float]]]:
    """Exact match and F1, by kind and language and by condition of the test."""
    result: dict[str, dict[str, dict[str, float]]] = {}
    for key in sorted({(p.kind, p.language) for p in pairs}):
        rows = [i for i, p in enumerate(pairs) if (p.kind, p.language) == key]
        figures: dict[str, dict[str, float]] = {}
        for condition in CONDITIONS:
            given = [(pairs[i].answer, answers[i].get(condition, "")) for i in rows]
            figures[condition] = {
                "exact": float(np.mean([_words(a) == _words(b) for a, b in given])),
                "f1": float(np.mean([f1(a, b) for a, b in given])),
            }
        result[" ".join(key)] = {"questions": {"count": float(len(rows))}, **figures}
    return result


def _presence(
    pairs: Sequence[VqaPair],
    answers: Sequence[dict[str, str]],
    seen: dict[str, Findings],
    classifier: Classifier,
) -> dict[str, dict[str, float]]:
    """Balanced accuracy of yes/no presence questions: each disease, and the mean of the diseases.

    'encoder' is the classifier's own at its thresholds, on the same pictures.
    """
    rows: dict[str, list[int]] = {disease: [] for disease in DISEASES}
    for i, pair in enumerate(pairs):
        asked = asked_about(pair)
        if asked in rows:
            rows[asked].append(i)
    result: dict[str, dict[str, float]] = {}
    for disease, numbers in rows.items():
        truth = [closed_answer(pairs[i]) == "yes" for i in numbers]
        if not any(truth) or all(truth):
            continue
        figures = {"questions": float(len(numbers))}
        for condition in CONDITIONS:
            said = [answers[i].get(condition, "") for i in numbers]
            figures[condition] = balanced_accuracy(truth, [_says_yes(text) for text in said])
        encoder = [disease in seen[pairs[i].image[0]].positive for i in numbers]
        figures["encoder"] = balanced_accuracy(truth, encoder)
        result[disease] = figures
    if result:
        count = sum(f["questions"] for f in result.values())
        names = [*CONDITIONS, "encoder"]
        means = {n: float(np.mean([f[n] for f in result.values()])) for n in names}
        result["mean"] = {"questions": count, **means}
    return result


def asked_about(pair: VqaPair) -> str | None:
    """Return the condition whose presence a question asks about, as a key; None if it asks about
    something else."""
    if pair.kind != "presence":
        return None
    asked = {key for name, key in _NAMES.items() if name in pair.question}
    return asked.pop() if len(asked) == 1 else None


def balanced_accuracy(truth: Sequence[bool], said: Sequence[bool | None]) -> float:
    """Mean of sensitivity and specificity; an answer that is neither yes nor no is wrong."""
    rates = []
    for value in (True, False):
        given = [s for t, s in zip(truth, said, strict=True) if t is value]
        rates.append(sum(s is value for s in given) / len(given))
    return float(np.mean(rates))


def _says_yes(text: str) -> bool | None:
    first = re.match(r"\W*(yes|no|是|否)\b", text.lower())
    return None if first is None else first[1] in ("yes", "是")


def _words(text: str) -> list[str]:
    """Words in lower case without punctuation; each Chinese character is a word."""
    return re.findall(r"[\u4e00-\u9fff]|[a-z0-9-]+", text.lower())


def f1(expected: str, given: str) -> float:
    """Token F1 of two short texts (as in SQuAD, Rajpurkar et al. 2016, arXiv 1606.05250)."""
    theirs, ours = Counter(_words(expected)), Counter(_words(given))
    shared = sum((theirs & ours).values())
    if not shared:
        return float(not theirs and not ours)
    precision, recall = shared / sum(ours.values()), shared / sum(theirs.values())
    return 2 * precision * recall / (precision + recall)
