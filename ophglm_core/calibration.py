"""Probabilities that mean what they say, and the thresholds from which a label is positive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from .conditions import NORMAL
from .manifest import Calibration, Head

#: A label that is told apart poorly would be flagged on most photographs at a high sensitivity, and
#: nobody would look at its flags any more.
_LEAST_SPECIFICITY = 0.7
#: So many of the photographs with a disease lie below the probability of 'normal' from which
#: diseases are ruled out. Without that nine of ten healthy photographs would be flagged for one.
_NOT_RULED_OUT = 0.9
#: Fewer positives or negatives than this and a label keeps the network's own probability.
_FEWEST = 2


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Logistic function, without overflow."""
    result: np.ndarray = 0.5 * (1.0 + np.tanh(0.5 * values))
    return result


def calibrated(logits: np.ndarray, head: Head) -> np.ndarray:
    """Turn a head's logits [N, L] into calibrated probabilities [N, L]."""
    each = [head.calibration_of(label) for label in head.labels]
    scale = np.array([c.scale for c in each])
    offset = np.array([c.offset for c in each])
    return sigmoid(logits * scale + offset)


def calibrated_outputs(logits: np.ndarray, heads: Sequence[Head]) -> np.ndarray:
    """Turn the logits of all heads [N, outputs] into calibrated probabilities [N, outputs]."""
    return np.concatenate([calibrated(logits[:, c], h) for h, c in _with_columns(heads)], axis=1)


def _with_columns(heads: Sequence[Head]) -> Iterator[tuple[Head, slice]]:
    """Yield each head with the columns of its outputs."""
    start = 0
    for head in heads:
        yield head, slice(start, start := start + len(head.labels))


def fit_heads(heads: Sequence[Head], logits: np.ndarray, truth: np.ndarray) -> None:
    """Fit the calibration of all heads of an encoder on validation pictures, each on those that
    know all of its outputs, or, where no picture does, on all.

    logits, truth: [N, outputs]; truth is 0 or 1, NaN where unknown.
    """
    for head, columns in _with_columns(heads):
        complete = ~np.isnan(truth[:, columns]).any(axis=1)
        rows = complete if complete.any() else np.ones_like(complete)
        own, actual = logits[rows][:, columns], truth[rows][:, columns]
        head.calibration = fit_calibration(own, actual, head.labels, head.operating_point)
        if NORMAL in head.labels:
            column = head.labels.index(NORMAL)
            head.rule_out = choose_rule_out(
                calibrated(own, head)[:, column],
                actual[:, column],
                head.calibration_of(NORMAL).threshold,
            )


def fit_calibration(
    logits: np.ndarray, truth: np.ndarray, labels: Iterable[str], operating_point: float = 0.85
) -> dict[str, Calibration]:
    """Fit Platt scaling and a threshold per label on validation pictures.

    logits, truth: [N, L]; truth is 0 or 1, NaN where unknown. The threshold is the highest one
    whose sensitivity is at least `operating_point` (for 'normal' too: normal pictures found), or,
    where that leaves a specificity under 0.7, the lowest one that reaches this.
    Source: Platt 1999, 'Probabilistic outputs for support vector machines'.
    """
    result = {}
    for column, label in enumerate(labels):
        known = ~np.isnan(truth[:, column])
        actual, score = truth[known, column].astype(int), logits[known, column]
        if min(actual.sum(), (1 - actual).sum()) < _FEWEST:
            result[label] = Calibration()
            continue
        scale, offset = _platt(score, actual)
        probability = sigmoid(score * scale + offset)
        threshold = choose_threshold(probability, actual, operating_point)
        result[label] = Calibration(round(scale, 5), round(offset, 5), round(threshold, 5))
    return result


def choose_threshold(probability: np.ndarray, actual: np.ndarray, operating_point: float) -> float:
    """Return the highest threshold whose sensitivity is at least `operating_point`, or, where that
    leaves a specificity under 0.7, the lowest one that reaches this.

    probability, actual: [N]; actual is 0 or 1 and has both.
    """
    return max(
        threshold_for_sensitivity(probability, actual, operating_point),
        threshold_for_specificity(probability, actual, _LEAST_SPECIFICITY),
    )


def choose_rule_out(probability: np.ndarray, actual: np.ndarray, threshold: float) -> float | None:
    """Return the probability of 'normal' from which diseases are ruled out: nine of ten photographs
    with one lie below it, and it is no lower than the threshold. None without such photographs.

    probability, actual: [N], of 'normal'; actual is 0 or 1, NaN where unknown.
    """
    if not (actual == 0).any():
        return None
    above = threshold_for_specificity(probability, actual, _NOT_RULED_OUT)
    return round(max(above, threshold), 5)


def refit(
    old: Calibration, logits: np.ndarray, actual: np.ndarray, operating_point: float
) -> Calibration:
    """Fit an output's calibration anew on other pictures: temperature and offset on the old
    calibration's log odds, and the threshold as `choose_threshold` does.

    logits, actual: [N]; actual is 0 or 1 and has both. The logarithm of the temperature has a
    normal prior of deviation 1, so that few positives do not give certainty. Sources: Guo et al.
    2017, 'On calibration of modern neural networks' (arXiv 1706.04599); Platt 1999.
    """
    from scipy.optimize import minimize

    odds = logits * old.scale + old.offset

    def loss(parameters: np.ndarray) -> float:
        sharpness, shift = parameters
        values = odds * np.exp(sharpness) + shift
        return float((np.logaddexp(0, values) - actual * values).sum() + sharpness**2 / 2)

    sharpness, shift = minimize(loss, np.zeros(2), method="L-BFGS-B").x
    scale = round(float(old.scale * np.exp(sharpness)), 5)
    offset = round(float(old.offset * np.exp(sharpness) + shift), 5)
    probability = sigmoid(logits * scale + offset)
    return Calibration(
        scale, offset, round(choose_threshold(probability, actual, operating_point), 5)
    )


def _platt(score: np.ndarray, actual: np.ndarray) -> tuple[float, float]:
    from sklearn.linear_model import LogisticRegression

    # A weak pull towards a flat answer keeps few positives from giving certainty.
    model = LogisticRegression(C=1.0).fit(score[:, None], actual)
    scale, offset = float(model.coef_[0, 0]), float(model.intercept_[0])
    return (scale, offset) if scale > 0 else (1.0, 0.0)


def threshold_for_sensitivity(
    probability: np.ndarray, actual: np.ndarray, sensitivity: float
) -> float:
    """Return the highest threshold at which `sensitivity` of the positives (0..1) is reached."""
    positives = np.sort(probability[actual == 1])[::-1]
    needed = max(1, int(np.ceil(sensitivity * positives.size - 1e-9)))
    # Just below the last positive that must be found, so that rounding cannot lose it.
    return float(max(0.0, positives[needed - 1] - 1e-5))


def threshold_for_specificity(
    probability: np.ndarray, actual: np.ndarray, specificity: float
) -> float:
    """Return the lowest threshold at which `specificity` of the negatives (0..1) is reached."""
    negatives = np.sort(probability[actual == 0])
    below = int(np.ceil(specificity * negatives.size - 1e-9))
    # Just above the last negative that must stay below.
    return float(negatives[below - 1] + 1e-5) if below else 0.0
