from __future__ import annotations

import numpy as np
import pytest

from ophglm_core.labels import LABELS
from ophglm_core.metrics import (
    all_figures,
    auc_per_label,
    bootstrap,
    expected_calibration_error,
    interval,
)


def test_calibration_error_by_hand() -> None:
    actual = np.array([0, 1, 1, 1])
    probability = np.array([0.05, 0.05, 0.95, 0.95])
    # Two bins of two: gaps |0.5 - 0.05| and |1 - 0.95|, each with half the weight.
    assert expected_calibration_error(actual, probability) == pytest.approx(0.25)


def test_unknown_labels_are_left_out() -> None:
    truth = np.full((6, len(LABELS)), np.nan)
    truth[:4, 1] = [0, 0, 1, 1]
    score = np.zeros((6, len(LABELS)))
    score[:, 1] = [0.1, 0.2, 0.8, 0.9, 0.99, 0.01]
    figures = all_figures(truth, score, dict.fromkeys(LABELS, 0.5))
    assert figures["labels"]["dr"]["auc"] == 1.0
    assert figures["labels"]["dr"]["kappa"] == 1.0
    assert figures["labels"]["amd"]["auc"] is None
    assert figures["macro"]["auc"] == 1.0
    assert auc_per_label(truth, score, LABELS)["normal"] is None


def test_bootstrap_draws_patients_and_not_pictures() -> None:
    patients = ["a", "a", "a", "b", "c"]
    seen = bootstrap(patients, lambda rows: {"rows": sorted(rows.tolist())}, rounds=50)
    for result in seen:
        rows = result["rows"]
        assert rows.count(0) == rows.count(1) == rows.count(2)
    assert len({tuple(r["rows"]) for r in seen}) > 3


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(60):
        values = rng.normal(size=80)
        means = bootstrap(
            [str(i) for i in range(80)],
            lambda rows, values=values: {"mean": float(values[rows].mean())},  # type: ignore[misc]
            rounds=200,
            seed=trial,
        )
        span = interval([m["mean"] for m in means])
        assert span is not None
        covered += span[0] <= 0 <= span[1]
    assert 48 <= covered <= 60
    assert interval([None, 1.0]) is None
