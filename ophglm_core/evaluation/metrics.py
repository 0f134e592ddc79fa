"""How good a classifier is, by the field's usual metrics (scikit-learn's, where it has them)."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np

from ..conditions import LabelSet
from ..grading import REFERABLE, suggested_grade

#: Equal-width bins of the expected calibration error (Guo et al. 2017, arXiv 1706.04599).
ECE_BINS = 10
#: Of fewer positives than this a figure says next to nothing: it is marked, has no confidence
#: interval (a bootstrap of one positive gives 1.000 to 1.000), and counts in no mean.
FEWEST_POSITIVES = 10
#: The metrics of one label, in the order in which they are shown.
METRICS = (
    "auc",
    "average_precision",
    "sensitivity",
    "specificity",
    "f1",
    "kappa",
    "brier",
    "ece",
)
#: Those of them that are about the positives.
OF_POSITIVES = frozenset({"auc", "average_precision", "sensitivity", "f1", "kappa"})


def expected_calibration_error(actual: np.ndarray, probability: np.ndarray) -> float:
    """Mean gap between probability and frequency over ten equal-width bins, weighted by size.

    actual: [N], 0 or 1. probability: [N].
    """
    bins = np.minimum((probability * ECE_BINS).astype(int), ECE_BINS - 1)
    gap = 0.0
    for index in range(ECE_BINS):
        inside = bins == index
        if inside.any():
            gap += abs(actual[inside].mean() - probability[inside].mean()) * inside.mean()
    return float(gap)


def _f1(actual: np.ndarray, called: np.ndarray) -> float:
    """F1 score of 0 or 1 [N]; 0 where neither has a 1. scikit-learn's says the same and takes a
    millisecond, which a bootstrap needs thousands of times."""
    ones = int(actual.sum() + called.sum())
    return 2 * int((actual & called).sum()) / ones if ones else 0.0


def _kappa(actual: np.ndarray, called: np.ndarray) -> float:
    """Kappa (Cohen 1960) of 0 or 1 [N]; 1 where both are one value throughout. See `_f1`."""
    a, b = actual.mean(), called.mean()
    by_chance = a * b + (1 - a) * (1 - b)
    if by_chance == 1:
        return 1.0
    return float(((actual == called).mean() - by_chance) / (1 - by_chance))


def label_metrics(
    actual: np.ndarray, probability: np.ndarray, threshold: float | np.ndarray
) -> dict[str, float | None]:
    """Return METRICS of one label: actual [N] 0 or 1, probability [N], positive from threshold, of
    all or of each.

    Metrics that need both positives and negatives are None where one is missing.
    """
    from sklearn.metrics import average_precision_score

    positive, negative = int(actual.sum()), int((1 - actual).sum())
    called = (probability >= threshold).astype(int)
    both = positive > 0 and negative > 0
    return {
        "auc": _auc(actual, probability),
        "average_precision": (
            float(average_precision_score(actual, probability)) if positive else None
        ),
        "sensitivity": float(called[actual == 1].mean()) if positive else None,
        "specificity": float(1 - called[actual == 0].mean()) if negative else None,
        "f1": _f1(actual, called) if positive else None,
        "kappa": _kappa(actual, called) if both else None,
        "brier": float(np.mean((probability - actual) ** 2)) if actual.size else None,
        "ece": expected_calibration_error(actual, probability) if actual.size else None,
    }


def all_metrics(
    truth: np.ndarray,
    probability: np.ndarray,
    labels: LabelSet,
    limits: np.ndarray,
    counted: Collection[str] | None = None,
) -> dict[str, Any]:
    """Return the metrics of every label ('labels'), their means over the diseases ('macro'), and
    the ODIR score ('odir').

    truth: [N, L], 0 or 1, NaN where unknown. probability: [N, L]. limits: [N, L], from which
    probability on each is called. All have a column a label, in the order of `labels`. counted: the
    labels that may count in the means, by default those of FEWEST_POSITIVES or more; a resample
    gives those of the whole, so that all have the mean of the same diseases. What is defined for no
    disease that counts has no mean: None.
    """
    if counted is None:
        counted = well_covered(truth, labels)
    by_label = {}
    for column, label in enumerate(labels):
        known = ~np.isnan(truth[:, column])
        by_label[label] = label_metrics(
            truth[known, column].astype(int), probability[known, column], limits[known, column]
        )
    means = {
        name: mean_defined([by_label[d][name] for d in labels.diseases if d in counted])
        for name in METRICS
    }
    # JSON has no NaN.
    macro = {name: None if math.isnan(mean) else mean for name, mean in means.items()}
    return {"labels": by_label, "macro": macro, "odir": _odir_score(truth, probability, limits)}


def well_covered(truth: np.ndarray, labels: Iterable[str]) -> list[str]:
    """Return the labels that have FEWEST_POSITIVES positives or more in truth [N, L]."""
    positives = (truth == 1).sum(axis=0)
    return [k for k, count in zip(labels, positives, strict=True) if count >= FEWEST_POSITIVES]


#: How a photograph comes out as a whole, in the order in which it is shown.
FLAG_METRICS = ("sensitivity", "specificity")


def flag_metrics(healthy: np.ndarray, flagged: np.ndarray) -> dict[str, float | None]:
    """Return FLAG_METRICS: of the photographs with a disease, the share that is flagged for one,
    whichever it is; of those without, the share that is flagged for none.

    healthy: [N], 1 without a disease, 0 with one, NaN where unknown. flagged: [N], whether for any.
    """
    return {
        "sensitivity": float(flagged[healthy == 0].mean()) if (healthy == 0).any() else None,
        "specificity": float(1 - flagged[healthy == 1].mean()) if (healthy == 1).any() else None,
    }


#: The metrics of the grade of diabetic retinopathy, in the order in which they are shown.
GRADE_METRICS = (
    "kappa",
    "exact",
    "within_one",
    "referable_auc",
    "referable_sensitivity",
    "referable_specificity",
)


def grade_metrics(
    actual: np.ndarray, probability: np.ndarray, threshold: float
) -> dict[str, float | None]:
    """Return GRADE_METRICS: quadratic weighted kappa, shares of grades that are met and missed by
    one at most, and how well moderate retinopathy or worse is told from less.

    actual: [N], 0 to 4, NaN where unknown. probability: [N, 5], of each grade. threshold: on the
    probability of moderate or worse. What is not defined is None.
    """
    known = ~np.isnan(actual)
    grades, probability = actual[known].astype(int), probability[known]
    if not grades.size:
        return dict.fromkeys(GRADE_METRICS)
    called = suggested_grade(probability)
    refer = (grades >= REFERABLE).astype(int)
    score = probability[:, REFERABLE:].sum(axis=1)
    by_label = label_metrics(refer, score, threshold)
    return {
        "kappa": quadratic_kappa(grades, called),
        "exact": float((called == grades).mean()),
        "within_one": float((abs(called - grades) <= 1).mean()),
        **{f"referable_{name}": by_label[name] for name in ("auc", "sensitivity", "specificity")},
    }


def _odir_score(truth: np.ndarray, probability: np.ndarray, limits: np.ndarray) -> float | None:
    """The ODIR-2019 challenge's score: mean of kappa, F1 and AUC over all labels taken as one.

    truth, probability, limits: [N, L].
    """
    known = ~np.isnan(truth)
    actual, score = truth[known].astype(int), probability[known]
    called = (probability >= limits)[known].astype(int)
    area = _auc(actual, score)
    if area is None:
        return None
    return (_kappa(actual, called) + _f1(actual, called) + area) / 3


def bootstrap(
    patients: Sequence[str],
    compute: Callable[[np.ndarray], dict[str, Any]],
    rounds: int = 200,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Compute metrics on `rounds` resamples of patients (with replacement, all their pictures).

    patients: one a picture. compute: takes row numbers and returns metrics.
    """
    rng = np.random.default_rng(seed)
    rows: dict[str, list[int]] = {}
    for row, patient in enumerate(patients):
        rows.setdefault(patient, []).append(row)
    groups = [np.array(group) for group in rows.values()]
    results = []
    for _ in range(rounds):
        sampled = rng.integers(0, len(groups), len(groups))
        results.append(compute(np.concatenate([groups[i] for i in sampled])))
    return results


