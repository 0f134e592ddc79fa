from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from ophglm_core import calibration, knowledge, quality
from ophglm_core.conditions import CONDITIONS, DEFAULT_LABELS, default_labels
from ophglm_core.findings import Findings, positive_labels
from ophglm_core.manifest import Calibration, Head
from ophglm_core.wording import describe as describe_in
from ophglm_core.wording import message_in, percent

DISEASES = default_labels().diseases


def describe(findings: Findings, language: str = "en") -> str:
    return describe_in(findings, default_labels(), language)


LOW = dict.fromkeys(DEFAULT_LABELS, 0.02)


def findings(positive: list[str], **probabilities: float) -> Findings:
    return Findings("a.jpg", "ok", "m", {**LOW, **probabilities}, positive)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("label", DISEASES)
def test_a_finding_is_a_suspicion_with_its_probability(label: str, language: str) -> None:
    text = describe(findings([label], **{label: 1.0}), language)
    assert "99%" in text
    assert "100%" not in text
    weak = {"en": ("suggest", "suspicion", "suspected"), "zh": ("提示", "可疑")}[language]
    assert any(word in text for word in weak)
    others = [CONDITIONS[d] for d in DISEASES if d != label]
    assert not any((c.name if language == "en" else c.name_zh) in text for c in others)


def test_a_low_probability_is_flagged_and_not_shown() -> None:
    text = describe(findings(["dr", "glaucoma"], dr=0.91, glaucoma=0.05))
    assert "shows signs that suggest diabetic retinopathy (91%)" in text
    assert "flagged at the screening threshold for glaucoma (5%)" in text
    assert "more likely absent than present" in text
    alone = describe(findings(["glaucoma"], glaucoma=0.05))
    assert "suspicion" not in alone
    assert "shows" not in alone
    chinese = describe(findings(["glaucoma"], glaucoma=0.05), "zh")
    assert "更可能没有" in chinese


def test_a_hazy_picture_excludes_nothing() -> None:
    text = describe(findings(["cataract"], cataract=0.8))
    assert "media opacity, cataract suspected" in text
    assert "none is excluded" in text


def test_normal_and_uncertain_and_ungradable() -> None:
    assert "no sign of a condition" in describe(findings(["normal"], normal=0.9))
    assert "uncertain" in describe(findings([]))
    ungradable = Findings("a", "ungradable", "m", message="Not graded: it is too dark.")
    assert "nothing is concluded" in describe(ungradable)
    assert "没有从中得出任何结论" in describe(ungradable, "zh")


def test_positive_labels_put_disease_before_normal() -> None:
    thresholds = dict.fromkeys(DEFAULT_LABELS, 0.5)
    assert positive_labels({**LOW, "normal": 0.9}, thresholds) == ["normal"]
    assert positive_labels({**LOW, "normal": 0.9, "dr": 0.5}, thresholds) == ["dr"]
    assert positive_labels(LOW, thresholds) == []


def test_low_thresholds_do_not_flag_what_is_rather_normal() -> None:
    thresholds = {**dict.fromkeys(DEFAULT_LABELS, 0.025), "normal": 0.4}
    seen = {**LOW, "glaucoma": 0.03}
    assert positive_labels({**seen, "normal": 0.69}, thresholds, 0.7) == ["glaucoma"]
    assert positive_labels({**seen, "normal": 0.7}, thresholds, 0.7) == ["normal"]
    assert positive_labels({**seen, "normal": 0.9, "dr": 0.5}, thresholds, 0.7) == ["dr"]
    assert positive_labels({**seen, "normal": 0.9}, thresholds) == ["glaucoma"]


def test_what_a_probable_normal_outweighs_is_said() -> None:
    found = replace(findings(["normal"], normal=0.75, dr=0.3), outweighed=["dr"])
    assert "not flagged beside so probable a normal retina" in describe(found)
    assert "diabetic retinopathy (30%)" in describe(found)
    assert "而未提示：糖尿病视网膜病变" in describe(found, "zh")


def test_nine_of_ten_with_a_disease_lie_below_what_rules_it_out() -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros((2000, 2))
    truth[:, 0] = rng.random(2000) < 0.5
    truth[:, 1] = 1 - truth[:, 0]
    logits = rng.normal(size=truth.shape) + truth
    head = Head("conditions", "multi_label", ["normal", "dr"])
    calibration.fit_heads([head], logits, truth)
    normal = calibration.calibrated(logits, head)[:, 0]
    assert head.rule_out is not None
    assert 0.895 < (normal[truth[:, 1] == 1] < head.rule_out).mean() < 0.905
    # Where normal is told apart well, its own threshold lies higher and holds.
    logits = rng.normal(size=truth.shape) + 9 * truth
    calibration.fit_heads([head], logits, truth)
    assert head.rule_out == head.calibration["normal"].threshold


