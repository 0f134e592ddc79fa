from __future__ import annotations

from typing import Any

import pytest

from ophglm_core.dicom import Origin
from ophglm_core.findings import Findings
from ophglm_core.patients import NAME, PICTURE, TAGS, Patient, PatientKey, by_patient, patient_key

LABELS = ["normal", "dr", "glaucoma"]


def row(image: str = "1.jpg", status: str = "ok", **values: Any) -> dict[str, Any]:
    if status == "ok":
        values = {"probabilities": {"normal": 0.2, "dr": 0.3, "glaucoma": 0.1}, "grade": 0} | values
        values.setdefault("referable", False)
    return Findings(image, status, "m", **values).to_json(LABELS)


def patients(*rows: dict[str, Any]) -> list[Patient]:
    return list(by_patient(rows))


def one(*rows: dict[str, Any]) -> Patient:
    found = patients(*(r | {"patient": "7"} for r in rows))
    assert len(found) == 1
    return found[0]


def test_tags_go_before_the_name_and_a_picture_without_either_stands_alone() -> None:
    tagged = row("12_left.dcm", patient="A1", origin=Origin("clinic", "1.2", "1.2.3"))
    assert patient_key(tagged) == PatientKey(TAGS, "A1", "clinic")
    assert patient_key(row("a/12_left.jpg")) == PatientKey(NAME, "a/12")
    assert patient_key(row("a/photo.jpg")) == PatientKey(PICTURE, "a/photo.jpg")


def test_patients_are_never_merged_on_half_of_their_key() -> None:
    rows = [
        row(patient="1", origin=Origin("clinic A", None, None)),
        row(patient="1", origin=Origin("clinic B", None, None)),
        row(patient="1", origin=Origin(None, None, None)),
        row("1_left.jpg"),
        row("a/1_left.jpg"),
        row("b/1_left.jpg"),
        row("1.jpg"),
    ]
    assert len(patients(*rows)) == len(rows)
    both = patients(row("a/1_left.jpg"), row("b/2.jpg"), row("a/1_right.png"))
    assert [p.images for p in both] == [["a/1_left.jpg", "a/1_right.png"], ["b/2.jpg"]]


def test_what_several_pictures_come_to() -> None:
    found = one(
        row("a", laterality="right", positive=["normal"], acquired="2024-05-03"),
        row(
            "b",
            laterality="right",
            probabilities={"normal": 0.01, "dr": 0.9, "glaucoma": 0.05},
            positive=["dr"],
            grade=3,
            referable=True,
            acquired="2024-05-03",
        ),
        row("c", laterality="right", grade=1, positive=["glaucoma", "dr"], acquired="2023-01-09"),
        row("d", "ungradable", laterality="left"),
        row("e", "error"),
    ).to_json()
    assert found["eyes"] == {"right": 3, "left": 1, "unknown": 1}
    assert found["probabilities"] == {"normal": 0.01, "dr": 0.9, "glaucoma": 0.1}
    assert found["positive"] == {"right": ["dr", "glaucoma"], "left": [], "unknown": []}
    assert found["dr_grade"] == {"right": 3, "left": None, "unknown": None}
    assert (found["referable"], found["ungradable"], found["errors"]) == (True, 1, 1)
    assert found["acquired"] == ["2023-01-09", "2024-05-03"]
    assert found["images"] == list("abcde")
    assert found["model"] == "m"


def test_an_eye_is_normal_only_if_all_its_pictures_are() -> None:
    normal, uncertain = row(laterality="left", positive=["normal"]), row(laterality="left")
    assert one(normal, normal).positive["left"] == ["normal"]
    assert one(normal, uncertain).positive["left"] == []
    assert one(uncertain, normal).positive["left"] == []


RIGHT, LEFT, NONE = {"laterality": "right"}, {"laterality": "left"}, {}
OK, BAD, YES, MUTE = (
    {},
    {"status": "ungradable"},
    {"referable": True},
    {"referable": None, "grade": None},
)


@pytest.mark.parametrize(
    ("pictures", "referable"),
    [
        ([RIGHT | OK, LEFT | OK], False),
        ([RIGHT | OK], False),
        ([NONE | OK, NONE | OK], False),
        ([RIGHT | OK, LEFT | YES], True),
        ([RIGHT | BAD, LEFT | YES], True),
        ([NONE | YES, NONE | BAD], True),
        # Not each eye that is known of was judged.
        ([RIGHT | OK, LEFT | BAD], None),
        ([RIGHT | OK, LEFT | {"status": "error"}], None),
        ([RIGHT | BAD], None),
        ([RIGHT | OK, NONE | BAD], None),
        ([NONE | OK, NONE | BAD], None),
        ([RIGHT | OK, LEFT | MUTE], None),
        # A second picture of an eye was judged.
        ([RIGHT | OK, RIGHT | BAD, LEFT | OK], False),
        # A picture of neither eye hides nothing where both were judged.
        ([RIGHT | OK, LEFT | OK, NONE | BAD], False),
    ],
)
def test_not_referable_needs_every_eye_judged(
    pictures: list[dict[str, Any]], referable: bool | None
) -> None:
    assert one(*(row(str(n), **p) for n, p in enumerate(pictures))).referable is referable


def test_names_of_any_bytes_are_told_apart() -> None:
    rows = [row(f"\udcff{n}_{eye}.png") for n in (1, 2) for eye in ("left", "right")]
    assert [(p.key.source, len(p.images)) for p in by_patient(rows)] == [(NAME, 2), (NAME, 2)]
