from __future__ import annotations

import json

import numpy as np
import pytest

from ophglm_core.conditions import LabelSet, default_labels
from ophglm_core.evaluation.classification import confusion
from ophglm_core.evaluation.metrics import (
    METRICS,
    all_metrics,
    auc_per_label,
    bootstrap,
    confidence_interval,
    expected_calibration_error,
    label_metrics,
    well_covered,
)
from ophglm_core.findings import Findings


def test_calibration_error_by_hand() -> None:
    actual = np.array([0, 1, 1, 1])
    probability = np.array([0.05, 0.05, 0.95, 0.95])
    # Two bins of two: gaps |0.5 - 0.05| and |1 - 0.95|, each with half the weight.
    assert expected_calibration_error(actual, probability) == pytest.approx(0.25)


def test_unknown_labels_are_left_out() -> None:
    labels = default_labels()
    truth = np.full((6, len(labels)), np.nan)
    truth[:4, 1] = [0, 0, 1, 1]
    score = np.zeros((6, len(labels)))
    score[:, 1] = [0.1, 0.2, 0.8, 0.9, 0.99, 0.01]
    metrics = all_metrics(truth, score, labels, np.full(truth.shape, 0.5))
    assert metrics["labels"]["dr"]["auc"] == 1.0
    assert metrics["labels"]["dr"]["kappa"] == 1.0
    assert metrics["labels"]["amd"]["auc"] is None
    assert metrics["macro"]["auc"] is None  # of two positives
    assert auc_per_label(truth, score, labels)["normal"] is None


def test_what_is_defined_for_no_disease_is_null_and_valid_json() -> None:
    labels = LabelSet.of(["normal", "dr"])
    truth = np.array([[1.0, np.nan], [0.0, np.nan]])
    metrics = all_metrics(truth, np.full((2, 2), 0.5), labels, np.full((2, 2), 0.5))
    assert metrics["macro"] == dict.fromkeys(METRICS)
    json.dumps(metrics, allow_nan=False)


def test_a_models_own_labels_have_their_metrics_and_their_place_in_the_mean() -> None:
    labels = LabelSet.of(["normal", "dr", "toy"], own=["toy"])
    truth = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1]], dtype=float)
    probability = np.array([[0.9, 0.1, 0.2], [0.1, 0.9, 0.7], [0.1, 0.2, 0.6], [0.1, 0.8, 0.9]])
    limits = np.tile([0.5, 0.5, 0.65], (4, 1))
    metrics = all_metrics(truth, probability, labels, limits, counted=["dr", "toy"])
    assert list(metrics["labels"]) == ["normal", "dr", "toy"]
    assert metrics["labels"]["dr"]["auc"] == 1.0
    assert metrics["labels"]["toy"]["auc"] == 0.75
    assert metrics["labels"]["toy"]["sensitivity"] == 0.5
    assert metrics["macro"]["auc"] == pytest.approx((1.0 + 0.75) / 2)
    assert 0 < metrics["odir"] < 1

    called = [["normal"], ["dr", "toy"], [], ["dr", "toy"]]
    findings = [
        Findings("-", "ok", "-", dict(zip(labels, row, strict=True)), positive)
        for row, positive in zip(probability.tolist(), called, strict=True)
    ]
    assert confusion(truth, findings, labels) == {
        "normal": {"normal": 1, "dr": 0, "toy": 0, "none": 0, "of": 1},
        "dr": {"normal": 0, "dr": 2, "toy": 2, "none": 0, "of": 2},
        "toy": {"normal": 0, "dr": 1, "toy": 1, "none": 1, "of": 2},
    }


def test_a_label_of_few_positives_counts_in_no_mean() -> None:
    labels = LabelSet.of(["normal", "dr", "amd"])
    truth = np.zeros((40, 3))
    truth[:10, 1], truth[:9, 2] = 1, 1
    probability = np.tile(np.linspace(0.6, 0, 40)[:, None], 3)  # finds both without a mistake
    probability[0, 1] = 0.0  # but for one
    limits = np.full(truth.shape, 0.5)
    assert well_covered(truth, labels) == ["dr"]
    metrics = all_metrics(truth, probability, labels, limits)
    assert metrics["labels"]["amd"]["auc"] == 1.0
    assert metrics["macro"]["auc"] == metrics["labels"]["dr"]["auc"] < 1.0
    truth[9, 2] = 1
    metrics = all_metrics(truth, probability, labels, limits)
    assert metrics["macro"]["auc"] == pytest.approx((metrics["labels"]["dr"]["auc"] + 1) / 2)


def test_bootstrap_draws_patients_and_not_pictures() -> None:
    patients = ["a", "a", "a", "b", "c"]
    results = bootstrap(patients, lambda rows: {"rows": sorted(rows.tolist())}, rounds=50)
    for result in results:
        rows = result["rows"]
        assert rows.count(0) == rows.count(1) == rows.count(2)
    assert len({tuple(r["rows"]) for r in results}) > 3


def test_a_confidence_interval_covers_the_truth_about_as_often_as_it_says() -> None:
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
        interval = confidence_interval([m["mean"] for m in means])
        assert interval is not None
        covered += interval[0] <= 0 <= interval[1]
    assert 48 <= covered <= 60
    assert confidence_interval([None, 1.0]) is None


def test_figures_of_one_label_are_scikit_learn_s() -> None:
    from sklearn.metrics import brier_score_loss, cohen_kappa_score, f1_score, roc_auc_score

    random = np.random.default_rng(0)
    for size in (3, 40, 400):
        for _ in range(20):
            actual = (random.random(size) < 0.3).astype(int)
            actual[:2] = 0, 1
            score = np.round(random.random(size), 1)  # with ties
            got = label_metrics(actual, score, 0.5)
            called = (score >= 0.5).astype(int)
            assert got["f1"] == pytest.approx(f1_score(actual, called, zero_division=0.0))
            assert got["kappa"] == pytest.approx(cohen_kappa_score(actual, called))
            assert got["auc"] == pytest.approx(roc_auc_score(actual, score))
            assert got["brier"] == pytest.approx(brier_score_loss(actual, score))
