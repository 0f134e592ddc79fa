"""How good a classifier is, by the field's usual figures (scikit-learn's, where it has them)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def auc_per_label(
    truth: np.ndarray, score: np.ndarray, labels: tuple[str, ...]
) -> dict[str, float | None]:
    """Area under the ROC curve per label.

    truth: [N, L], 0 or 1, NaN where unknown. score: [N, L]. A label that lacks positives or
    negatives gets None.
    """
    from sklearn.metrics import roc_auc_score

    result: dict[str, float | None] = {}
    for column, label in enumerate(labels):
        known = ~np.isnan(truth[:, column])
        actual = truth[known, column]
        both = actual.size and 0 < actual.sum() < actual.size
        result[label] = float(roc_auc_score(actual, score[known, column])) if both else None
    return result


def mean_defined(values: list[Any]) -> float:
    """Mean of the values that are numbers; NaN if there is none."""
    numbers = [float(v) for v in values if v is not None and not math.isnan(float(v))]
    return sum(numbers) / len(numbers) if numbers else math.nan
