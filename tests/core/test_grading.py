from __future__ import annotations

import numpy as np
import pytest

from ophglm_core.conditions import LabelSet
from ophglm_core.evaluation.metrics import grade_metrics, quadratic_kappa
from ophglm_core.findings import Findings
from ophglm_core.grading import GRADE_NAMES, grade_probabilities, suggested_grade
from ophglm_core.wording import describe, grade_text

LABELS = LabelSet.of(["normal", "dr", "cataract"])


def test_bounds_become_probabilities_of_each_grade() -> None:
    probabilities = grade_probabilities(np.array([0.9, 0.7, 0.2, 0.05]))
    assert probabilities == pytest.approx([0.1, 0.2, 0.5, 0.15, 0.05])
    # A bound that is above a lower grade's cannot be: the lower one holds.
    crossed = grade_probabilities(np.array([[0.3, 0.6, 0.1, 0.2]]))
    assert crossed == pytest.approx(np.array([[0.7, 0.0, 0.2, 0.0, 0.1]]))
    assert crossed.min() >= 0


def test_the_suggested_grade_is_the_median() -> None:
    grades = suggested_grade(
        np.array([[0.6, 0.1, 0.1, 0.1, 0.1], [0.4, 0.0, 0.0, 0.0, 0.6], [0.2, 0.2, 0.2, 0.2, 0.2]])
    )
    assert grades.tolist() == [0, 4, 2]


def test_metrics_of_grades() -> None:
    actual = np.array([0, 1, 2, 3, 4, np.nan])
    sure = np.eye(5)[[0, 1, 2, 3, 4, 0]]
    right = grade_metrics(actual, sure, 0.5)
    assert right["kappa"] == 1
    assert right["exact"] == right["within_one"] == 1
    assert right["referable_auc"] == right["referable_sensitivity"] == 1
    missed = grade_metrics(actual, np.eye(5)[[1, 1, 1, 1, 4, 0]], 0.5)
    assert missed["exact"] == pytest.approx(2 / 5)
    assert missed["within_one"] == pytest.approx(4 / 5)
    assert missed["referable_sensitivity"] == pytest.approx(1 / 3)
    assert missed["referable_specificity"] == 1
    # By hand: 1 - sum of squared differences over that expected from the margins.
    got = quadratic_kappa(np.array([0, 1, 2, 3]), np.array([0, 1, 2, 1]))
    rows, columns = np.array([0, 1, 2, 3]), np.array([0, 1, 2, 1])
    expected = np.mean([(r - c) ** 2 for r in rows for c in columns])
    assert got == pytest.approx(1 - (4 / 4) / expected)
    assert set(grade_metrics(np.array([np.nan]), sure[:1], 0.5).values()) == {None}


def finding(positive: list[str], grade: int) -> Findings:
    values = {"normal": 0.1, "dr": 0.8, "cataract": 0.02}
    probabilities = (0.05, 0.21, 0.54, 0.15, 0.05)
    return Findings(
        "a", "ok", "m", values, positive, grade, probabilities if grade == 2 else (1.0, 0, 0, 0, 0)
    )


def test_a_grade_is_a_suggestion_with_its_neighbours() -> None:
    text = grade_text(finding(["dr"], 2))
    assert text == (
        "2, moderate non-proliferative (54%; mild non-proliferative 21%, severe "
        "non-proliferative 15%)"
    )
    assert "suggests on the ICDR scale is 2, moderate" in describe(finding(["dr"], 2), LABELS)
    assert "分级建议（ICDR分级）：2级，中度非增生型（54%" in describe(
        finding(["dr"], 2), LABELS, "zh"
    )
    assert "ICDR" not in describe(finding(["cataract"], 2), LABELS)  # none of what is not found
    assert grade_text(Findings("a", "ok", "m")) == ""
    assert all(len(names) == 5 for names in GRADE_NAMES.values())
