"""DICOM reports by `ophglm classify` and `ophglm listen`, with made-up classifiers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from ophglm_cli import packages
from ophglm_cli.main import app
from ophglm_core.dicom import Origin
from ophglm_core.findings import Findings

from ..conftest import draw_fundus
from ..core.test_structured_report import written
from .conftest import MadeUp, Run, answers_instead
from .test_classify import stop
from .test_watch import put_in_place

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("highdicom")

RETINA = np.asarray(draw_fundus((150, 140)))


def with_origin(findings: Findings) -> Findings:
    """Add what the classifier takes from the tags."""
    if findings.status == "error" or not findings.image.endswith(".dcm"):
        return findings
    tags = pydicom.dcmread(findings.image, stop_before_pixels=True)
    origin = Origin(None, tags.get("StudyInstanceUID"), tags.SOPInstanceUID)
    return replace(findings, origin=origin, patient=tags.PatientID)


class WithTags(MadeUp):
    def classify(self, pictures: Iterable[Path], *arguments: bool, **named: bool) -> Iterator[Any]:
        yield from map(with_origin, super().classify(pictures, *arguments, **named))


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    return answers_instead(WithTags(), monkeypatch)


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """Two studies, one of two pictures, and a picture that is no DICOM."""
    folder = tmp_path / "studies"
    folder.mkdir()
    for number, study in enumerate(("1.2.3", "1.2.3", "1.2.4")):
        written(folder, number, RETINA, StudyInstanceUID=study)
    draw_fundus((150, 140)).save(folder / "a.png")
    return folder


def test_a_report_a_study_also_after_a_stop(run: Run, made_up: MadeUp, studies: Path) -> None:
    stop(run, made_up, 2, studies, "--format", "sr", "--out", "sr")
    assert not Path("sr").exists()
    result = run(studies, "--format", "sr", "--out", "sr")
    assert result.exit_code == 0, result.stderr
    assert len(made_up.seen) == 2  # of four
    assert "1 picture is in no report" in result.stderr
    assert "a.png is no DICOM file." in result.stderr
    names = sorted(path.name for path in Path("sr").iterdir())
    assert {pydicom.dcmread(Path("sr", n)).StudyInstanceUID for n in names} == {"1.2.3", "1.2.4"}
    assert len(names) == 2
    refused = run(studies, "--format", "sr", "--out", "sr")
    assert refused.exit_code == 2
    assert "give --overwrite" in refused.stderr
    assert run(studies, "--format", "sr", "--out", "sr", "--overwrite").exit_code == 0
    assert sorted(path.name for path in Path("sr").iterdir()) == names


def test_what_is_refused(
    run: Run, made_up: MadeUp, studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(studies, "--format", "sr")
    assert result.exit_code == 2
    assert "name a folder with --out" in " ".join(result.stderr.replace("│", "").split())
    Path("file").touch()
    result = run(studies, "--format", "sr", "--out", "file")
    assert result.exit_code == 2
    assert "file is no folder" in result.stderr
    result = run(studies / "a.png", "--format", "sr", "--out", "none")
    assert result.exit_code == 1
    assert "No report was written" in result.stderr
    result = run("nowhere", "--format", "sr", "--out", "none2")
    assert result.exit_code == 1
    assert "No such file or folder: nowhere" in result.stderr
    made_up.seen.clear()
    found = packages.util.find_spec
    missing = SimpleNamespace(find_spec=lambda n: None if n == "highdicom" else found(n))
    monkeypatch.setattr(packages, "util", missing)
    result = run(studies, "--format", "sr", "--out", "sr")
    assert result.exit_code == 2
    assert "run pip install 'ophglm[dicom]'" in result.stderr
    assert made_up.seen == []


def test_the_listener_writes_a_report_before_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pynetdicom")
    monkeypatch.chdir(tmp_path)
    classifier: Any = put_in_place(monkeypatch)
    classifier.thresholds, classifier.referable = dict.fromkeys(WithTags.thresholds, 0.5), 0.5
    plain = classifier.classify
    classifier.classify = lambda pictures: map(with_origin, plain(pictures))
    Path("inbox").mkdir()
    written(Path("inbox"), 0, RETINA)
    written(Path("inbox"), 1, RETINA, StudyInstanceUID=None)
    command = ["listen", "inbox", "--out", "a.csv", "--port", "0", "--sr"]
    classifier.stop_after = 2
    result = CliRunner().invoke(app, [*command, "reports"])
    assert result.exit_code == 0, result.output
    assert len(Path("a.csv").read_text().splitlines()) == 3
    (report,) = Path("reports").iterdir()
    evidence = pydicom.dcmread(report).CurrentRequestedProcedureEvidenceSequence[0]
    (reference,) = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert reference.ReferencedSOPInstanceUID == "1.2.3.7.0"
    assert "There is no report: " in result.stderr
    assert "has no StudyInstanceUID." in result.stderr
    result = CliRunner().invoke(app, [*command, "inbox/reports"])
    assert result.exit_code == 2
    assert "lies in inbox" in result.stderr


@pytest.mark.parametrize("format", ["fhir", "sr"])
def test_what_gathers_by_patient_takes_no_per_patient(
    format: str, studies: Path, tmp_path: Path
) -> None:
    options = ["--format", format, "--per-patient", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["classify", str(studies), *options])
    assert result.exit_code == 2
    assert "leave out --per-patient" in " ".join(result.output.split())
