from __future__ import annotations

import json
from typing import Any

import pytest

from ophglm_core.conditions import CONDITIONS, LabelSet
from ophglm_core.dicom import Origin
from ophglm_core.fhir import Software, bundle_lines
from ophglm_core.findings import NOTICE, Findings

LABELS = LabelSet.of(["normal", "dr", "cataract", "hypertensive", "other"])
THRESHOLDS = {"normal": 0.5, "dr": 0.2, "cataract": 0.4, "hypertensive": 0.1, "other": 0.3}
ISSUED = "2026-11-26T01:00:00+00:00"
LOW = {"normal": 0.3, "dr": 0.05, "cataract": 0.01, "hypertensive": 0.02, "other": 0.1}


def software(referable: float | None = 0.35) -> Software:
    return Software(LABELS, THRESHOLDS, referable, "m@12345678", "0.1.0")


def row(image: str = "1_left.jpg", status: str = "ok", **values: Any) -> dict[str, Any]:
    if status == "ok":
        values = {"probabilities": LOW, "grade": 0, "referable": False, **values}
    return Findings(image, status, "m@12345678", **values).to_json(LABELS)


def bundle(*rows: dict[str, Any], about: Software | None = None) -> dict[str, Any]:
    """Make a Bundle, have fhir.resources check it against R4B, and return it."""
    text = "".join(bundle_lines(rows, about or software(), ISSUED))
    models = pytest.importorskip("fhir.resources.R4B.bundle")
    models.Bundle.model_validate_json(text)
    made: dict[str, Any] = json.loads(text)
    return made


