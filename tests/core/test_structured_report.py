from __future__ import annotations

import io
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ophglm_core.dicom import Origin
from ophglm_core.findings import NOTICE
from ophglm_core.observations import CONDITION, OWN, Software

from .test_dicom import dataset, saved
from .test_fhir import LEFT, LOW, row, software

pytest.importorskip("pydicom")
pytest.importorskip("highdicom")

COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"
IN_STUDY = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.7"}


def written(folder: Path, number: int, retina: np.ndarray, **tags: Any) -> tuple[Path, Origin]:
    """Write a DICOM photograph of a Chinese patient, as an old system would."""
    made = dataset(
        retina,
        **{
            "SpecificCharacterSet": "GB18030",
            "PatientName": "Wang^XiaoDong=王^小东",
            "PatientID": "P7",
            "StudyDescription": "眼底照相",
            "SOPInstanceUID": f"1.2.3.7.{number}",
            **IN_STUDY,
            **tags,
        },
    )
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    origin = Origin(None, made.get("StudyInstanceUID"), made.SOPInstanceUID)
    return saved(made, folder / f"{number}.dcm"), origin


@pytest.fixture(scope="module")
def retina(sample: Path) -> np.ndarray:
    return np.asarray(Image.open(sample).convert("RGB").resize((96, 96)))


@pytest.fixture(scope="module")
def rows(retina: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """A study: the right eye, the left one of two frames, and the left one once more, too dark."""
    folder = tmp_path_factory.mktemp("study")
    made = []
    for number, (eye, status, pixels, given) in enumerate(
        [
            ("right", "ok", retina, {"eye_given": True}),
            ("left", "ok", np.stack([retina, retina]), {"eye_given": True, **LEFT}),
            ("left", "ungradable", retina, {"message": "Not graded: it is too dark."}),
        ]
    ):
        tags = {"NumberOfFrames": 2} if pixels.ndim == 4 else {}
        path, origin = written(folder, number, pixels, **tags)
        given = {"patient": "P7", "origin": origin, **given, "laterality": eye}
        made.append(row(str(path), status, **given))
    return made


def reports(
    rows: list[dict[str, Any]], about: Software | None = None, left_out: list[str] | None = None
) -> list[Any]:
    from ophglm_core.structured_report import study_reports

    return list(study_reports(rows, about or software(), [] if left_out is None else left_out))


@pytest.fixture(scope="module")
def read(rows: list[dict[str, Any]]) -> Any:
    """The study's report, read as others would."""
    from highdicom.sr import srread

    (report,) = reports(rows)
    made = srread(io.BytesIO(report.encoded))
    assert made.SOPInstanceUID == made.file_meta.MediaStorageSOPInstanceUID == report.uid
    return made


def group(read: Any, words: str) -> Any:
    found = [
        g for g in read.content.get_image_measurement_groups() if words in g.tracking_identifier
    ]
    assert len(found) == 1, words
    return found[0]


def texts(group: Any, name: str = "Comment") -> list[str]:
    items = group[0].ContentSequence
    return [item.value for item in items if item.name.meaning == name]


def test_it_is_the_patients_and_unverified(read: Any) -> None:
    assert read.SOPClassUID == COMPREHENSIVE_3D_SR
    assert (read.StudyInstanceUID, read.PatientID) == ("1.2.3", "P7")
    assert read.SpecificCharacterSet == "ISO_IR 192"
    assert read.PatientName.ideographic == "王^小东"
    assert read.StudyDescription == "眼底照相"
    assert read.SeriesInstanceUID != "1.2.3.7"
    flags = (read.PreliminaryFlag, read.CompletionFlag, read.VerificationFlag)
    assert flags == ("PRELIMINARY", "PARTIAL", "UNVERIFIED")
    (series,) = read.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    named = {item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence}
    assert named == {f"1.2.3.7.{n}" for n in range(3)}
    assert texts(read.content) == [NOTICE]
    assert read.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == OWN


def test_a_probability_says_of_which_picture_eye_and_model(read: Any) -> None:
    found = group(read, "suggest diabetic retinopathy (left eye)")
    values = {m.name.meaning: m.value for m in found.get_measurements()}
    assert values == {"Probability": 0.91, "Threshold Value": 0.2}
    (image,) = found.source_images
    assert image.referenced_sop_instance_uid == "1.2.3.7.1"
    assert image.referenced_frame_numbers == [1]
    (site,) = found.finding_sites
    assert (site.value.value, site.laterality.value) == ("81745001", "7771000")
    result = found.get_qualitative_evaluations()[-1]
    assert result.value.meaning == "flagged: at or above its threshold for screening"
    assert texts(found, "Algorithm Name") == ["ophglm"]
    assert texts(found, "Algorithm Version") == ["0.1.0"]
    assert "m@12345678" in texts(found, "Algorithm Parameters")[0]
    (site,) = group(read, "diabetic retinopathy (right eye)").finding_sites[:1]
    assert site.laterality.value == "24028007"


def test_grade_quality_and_referral(read: Any) -> None:
    grade = group(
        read, "Suggested grade of diabetic retinopathy (ICDR scale), from a photograph (l"
    )
    said = grade.get_qualitative_evaluations()[-1]
    assert (said.name.value, said.value.value) == ("71490-7", "LA18646-2")
    assert said.name.scheme_designator == said.value.scheme_designator == "LN"
    assert texts(grade) == ["suggested: 3, severe non-proliferative"]
    dark = group(read, "can be graded (left eye by its file name)")
    said = dark.get_qualitative_evaluations()[-1]
    assert (said.name.value, said.value.value) == ("111029", "not-gradable")
    assert texts(dark) == ["Not graded: it is too dark."]
    whole = group(read, "Referral")
    assert whole.get_qualitative_evaluations()[-1].value.meaning == "suggested"
    assert len(whole.source_images) == 3
    assert len(read.content.get_image_measurement_groups()) == 2 * (1 + 5 + 1) + 1 + 1


def test_no_disease_stands_as_a_finding(read: Any) -> None:
    """Conditions are named as what was looked for alone."""

    def inside(item: Any) -> list[Any]:
        return [i for child in item.get("ContentSequence", []) for i in (child, *inside(child))]

    named = [
        i for i in inside(read) if i.ValueType == "CODE" and i.value.scheme_designator == "I10"
    ]
    assert len(named) == 2 * 3
    assert {item.name.value for item in named} == {CONDITION.value}
    assert not [i for i in inside(read) if i.name.value == "121071"]  # Finding


def test_the_same_pictures_and_model_have_the_same_uid(rows: list[dict[str, Any]]) -> None:
    (both,), (swapped,) = reports(rows[:2]), reports(rows[1::-1])
    assert swapped.uid == both.uid
    about = software()
    others = [about, replace(about, model="m@87654321"), replace(about, version="0.2.0")]
    others += [replace(about, thresholds={**about.thresholds, "dr": 0.3})]
    uids = [report.uid for other in others for report in reports(rows[2:], other)]
    assert len({*uids, both.uid}) == 5
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids)


