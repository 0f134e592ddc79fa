"""Measure a model folder's classifier on labelled photographs, as `classify` would run it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..classifier import Classifier
from ..conditions import NORMAL, LabelSet
from ..data.duplicates import read_sets
from ..data.records import Record, label_matrix
from ..data.report import ReadReport
from ..data.splits import Split
from ..data.targets import grades_of
from ..errors import InputError, UsageError
from ..findings import Findings, limits_of
from ..model_folder import ModelFolder
from .metrics import (
    FLAG_METRICS,
    GRADE_METRICS,
    METRICS,
    OF_POSITIVES,
    all_metrics,
    bootstrap,
    confidence_interval,
    flag_metrics,
    grade_metrics,
    well_covered,
)

#: What can be measured: everything, or one part of the model's own split.
PARTS = ("all", "train", "validation", "test")


@dataclass(frozen=True)
class Evaluation:
    """Photographs that could be judged, their truth and probabilities, and the metrics from them.

    labels: the model's, a column each. truth: [N, L], 0 or 1, NaN where unknown. probability:
    [N, L], calibrated. metrics: what `evaluate --json` prints.

    Example:
        evaluation = evaluate_classifier(open_model(), [Path("labelled")], part="test")
        evaluation.metrics["macro"]["auc"]
    """

    records: list[Record]
    findings: list[Findings]
    labels: LabelSet
    truth: np.ndarray
    probability: np.ndarray
    metrics: dict[str, Any]


def evaluate_classifier(
    model: ModelFolder,
    data: Sequence[Path],
    part: str = "all",
    rounds: int = 200,
    progress: Callable[[int, int], None] = lambda *_: None,
    remark: Callable[[str], None] = lambda _: None,
) -> Evaluation:
    """Measure a model on labelled sets of photographs, as `read_records` reads them.

    part: one of PARTS. rounds: bootstrap resamples of patients. progress: called with the number of
    photographs done and of all. remark: called with a sentence that the reader of the metrics
    should know.

    Raises UsageError for an unknown part, and InputError if the data cannot be read, label nothing
    that the model gives, or hold no photograph of the part that can be judged.
    """
    require_part(part)
    labels, training = model.labels, model.manifest.training
    report = ReadReport()
    records = [r for found in read_sets(data, report).values() for r in found]
    for sentence in report.sentences():
        remark(sentence)
    labelled = dict.fromkeys(key for record in records for key in record.labels)
    if not any(key in labels for key in labelled):
        raise InputError(
            f"{_named(data)} labels nothing that the model gives: it labels {', '.join(labelled)}, "
            f"and the model gives {', '.join(labels)}."
        )
    if part != "all":
        if "split" in training:
            records = Split(**training["split"]).parts(records, model.conditions)[part]
        else:
            remark("The model folder names no split, so all photographs are measured.")
        if not records:
            raise InputError(f"No photograph of {_named(data)} is in part {part}.")
    elif {d.absolute().name for d in data} & {d["name"] for d in training.get("data", [])}:
        remark(
            "The model was trained on photographs of a set by this name; part test measures it "
            "on patients that it has not seen."
        )
    return evaluate(Classifier(model), records, rounds, progress)


def require_part(part: str) -> None:
    """Raise UsageError if `part` is not one of PARTS."""
    if part not in PARTS:
        raise UsageError(f"The part '{part}' is not one of {', '.join(PARTS)}.")


def _named(data: Sequence[Path]) -> str:
    return ", ".join(map(str, data))


def evaluate(
    classifier: Classifier,
    records: Sequence[Record],
    rounds: int = 200,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Evaluation:
    """Classify `records` and compare with their labels.

    Photographs that are ungradable or cannot be read are counted as excluded and judge nothing.
    Every metric comes with its 95 % bootstrap confidence interval over patients (`rounds`
    resamples; None for what is about the positives of a label that has fewer than ten, which also
    counts in no mean), and all of it once more for each source where there are several: what pools
    sources also measures how well these are told apart. Raises InputError if nothing can be judged.
    """
    labels = classifier.model.labels
    kept: list[Record] = []
    findings: list[Findings] = []
    excluded = {"ungradable": 0, "error": 0}
    lost: Counter[tuple[str, str]] = Counter()
    classified = classifier.classify(r.image for r in records)
    for done, (record, finding) in enumerate(zip(records, classified, strict=True), start=1):
        progress(done, len(records))
        if finding.status == "ok":
            kept.append(record)
            findings.append(finding)
        else:
            excluded[finding.status] += 1
            lost[record.source, finding.status] += 1
    if not kept:
        raise InputError("None of the photographs can be judged.")
    truth = label_matrix(kept, labels)
    probability = np.array([[f.probabilities[label] for label in labels] for f in findings])
    grades, graded = grades_of(kept), classifier.referable
    of_grades = np.array([f.grade_probabilities for f in findings])  # [N, 5], [N, 0] without a head

    limits_each = [
        limits_of(f.probabilities, classifier.thresholds, classifier.rule_out) for f in findings
    ]
    limits = np.array([[each[label] for label in labels] for each in limits_each])
    flagged = np.array([bool(f.diseases) for f in findings])
    healthy = truth[:, labels.index(NORMAL)] if NORMAL in labels else np.full(len(kept), np.nan)

    def measure(rows: np.ndarray, counted: Sequence[str]) -> dict[str, Any]:
        values = all_metrics(truth[rows], probability[rows], labels, limits[rows], counted)
        values["any_disease"] = flag_metrics(healthy[rows], flagged[rows])
        if graded is not None:
            values["grade"] = grade_metrics(grades[rows], of_grades[rows], graded)
        return values

    def measured(rows: np.ndarray) -> dict[str, Any]:
        patients = [kept[row].patient for row in rows]
        counted = well_covered(truth[rows], labels)
        resampled = bootstrap(patients, lambda drawn: measure(rows[drawn], counted), rounds)
        return {
            "photographs": len(rows),
            "patients": len(set(patients)),
            "positives": {k: int(np.nansum(truth[rows, i])) for i, k in enumerate(labels)},
            **measure(rows, counted),
            "confidence_intervals": _confidence_intervals(resampled, labels, counted),
        }

    everything = np.arange(len(kept))
    sources = np.array([r.source for r in kept])
    metrics = {
        "model": classifier.model.identity,
        "excluded": excluded,
        "thresholds": classifier.thresholds,
        "rule_out": classifier.rule_out,
        "referable_threshold": graded,
        **measured(everything),
        "confusion": confusion(truth, findings, labels),
        "grade_confusion": _grade_confusion(grades, findings),
        "sources": {
            str(source): {
                **measured(everything[sources == source]),
                "excluded": {status: lost[source, status] for status in excluded},
            }
            for source in (dict.fromkeys(sources) if len(set(sources)) > 1 else ())
        },
    }
    return Evaluation(kept, findings, labels, truth, probability, metrics)


def _grade_confusion(grades: np.ndarray, findings: Sequence[Findings]) -> list[list[int]]:
    """Count how often each grade (rows) was called each grade (columns)."""
    table = np.zeros((5, 5), dtype=int)
    for grade, finding in zip(grades, findings, strict=True):
        if not np.isnan(grade) and finding.grade is not None:
            table[int(grade), finding.grade] += 1
    counts: list[list[int]] = table.tolist()
    return counts


def _confidence_intervals(
    resampled: list[dict[str, Any]], labels: LabelSet, counted: Sequence[str]
) -> dict[str, Any]:
    """Return the interval of each metric over what `measure` gave of each resample, in its form;
    None for those that need positives of a label that is not counted, having too few."""

    def of(part: str, names: Sequence[str]) -> dict[str, Any]:
        return {
            part: {name: confidence_interval([r[part][name] for r in resampled]) for name in names}
        }

    return (of("grade", GRADE_METRICS) if "grade" in resampled[0] else {}) | {
        "labels": {
            label: {
                name: confidence_interval([r["labels"][label][name] for r in resampled])
                if label in counted or name not in OF_POSITIVES
                else None
                for name in METRICS
            }
            for label in labels
        },
        **of("macro", METRICS),
        "odir": confidence_interval([r["odir"] for r in resampled]),
        **of("any_disease", FLAG_METRICS),
    }


def confusion(
    truth: np.ndarray, findings: Sequence[Findings], labels: LabelSet
) -> dict[str, dict[str, int]]:
    """Count, for the photographs that show each label, which labels were called ('none' if no one).

    truth: [N, L]. A photograph with several labels counts under each; 'of' is how many show the
    label.
    """
    table = {}
    for column, label in enumerate(labels):
        shown = [f for f, t in zip(findings, truth[:, column], strict=True) if t == 1]
        row = {called: sum(called in f.positive for f in shown) for called in labels}
        row["none"] = sum(not f.positive for f in shown)
        row["of"] = len(shown)
        table[label] = row
    return table


def worst_errors(evaluation: Evaluation, label: str, count: int = 6) -> list[int]:
    """Return the rows that are most wrong about a label: called wrongly, by the largest gap."""
    column = evaluation.labels.index(label)
    truth, probability = evaluation.truth[:, column], evaluation.probability[:, column]
    called = np.array([label in finding.positive for finding in evaluation.findings])
    wrong = called != (truth == 1)
    rows = np.flatnonzero(wrong & ~np.isnan(truth))
    gap = np.abs(probability[rows] - truth[rows])
    return [int(row) for row in rows[np.argsort(-gap)][:count]]