def confidence_interval(values: Sequence[float | None]) -> list[float] | None:
    """Return the 95 % percentile interval [low, high] of the values that are defined, or None
    where fewer than two are."""
    numbers = [float(v) for v in values if v is not None and not math.isnan(v)]
    if len(numbers) < 2:
        return None
    return [float(np.percentile(numbers, 2.5)), float(np.percentile(numbers, 97.5))]


def auc_per_label(
    truth: np.ndarray, score: np.ndarray, labels: Iterable[str]
) -> dict[str, float | None]:
    """Area under the ROC curve per label.

    truth: [N, L], 0 or 1, NaN where unknown. score: [N, L], of any scale. A label that lacks
    positives or negatives gets None.
    """
    result: dict[str, float | None] = {}
    for column, label in enumerate(labels):
        known = ~np.isnan(truth[:, column])
        result[label] = _auc(truth[known, column], score[known, column])
    return result


def _auc(actual: np.ndarray, score: np.ndarray) -> float | None:
    """Area under the ROC curve by ranks (Hanley and McNeil 1982), or None where positives or
    negatives are missing."""
    from scipy.stats import rankdata

    positive = int(actual.sum())
    negative = actual.size - positive
    if not positive or not negative:
        return None
    above = float(rankdata(score)[actual == 1].sum()) - positive * (positive + 1) / 2
    return above / (positive * negative)


def quadratic_kappa(actual: np.ndarray, called: np.ndarray) -> float | None:
    """Quadratic weighted kappa of grades [N] (Cohen 1968); None where one grade is all there is."""
    from sklearn.metrics import cohen_kappa_score

    if len(set(actual) | set(called)) < 2:
        return None
    return float(cohen_kappa_score(actual, called, weights="quadratic"))


def mean_defined(values: Sequence[Any]) -> float:
    """Mean of the values that are numbers; NaN if there is none."""
    numbers = [float(v) for v in values if v is not None and not math.isnan(float(v))]
    return sum(numbers) / len(numbers) if numbers else math.nan
