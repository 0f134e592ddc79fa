"""Does it look? Answers about photographs, against answers without the right one."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..classifier import Classifier
from ..conditions import LabelSet
from ..data.splits import Split
from ..data.vqa import VqaPair, closed_answer, read_vqa, vqa_parts
from ..errors import InputError, UsageError
from ..findings import Findings
from ..model_folder import ModelFolder, save_metrics
from ..runtime.vqa import VqaRuntime
from ..runtimes import runtime_of
from ..wording import describe
from .classification import require_part

#: What the language model is given of the photograph, a column each.
GIVEN = ("photograph", "nothing", "findings", "shuffled")

#: The answers to one question, by what was given.
Answers = dict[str, str]


def evaluate_vqa(
    model: ModelFolder,
    data: Sequence[Path],
    part: str = "all",
    limit: int = 100,
    keep: bool = False,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
    llm: str | None = None,
    runtime: str = "auto",
    four_bit: bool = False,
) -> dict[str, Any]:
    """Measure what the language model answers about photographs that it sees through the model's
    fusion module, against answers without them.

    data: files of questions, as `read_vqa` reads them. part: 'all', or the part of the patients by
    the model's split, of which the findings of a model with `training["measured"]` have seen all.
    limit: questions of each kind, language and condition asked about. keep:
    whether the metrics go into the model folder. progress: called with the number of steps done and
    of all. llm: the language model that the fusion module was trained with, where it is not where
    it was then. runtime, four_bit: see `runtimes.open_runtime`.

    Returns what `ask_questions` does, and 'part'. Raises UsageError for an unknown part or a model
    without a fusion module, and InputError if the data cannot be read or no question is left.

    Example: `evaluate_vqa(open_model(), [Path("vqa.jsonl")], "test")["presence"]["mean"]`.
    """
    require_part(part)
    fusion = model.manifest.fusion
    if fusion is None:
        raise UsageError(f"{model.path} has no fusion module; run ophglm train-fusion.")
    chosen = runtime_of(model, fusion, llm, runtime, four_bit)
    pairs = [pair for path in data for pair in read_vqa(path)]
    if part != "all":
        pairs = vqa_parts(pairs, Split(**model.manifest.split))[part]
    if not pairs:
        raise InputError(f"No question of {', '.join(map(str, data))} is in part {part}.")
    reader, classifier = VqaRuntime(model, chosen.session), Classifier(model)
    metrics = {**ask_questions(reader, classifier, pairs, limit, seed, progress), "part": part}
    if keep:
        fusion.metrics = metrics
        save_metrics(model)
    return metrics


def ask_questions(
    runtime: VqaRuntime,
    classifier: Classifier,
    pairs: Sequence[VqaPair],
    limit: int,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, Any]:
    """Ask up to `limit` questions of each kind, language and condition asked about, four times
    each.

    'photograph': with the picture's soft tokens. 'nothing': without. 'findings': without soft
    tokens, with the classifier's findings as text. 'shuffled': with the soft tokens of another
    patient's picture; where there is none, the question has no such answer and does not count for
    it. Questions whose words the text encoder does not know, those about a condition that the
    fusion module was not trained on, and those about pictures that cannot be read or graded, are
    excluded and counted.

    Returns 'model', 'questions' (how many were asked), 'excluded', 'kinds' (exact match and F1 by
    kind and language) and 'presence' (balanced accuracy by disease); a metric is None where no
    answer counts for it. Raises InputError if all questions are excluded.
    """
    labels = classifier.model.labels
    rng = random.Random(seed)
    worded = [p for p in pairs if runtime.in_vocabulary(p.question)]
    trained = (None, *runtime.conditions)
    known = [p for p in worded if asked_about(p, labels) in trained]
    groups: dict[tuple[str | None, ...], list[VqaPair]] = {}
    for pair in known:
        groups.setdefault((pair.kind, pair.language, asked_about(pair, labels)), []).append(pair)
    chosen = [p for g in groups.values() for p in rng.sample(g, min(limit, len(g)))]
    paths = list(dict.fromkeys(path for p in chosen for path in p.image))
    findings: dict[str, Findings] = {}
    for path, found in zip(paths, classifier.classify(map(Path, paths), True), strict=True):
        findings[path] = found
        progress(len(findings), len(paths) + len(chosen))
    asked = [p for p in chosen if all(findings[path].status == "ok" for path in p.image)]
    excluded = {
        "unknown_words": len(pairs) - len(worded),
        "untrained": len(worded) - len(known),
        "ungradable": len(chosen) - len(asked),
    }
    if not asked:
        raise InputError(
            f"No question can be asked: the text encoder does not know the words of "
            f"{excluded['unknown_words']}, and {excluded['ungradable']} are about photographs that "
            "cannot be read or graded."
        )
    answers: list[Answers] = []
    for number, pair in enumerate(asked, start=1):
        others = [p for p in asked if p.patient != pair.patient and len(p.image) == len(pair.image)]
        other = rng.choice(others) if others else None
        answers.append(_ask(runtime, pair, other, findings, labels))
        progress(len(paths) + number, len(paths) + len(asked))
    return {
        "model": classifier.model.identity,
        "questions": len(asked),
        "excluded": excluded,
        "kinds": _by_kind(asked, answers),
        "presence": _presence(asked, answers, findings, labels),
    }


def _ask(
    runtime: VqaRuntime,
    pair: VqaPair,
    other: VqaPair | None,
    findings: Mapping[str, Findings],
    labels: LabelSet,
) -> Answers:
    """Return the answers to one question. other: whose pictures are the wrong ones, if any."""

    def features(images: Sequence[str]) -> list[np.ndarray]:
        found = [findings[path].features for path in images]
        return [feature_map for feature_map in found if feature_map is not None]

    told = " ".join(describe(findings[path], labels, pair.language) for path in pair.image)
    told = f"A classifier read the fundus photograph: {told} Answer in a few words."
    question, language = pair.question, pair.language
    answers = {
        "photograph": runtime.answer(question, language, features(pair.image)),
        "nothing": runtime.answer(question, language, None),
        "findings": runtime.answer(question, language, None, told),
    }
    if other is not None:
        answers["shuffled"] = runtime.answer(question, language, features(other.image))
    return answers


def _by_kind(
    pairs: Sequence[VqaPair], answers: Sequence[Answers]
) -> dict[str, dict[str, dict[str, float | None]]]:
    """Exact match and F1, by kind and language and by what was given."""
    result: dict[str, dict[str, dict[str, float | None]]] = {}
    for key in sorted({(p.kind, p.language) for p in pairs}):
        rows = [i for i, p in enumerate(pairs) if (p.kind, p.language) == key]
        metrics: dict[str, dict[str, float | None]] = {"questions": {"count": float(len(rows))}}
        for given in GIVEN:
            both = [(pairs[i].answer, answers[i][given]) for i in rows if given in answers[i]]
            metrics[given] = {
                "exact_match": _mean([_words(a) == _words(b) for a, b in both]),
                "f1": _mean([f1(a, b) for a, b in both]),
            }
        result[" ".join(key)] = metrics
    return result


def _presence(
    pairs: Sequence[VqaPair],
    answers: Sequence[Answers],
    findings: Mapping[str, Findings],
    labels: LabelSet,
) -> dict[str, dict[str, float | None]]:
    """Balanced accuracy of yes/no presence questions: each disease, and the mean of the diseases.

    'encoder' is the classifier's own at its thresholds, on the same pictures. A disease of which
    only yes or only no is true is absent.
    """
    rows: dict[str, list[int]] = {disease: [] for disease in labels.diseases}
    for i, pair in enumerate(pairs):
        asked = asked_about(pair, labels)
        if asked is not None:
            rows[asked].append(i)
    result: dict[str, dict[str, float | None]] = {}
    count = 0
    for disease, numbers in rows.items():
        truth = {i: closed_answer(pairs[i]) == "yes" for i in numbers}
        encoder = [disease in findings[pairs[i].image[0]].positive for i in numbers]
        accuracy = balanced_accuracy(list(truth.values()), encoder)
        if accuracy is None:
            continue
        count += len(numbers)
        metrics: dict[str, float | None] = {"questions": float(len(numbers))}
        for given in GIVEN:
            answered = [i for i in numbers if given in answers[i]]
            metrics[given] = balanced_accuracy(
                [truth[i] for i in answered], [_says_yes(answers[i][given]) for i in answered]
            )
        result[disease] = {**metrics, "encoder": accuracy}
    if result:
        means = {
            name: _mean([value for row in result.values() if (value := row[name]) is not None])
            for name in (*GIVEN, "encoder")
        }
        result["mean"] = {"questions": float(count), **means}
    return result


def asked_about(pair: VqaPair, labels: LabelSet) -> str | None:
    """Return the disease of `labels` whose presence a question asks about, as a key; None if it
    asks about something else."""
    if pair.kind != "presence":
        return None
    question = pair.question.lower()
    named = {
        name.lower(): key
        for key in labels.diseases
        for name in (labels[key].name, labels[key].name_zh)
        if name.lower() in question
    }
    # A hospital's own label may be part of another's name: the longer one is meant.
    asked = {
        key
        for name, key in named.items()
        if not any(name in other and name != other for other in named)
    }
    return asked.pop() if len(asked) == 1 else None


def balanced_accuracy(truth: Sequence[bool], said: Sequence[bool | None]) -> float | None:
    """Mean of sensitivity and specificity; an answer that is neither yes nor no is wrong.

    None where only yes or only no is true.
    """
    rates = []
    for value in (True, False):
        given = [s for t, s in zip(truth, said, strict=True) if t is value]
        if not given:
            return None
        rates.append(sum(s is value for s in given) / len(given))
    return float(np.mean(rates))


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


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
