"""Measure a model folder's classifier on labelled photographs, as `classify` would run it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .classify import Classifier
from .data.records import Record, label_matrix
from .errors import InputError
from .findings import Findings
from .labels import LABELS
from .metrics import FIGURES, all_figures, bootstrap, interval


@dataclass(frozen=True)
class Evaluation:
    """Pictures that could be judged, their truth and probabilities, and the figures from them.

    truth: [N, L], 0 or 1, NaN where unknown. probability: [N, L]. figures: what `--json` prints.
    """

    records: list[Record]
    findings: list[Findings]
    truth: np.ndarray
    probability: np.ndarray
    thresholds: dict[str, float]
    figures: dict[str, Any]


def evaluate(
    classifier: Classifier,
    records: list[Record],
    rounds: int = 200,
    progress: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Classify `records` and compare with their labels.

    Pictures that are turned away or cannot be read are counted and judge nothing. Every figure
    comes with its 95 % bootstrap interval over patients (`rounds` resamples). Raises InputError if
    nothing can be judged.
    """
    judged: list[tuple[Record, Findings]] = []
    turned_away = {"ungradable": 0, "error": 0}
    for record, findings in zip(
        records, classifier.classify(r.image for r in records), strict=True
    ):
        progress()
        if findings.status == "ok":
            judged.append((record, findings))
        else:
            turned_away[findings.status] += 1
    if not judged:
        raise InputError("None of the photographs can be judged.")
    kept = [record for record, _ in judged]
    truth = label_matrix(kept)
    probability = np.array([[f.probabilities[label] for label in LABELS] for _, f in judged])
    thresholds = classifier.thresholds
    figures = all_figures(truth, probability, thresholds)
    resampled = bootstrap(
        [r.patient for r in kept],
        lambda rows: all_figures(truth[rows], probability[rows], thresholds),
        rounds,
    )
    figures["intervals"] = {
        "labels": {
            label: {
                name: interval([r["labels"][label][name] for r in resampled]) for name in FIGURES
            }
            for label in LABELS
        },
        "macro": {name: interval([r["macro"][name] for r in resampled]) for name in FIGURES},
        "odir": interval([r["odir"] for r in resampled]),
    }
    figures = {
        "model": classifier.model.identity,
        "photographs": len(kept),
        "patients": len({r.patient for r in kept}),
        "turned_away": turned_away,
        "thresholds": thresholds,
        **figures,
        "confusion": confusion(truth, [f for _, f in judged]),
    }
    return Evaluation(kept, [f for _, f in judged], truth, probability, thresholds, figures)


def confusion(truth: np.ndarray, findings: list[Findings]) -> dict[str, dict[str, int]]:
    """Count, for the pictures that show each label, which labels were called ('none' if no one).

    A picture with several labels counts under each; 'of' is how many pictures show the label.
    """
    table = {}
    for column, label in enumerate(LABELS):
        shown = [f for f, t in zip(findings, truth[:, column], strict=True) if t == 1]
        row = {called: sum(called in f.positive for f in shown) for called in LABELS}
        row["none"] = sum(not f.positive for f in shown)
        row["of"] = len(shown)
        table[label] = row
    return table


def worst_errors(evaluation: Evaluation, label: str, count: int = 6) -> list[int]:
    """Return the rows that are most wrong about a label: called wrongly, by the largest gap."""
    column = LABELS.index(label)
    truth, probability = evaluation.truth[:, column], evaluation.probability[:, column]
    wrong = (probability >= evaluation.thresholds[label]) != (truth == 1)
    rows = np.flatnonzero(wrong & ~np.isnan(truth))
    gap = np.abs(probability[rows] - truth[rows])
    return [int(row) for row in rows[np.argsort(-gap)][:count]]