def of_kind(made: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    resources = [entry["resource"] for entry in made["entry"]]
    return [resource for resource in resources if resource["resourceType"] == kind]


def observation(made: dict[str, Any], words: str) -> dict[str, Any]:
    found = [o for o in of_kind(made, "Observation") if words in o["code"]["text"]]
    assert len(found) == 1
    return found[0]


def inside(value: Any) -> list[Any]:
    """All objects within a JSON value."""
    if isinstance(value, dict):
        return [value, *(o for v in value.values() for o in inside(v))]
    return [o for v in value for o in inside(v)] if isinstance(value, list) else []


LEFT = {"laterality": "left", "positive": ["dr"], "referable": True, "grade": 3}
LEFT |= {"probabilities": LOW | {"dr": 0.91}}


def test_a_report_of_a_patient_with_both_eyes() -> None:
    made = bundle(
        row("1_left.jpg", **LEFT),
        row("1_right.jpg", "ungradable", laterality="right", message="Not graded: it is too dark."),
    )
    (report,) = of_kind(made, "DiagnosticReport")
    assert report["status"] == "preliminary"
    assert report["conclusion"] == NOTICE
    assert json.dumps(made).count(NOTICE) == 1
    assert len(of_kind(made, "Patient")) == len(of_kind(made, "Device")) == 1
    assert [media["content"]["title"] for media in of_kind(made, "Media")] == [
        "1_left.jpg",
        "1_right.jpg",
    ]
    # Two qualities, five probabilities, a grade, and the referral of both.
    assert len(report["result"]) == len(of_kind(made, "Observation")) == 2 + 5 + 1 + 1
    assert all(o["status"] == "preliminary" for o in of_kind(made, "Observation"))
    versions = [version["value"] for version in of_kind(made, "Device")[0]["version"]]
    assert versions == ["0.1.0", "m@12345678"]


def test_each_reference_leads_to_a_resource_and_each_address_is_one() -> None:
    missing = Findings("gone.jpg", "error", "", message="No such file or folder: gone.jpg.")
    rows = [row("1_left.jpg", **LEFT), row("1_right.jpg", laterality="right"), row("solo.jpg")]
    made = bundle(*rows, *([missing.to_json(LABELS)] * 2))
    urls = [entry["fullUrl"] for entry in made["entry"]]
    assert len(set(urls)) == len(urls)
    references = [o["reference"] for o in inside(made) if "reference" in o]
    assert set(references) <= set(urls)
    assert set(urls) - set(references) == {
        e["fullUrl"] for e in made["entry"] if e["resource"]["resourceType"] == "DiagnosticReport"
    }
    assert made == bundle(*rows, *([missing.to_json(LABELS)] * 2))  # the same rows, the same text


def test_a_probability_with_its_threshold_and_no_disease_as_certain() -> None:
    made = bundle(row(**LEFT))
    found = observation(made, "suggest diabetic retinopathy")
    assert found["valueQuantity"]["value"] == 0.91
    assert found["valueQuantity"]["code"] == "1"
    assert "flagged: at or above" in found["interpretation"][0]["text"]
    looked_for, at = found["component"]
    assert "not a statement that it is present" in looked_for["code"]["text"]
    assert looked_for["valueCodeableConcept"]["coding"][0]["code"] == CONDITIONS["dr"].icd10
    assert at["valueQuantity"]["value"] == 0.2
    # A disease is the value of what was looked for and of nothing else.
    for o in of_kind(made, "Observation"):
        assert "coding" not in o.get("valueCodeableConcept", {}) or "grade" in o["code"]["text"]
    assert not of_kind(made, "Condition")
    low = observation(made, "hypertensive")
    assert low["interpretation"] == [{"text": "not flagged: below its threshold for screening"}]


def test_what_is_flagged_with_a_low_probability_says_so() -> None:
    made = bundle(row(probabilities=LOW | {"hypertensive": 0.12}, positive=["hypertensive"]))
    text = observation(made, "hypertensive")["interpretation"][0]["text"]
    assert "more likely absent than present" in text
    made = bundle(row(probabilities=LOW | {"dr": 0.1}, positive=["dr"], referable=True, grade=2))
    text = observation(made, "suggest diabetic retinopathy")["interpretation"][0]["text"]
    assert "the grade reaches the threshold for referral" in text
    made = bundle(row(probabilities=LOW | {"normal": 0.9, "other": 0.6}, positive=["other"]))
    text = observation(made, "no sign of a condition")["interpretation"][0]["text"]
    assert text == "not concluded, as a condition is flagged"
    made = bundle(row(probabilities=LOW | {"normal": 0.8, "dr": 0.3}, positive=["normal"]))
    text = observation(made, "suggest diabetic retinopathy")["interpretation"][0]["text"]
    assert text == "not flagged: a normal retina is far more probable"


@pytest.mark.parametrize(
    ("grade", "answer"),
    [(0, "LA18643-9"), (1, "LA18644-7"), (2, "LA18645-4"), (3, "LA18646-2"), (4, "LA18648-8")],
)
@pytest.mark.parametrize(("eye", "code"), [("left", "71490-7"), ("right", "71491-5"), (None, None)])
def test_grades_by_eye_in_loinc(grade: int, answer: str, eye: str | None, code: str | None) -> None:
    positive = {"positive": ["dr"], "probabilities": LOW | {"dr": 0.9}} if grade else {}
    found = observation(bundle(row(laterality=eye, grade=grade, **positive)), "Suggested grade")
    assert found["valueCodeableConcept"]["coding"] == [
        {"system": "http://loinc.org", "code": answer}
    ]
    assert found["valueCodeableConcept"]["text"].startswith(f"suggested: {grade}, ")
    assert [c["code"] for c in found["code"].get("coding", [])] == ([code] if code else [])


@pytest.mark.parametrize(
    ("grade", "positive", "reason"),
    [
        (0, ["dr"], "retinopathy is flagged, which grade 0"),
        (1, [], "retinopathy is not flagged, which grade 1"),
        (0, ["cataract"], "haze may hide"),
    ],
)
def test_a_grade_that_the_flags_do_not_bear_out_is_absent(
    grade: int, positive: list[str], reason: str
) -> None:
    values = LOW | dict.fromkeys(positive, 0.8)
    made = bundle(row(grade=grade, positive=positive, probabilities=values))
    found = observation(made, "Suggested grade")
    assert "valueCodeableConcept" not in found
    assert reason in found["dataAbsentReason"]["text"]
    if positive == ["cataract"]:
        caution = observation(made, "cataract suspected")["note"][0]["text"]
        assert "none is excluded" in caution


def test_sides_are_not_swapped() -> None:
    """24028007 is right, 7771000 left (CID 244); public tables swap those of the entire eye."""
    made = bundle(row("1_left.jpg", laterality="left"), row("1_right.jpg", laterality="right"))
    sides = {
        entry["fullUrl"]: entry["resource"]["locationQualifier"][0]["coding"][0]["code"]
        for entry in made["entry"]
        if entry["resource"]["resourceType"] == "BodyStructure"
    }
    assert sorted(sides.values()) == ["24028007", "7771000"]
    checked = 0
    for o in of_kind(made, "Observation"):
        if "bodySite" in o:
            url = o["bodySite"]["extension"][0]["valueReference"]["reference"]
            side = {"24028007": "right", "7771000": "left"}[sides[url]]
            assert o["bodySite"]["text"] == f"{side} eye by its file name"
            checked += 1
    assert checked == 2 * (1 + 5 + 1)
    codes = {o["code"] for o in inside(made) if "system" in o and o.get("code")}
    assert not codes & {"362502000", "362503005", "362508001", "8966001", "18944008", "105914-6"}


def test_what_was_not_judged_has_no_value() -> None:
    made = bundle(
        row("1_left.jpg", "ungradable", laterality="left", message="Not graded: it is blurred."),
        row("1_right.jpg", "error", laterality="right", message="1_right.jpg is broken."),
    )
    blurred, broken, referral = of_kind(made, "Observation")
    assert blurred["valueCodeableConcept"]["text"] == "not gradable"
    assert blurred["note"][0]["text"] == "Not graded: it is blurred."
    assert broken["dataAbsentReason"]["text"] == "the picture could not be read"
    assert referral["dataAbsentReason"]["text"].startswith("not every eye")


def test_a_model_without_grades_says_nothing_of_referral() -> None:
    made = bundle(row(grade=None, referable=None), about=software(referable=None))
    assert len(of_kind(made, "Observation")) == 1 + 5


def test_dicom_studies_are_reports_of_one_patient() -> None:
    def tagged(name: str, study: str, day: str, issuer: str = "clinic") -> dict[str, Any]:
        origin = Origin(issuer, study, f"{study}.7")
        given = {"laterality": "right", "eye_given": True}
        return row(name, patient="P1", origin=origin, acquired=day, **given)

    made = bundle(
        tagged("a.dcm", "1.2.3", "2023-05-03"),
        tagged("b.dcm", "1.2.4", "2024-05-03"),
        tagged("c.dcm", "1.2.5", "2024-05-03", "another"),
    )
    reports = of_kind(made, "DiagnosticReport")
    uids = [report["imagingStudy"][0]["identifier"]["value"] for report in reports]
    assert uids == ["urn:oid:1.2.3", "urn:oid:1.2.4", "urn:oid:1.2.5"]
    assert [r["effectiveDateTime"] for r in reports] == ["2023-05-03", "2024-05-03", "2024-05-03"]
    patients = of_kind(made, "Patient")
    assert [p["identifier"][0]["assigner"]["display"] for p in patients] == ["clinic", "another"]
    assert reports[0]["subject"] == reports[1]["subject"] != reports[2]["subject"]
    assert of_kind(made, "Media")[0]["identifier"][0]["value"] == "urn:oid:1.2.3.7"
    assert of_kind(made, "Media")[0]["bodySite"]["text"] == "right eye"


def test_days_of_a_study_and_what_is_no_day() -> None:
    def on(name: str, day: str) -> dict[str, Any]:
        return row(name, patient="P1", acquired=day)

    made = bundle(on("a.dcm", "2024-05-03"), on("b.dcm", "2024-00-00"), on("c.dcm", "2024-04-30"))
    (report,) = of_kind(made, "DiagnosticReport")
    assert report["effectivePeriod"] == {"start": "2024-04-30", "end": "2024-05-03"}
    assert [m.get("createdDateTime") for m in of_kind(made, "Media")] == [
        "2024-05-03",
        None,
        "2024-04-30",
    ]


@pytest.mark.parametrize("label", [label for label in LABELS if label != "normal"])
def test_no_disease_is_the_value_of_an_observation(label: str) -> None:
    """Neither flagged nor nearly certain: what is named is a probability of signs."""
    made = bundle(row(probabilities=LOW | {label: 0.9999}, positive=[label]))
    for o in of_kind(made, "Observation"):
        values = [o.get("valueCodeableConcept", {}).get("text", "")]
        values += [report["conclusion"] for report in of_kind(made, "DiagnosticReport")]
        assert not any(CONDITIONS[label].name in value for value in values)