def test_percent_gives_no_certainty() -> None:
    assert percent(0.9999) == "over 99%"
    assert percent(0.0001) == "under 1%"
    assert percent(0.425) == "42%"


def test_json_keeps_its_published_fields() -> None:
    line = findings(["dr"], dr=0.91234).to_json()
    assert list(line) == [
        "image",
        "status",
        "probabilities",
        "positive",
        "dr_grade",
        "referable",
        "message",
        "eye",
        "patient",
        "acquired",
        "model",
        "dicom",
        "eye_given",
    ]
    assert list(line["probabilities"]) == list(DEFAULT_LABELS)
    assert line["probabilities"]["dr"] == 0.9123


def test_calibration_recovers_probabilities_and_reaches_its_sensitivity() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(4000, len(DEFAULT_LABELS))) * 3 - 1
    truth = (rng.random(true.shape) < calibration.sigmoid(true)).astype(float)
    overconfident = 3 * true + 1
    fitted = calibration.fit_calibration(overconfident, truth, default_labels(), 0.85)
    probabilities = calibration.calibrated(
        overconfident, Head("conditions", "multi_label", list(DEFAULT_LABELS), fitted)
    )
    assert np.abs(probabilities - calibration.sigmoid(true)).mean() < 0.02
    for column, label in enumerate(DEFAULT_LABELS):
        found = probabilities[truth[:, column] == 1, column] >= fitted[label].threshold
        assert 0.85 <= found.mean() < 0.86


def test_a_label_that_is_told_apart_poorly_is_not_flagged_everywhere() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random((4000, 1)) < 0.2).astype(float)
    logits = rng.normal(size=truth.shape) + 0.4 * truth
    fitted = calibration.fit_calibration(logits, truth, ["other"], 0.85)
    head = Head("conditions", "multi_label", ["other"], fitted)
    called = calibration.calibrated(logits, head)[:, 0] >= fitted["other"].threshold
    assert 0.69 < 1 - called[truth[:, 0] == 0].mean() < 0.71
    assert called[truth[:, 0] == 1].mean() < 0.6


def test_each_head_is_fitted_on_what_knows_all_of_it() -> None:
    """Grades of one source, conditions of another: a condition that the first knows alone, with
    another frequency, does not shift it."""
    rng = np.random.default_rng(0)
    heads = [
        Head("conditions", "multi_label", ["normal", "dr"]),
        Head("dr_grade", "ordinal", ["1", "2"]),
    ]
    logits = rng.normal(size=(2000, 4))
    truth = (rng.random(logits.shape) < calibration.sigmoid(logits)).astype(float)
    graded = truth.copy()
    graded[:, 0], graded[:, 1] = np.nan, 1.0
    truth[:, 2:] = np.nan
    calibration.fit_heads(heads, np.tile(logits, (2, 1)), np.concatenate([truth, graded]))
    probabilities = calibration.calibrated_outputs(logits, heads)
    assert np.abs(probabilities - calibration.sigmoid(logits)).mean() < 0.03


def test_calibration_leaves_a_label_alone_that_has_too_few_positives() -> None:
    truth = np.zeros((50, len(DEFAULT_LABELS)))
    truth[0] = 1
    fitted = calibration.fit_calibration(np.zeros_like(truth), truth, default_labels())
    assert fitted["dr"] == Calibration()


def test_the_table_of_conditions() -> None:
    letters = [c.odir_letter for c in CONDITIONS.values() if c.odir_letter]
    assert sorted(letters) == sorted("NDGCAHMO")
    assert {key for key, c in CONDITIONS.items() if c.odir_letter} == set(DEFAULT_LABELS)
    # The WHO code, never an ICD-10-CM E11 code: a photograph does not give the diabetes' type.
    assert CONDITIONS["dr"].icd10 == "H36.0"
    assert all(c.icd10 is None or c.icd10.startswith("H") for c in CONDITIONS.values())


@pytest.mark.parametrize("label", [*DEFAULT_LABELS, knowledge.GENERAL])
def test_every_statement_has_both_languages_and_a_source(label: str) -> None:
    statements = knowledge.statements(label)
    assert statements
    for statement in statements:
        assert statement.en.endswith(".")
        assert statement.zh.endswith("。")
        assert statement.source
    assert len({s.en for s in statements}) == len(statements)


def test_every_reason_has_its_chinese() -> None:
    dark = np.zeros((64, 64, 3), np.uint8)
    small = quality.measure(dark, side=24.0).reason()
    assert small == "it is too small (the retina is 24 pixels wide)"
    for reason in (small, quality.measure(dark).reason()):
        finding = Findings("a", "ungradable", "m", message=f"Not graded: {reason}.")
        said = message_in(finding, "zh")
        assert said.startswith("未判读：过")
        assert not re.search("[a-z]", said)
        assert reason is not None
        assert reason in message_in(finding, "en")