def test_what_cannot_be_referred_to_is_left_out(
    rows: list[dict[str, Any]], retina: np.ndarray, tmp_path: Path
) -> None:
    Image.fromarray(retina).save(tmp_path / "a.png")
    bare, origin = written(tmp_path, 8, retina, SeriesInstanceUID=None)
    left_out: list[str] = []
    made = reports(
        [
            row(str(tmp_path / "a.png")),
            row(str(bare), origin=origin),
            row(rows[0]["image"], origin=Origin(None, "1.2.3", "1.2.3.9")),
            row(str(tmp_path / "gone.dcm"), origin=origin),
            row("broken.dcm", "error", message="broken.dcm is broken."),
        ],
        left_out=left_out,
    )
    assert made == []
    assert "a.png is no DICOM file." in left_out[0]
    assert sorted(sentence.partition(".dcm ")[2] for sentence in left_out[1:]) == [
        "",  # no such file
        "has no SeriesInstanceUID.",
        "is not what it was when it was classified.",
    ]


def test_tags_that_are_wrong_or_missing(retina: np.ndarray, tmp_path: Path) -> None:
    from highdicom.sr import srread

    tags = {"StudyTime": "noon", "PatientBirthDate": "00000000", "PatientSex": "U"}
    with pytest.warns(UserWarning, match="Invalid value"):
        path, origin = written(tmp_path, 9, retina, **tags, PatientName="李娜")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # one would show the patient's name
        (report,) = reports([row(str(path), origin=origin, probabilities=LOW)])
    read = srread(io.BytesIO(report.encoded))
    assert not any(read[keyword].value for keyword in (*tags, "StudyID", "AccessionNumber"))
    assert (read.PatientID, read.PatientName) == ("P7", "李娜")
