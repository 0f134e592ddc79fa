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
