"""`ophglm classify` by patient and in FHIR, with the made-up classifier of `test_classify`."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ophglm_core.conditions import DEFAULT_LABELS
from ophglm_core.eye_names import laterality_from_name
from ophglm_core.file_names import from_printable

from ..conftest import draw_fundus
from .conftest import MadeUp, Run, answers_instead
from .test_classify import rows_of, stop


class WithEyes(MadeUp):
    """Says which eye it is, as the classifier does, and its thresholds."""

    thresholds: ClassVar = dict.fromkeys(DEFAULT_LABELS, 0.01)
    rule_out = None
    referable = 0.3

    def classify(self, pictures: Iterable[Path], *arguments: bool, **named: bool) -> Iterator[Any]:
        for findings in super().classify(pictures, *arguments, **named):
            yield replace(findings, laterality=laterality_from_name(Path(findings.image)))


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    return answers_instead(WithEyes(), monkeypatch)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Two patients with both eyes, one with a broken left picture, one without a word of eyes."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    for name in ("1_left", "1_right", "2_OD", "2_OS", "3_left", "solo"):
        draw_fundus((150, 140)).save(folder / f"{name}.png")
    (folder / "3_left.png").write_bytes(b"broken")
    draw_fundus((300, 280)).save(folder / "1_right.png")
    return folder


def test_a_row_a_patient_in_csv_and_json_lines(run: Run, pairs: Path) -> None:
    (pairs / "solo.png").rename(pairs / "so;lo.png")
    as_csv = run(pairs, "--per-patient", "--format", "csv")
    assert as_csv.exit_code == 1  # one picture cannot be read
    rows = list(csv.DictReader(io.StringIO(as_csv.stdout)))
    assert [Path(row["patient"]).name for row in rows] == ["1", "2", "3", "so;lo.png"]
    assert [(row["right"], row["left"], row["unknown"]) for row in rows] == [
        *([("1", "1", "0")] * 2),
        ("0", "1", "0"),
        ("0", "0", "1"),
    ]
    assert [row["known_by"] for row in rows] == ["name", "name", "name", "picture"]
    assert [row["referable"] for row in rows] == ["yes", "yes", "", "yes"]
    assert [row["errors"] for row in rows] == ["0", "0", "1", "0"]
    assert float(rows[0]["dr"]) > 1.5 * float(rows[1]["dr"])  # of the larger picture
    assert rows[0]["positive_right"] == rows[0]["positive_left"] == "dr"
    assert rows[0]["dr_grade_left"] == "2"
    assert rows[2]["dr"] == rows[2]["dr_grade_left"] == ""
    images = [[from_printable(i) for i in row["images"].split(";")] for row in rows]
    assert images[0] == [str(pairs / "1_left.png"), str(pairs / "1_right.png")]
    assert images[3] == [str(pairs / "so;lo.png")]
    lines = run(pairs, "--per-patient", "--format", "jsonl").stdout.splitlines()
    for row, other in zip(rows, map(json.loads, lines), strict=True):
        assert row["patient"] == other["patient"]
        assert row["positive_left"] == ";".join(other["positive"]["left"])
        assert list(other["probabilities"]) == list(DEFAULT_LABELS)
        assert len(other["images"]) == sum(other["eyes"].values())


def test_table(run: Run, pairs: Path) -> None:
    lines = run(pairs, "--per-patient", "--format", "table").stdout.splitlines()
    assert lines[0].split()[:4] == ["patient", "R", "L", "?"]
    assert len(lines) == 1 + 4 + 1
    assert "yes" in lines[1]
    assert lines[3].endswith("1 not read")


def test_a_stopped_run_goes_on_and_its_file_is_that_of_one_left_alone(
    run: Run, made_up: MadeUp, pairs: Path
) -> None:
    run(pairs, "--per-patient", "--out", "whole.csv")
    stop(run, made_up, 1, pairs, "--per-patient", "--out", "a.csv")  # between the eyes of one
    assert not Path("a.csv").exists()
    run(pairs, "--per-patient", "--out", "a.csv")
    assert "1_left.png" not in made_up.seen
    assert Path("a.csv").read_bytes() == Path("whole.csv").read_bytes()
    assert sorted(os.listdir()) == [
        *("a.csv", "a.csv.run.json"),
        *("whole.csv", "whole.csv.run.json"),
    ]
    assert len(rows_of(Path("a.csv"))) == 4


def test_parquet(run: Run, pairs: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    run(pairs, "--per-patient", "--out", "a.parquet")
    rows = parquet.read_table("a.parquet").to_pylist()
    assert [row["right"] for row in rows] == [1, 1, 0, 0]
    assert [row["referable"] for row in rows] == [True, True, None, True]
    assert rows[0]["positive_left"] == ["dr"]
    assert rows[0]["dr_grade_right"] == 2
    assert len(rows[0]["images"]) == 2
    assert rows[2]["dr"] is None


def test_a_stopped_run_without_a_file_says_nothing_of_patients(
    run: Run, made_up: MadeUp, pairs: Path
) -> None:
    """Half of a patient's pictures must not look like all of them."""
    stopped = stop(run, made_up, 3, pairs, "--per-patient", "--format", "csv")
    assert stopped.stdout == ""


def test_a_full_disk_is_one_sentence(run: Run, pairs: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    result = run(pairs, "--per-patient", "--out", "/dev/full")
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr


@pytest.mark.parametrize("arguments", [["--out", "a.fhir.json"], ["--format", "fhir"]])
def test_fhir_in_a_file_and_on_standard_output(run: Run, pairs: Path, arguments: list[str]) -> None:
    bundle = pytest.importorskip("fhir.resources.R4B.bundle")
    result = run(pairs, *arguments)
    assert result.exit_code == 1  # one picture cannot be read
    text = result.stdout if "fhir" in arguments else Path("a.fhir.json").read_text("utf-8")
    made = bundle.Bundle.model_validate_json(text)
    kinds = [entry.resource.get_resource_type() for entry in made.entry]
    assert kinds.count("DiagnosticReport") == kinds.count("Patient") == 4
    assert kinds.count("Media") == 6


def test_fhir_of_a_stopped_run_has_all_pictures(run: Run, made_up: MadeUp, pairs: Path) -> None:
    out = ["--format", "fhir", "--out", "a.json"]
    stop(run, made_up, 3, pairs, *out)
    run(pairs, *out)
    assert "1_left.png" not in made_up.seen
    entries = json.loads(Path("a.json").read_text("utf-8"))["entry"]
    media = [e for e in entries if e["resource"]["resourceType"] == "Media"]
    assert len(media) == 6


def test_a_name_of_another_format_is_refused(run: Run, pairs: Path) -> None:
    for arguments in (
        ["--format", "fhir", "--out", "a.csv"],
        ["--format", "csv", "--out", "a.fhir.json"],
    ):
        result = run(pairs, *arguments)
        assert result.exit_code == 2
        assert "suffix says otherwise" in " ".join(result.stderr.split())
