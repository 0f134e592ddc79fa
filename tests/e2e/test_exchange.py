"""`ophglm classify` by patient and in FHIR: pictures in DICOM, through the installed command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ophglm_core.findings import NOTICE

from ..core.test_dicom import dataset, saved
from .conftest import Run

pytest.importorskip("pydicom")


@pytest.fixture
def clinics(sample: Path, tmp_path: Path) -> Path:
    """Both eyes of patient 1 of one clinic, a dark one among them, and patient 1 of another."""
    folder = tmp_path / "clinics"
    folder.mkdir()
    retina = np.asarray(Image.open(sample).convert("RGB").resize((400, 400)))
    of_whom = {"PatientID": "1", "AcquisitionDateTime": "20240503101500"}
    for name, eye, pixels, clinic in (
        ("IM1.dcm", "R", retina, "north"),
        ("IM2.dcm", "L", retina[:, ::-1].copy(), "north"),
        ("IM3.dcm", "L", retina // 12, "north"),
        ("IM4.dcm", "R", retina, "south"),
    ):
        tags = {"ImageLaterality": eye, "IssuerOfPatientID": clinic, "StudyInstanceUID": "1.2.3"}
        tags["SeriesInstanceUID"] = "1.2.3.4"
        saved(dataset(pixels, **of_whom, **tags), folder / name)
    return folder


def test_patients_of_two_clinics(ophglm: Run, clinics: Path, tmp_path: Path) -> None:
    result = ophglm("classify", clinics, "--per-patient", "--format", "jsonl")
    assert result.returncode == 0, result.stderr
    north, south = map(json.loads, result.stdout.splitlines())
    assert (north["patient"], north["issuer"], north["known_by"]) == ("1", "north", "tags")
    assert (south["patient"], south["issuer"]) == ("1", "south")
    assert north["eyes"] == {"right": 1, "left": 2, "unknown": 0}
    assert north["ungradable"] == 1
    assert north["referable"] is False  # the other picture of the left eye was judged
    assert north["acquired"] == ["2024-05-03"]
    out = tmp_path / "clinics.fhir.json"
    assert ophglm("classify", clinics, "--out", out).returncode == 0
    made = pytest.importorskip("fhir.resources.R4B.bundle").Bundle.model_validate_json(
        out.read_text("utf-8")
    )
    reports = [
        e.resource for e in made.entry if e.resource.get_resource_type() == "DiagnosticReport"
    ]
    assert [r.conclusion for r in reports] == [NOTICE, NOTICE]
    assert [len(r.media) for r in reports] == [3, 1]
    assert reports[0].subject.reference != reports[1].subject.reference


def test_a_report_a_study_by_the_bundled_model(ophglm: Run, clinics: Path, tmp_path: Path) -> None:
    srread = pytest.importorskip("highdicom.sr").srread
    out = tmp_path / "reports"
    result = ophglm("classify", clinics, "--format", "sr", "--out", out, "--quiet")
    assert result.returncode == 0, result.stderr
    assert result.stderr.strip() == NOTICE
    made = [srread(path) for path in out.iterdir()]
    counts = []
    for report in made:
        groups = report.content.get_image_measurement_groups()
        graded = [g for g in groups if "Suggested grade" in g.tracking_identifier]
        assert all(len(g.finding_sites) == 1 for g in graded)
        evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
        counts.append((len(evidence.ReferencedSOPSequence), len(graded)))
    assert sorted(counts) == [(1, 1), (3, 2)]  # one is too dark to be graded
