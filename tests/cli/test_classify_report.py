"""`ophglm classify --report`, with a classifier that makes up what pictures show."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from click.testing import Result
from typer.testing import CliRunner

from ophglm_cli.main import app
from ophglm_core.conditions import DEFAULT_LABELS
from ophglm_core.findings import Findings

from ..conftest import draw_fundus
from .conftest import MadeUp, Run, answers_instead


class ByName(MadeUp):
    """Finds retinopathy, the more probable the higher the number that names the file."""

    thresholds: ClassVar = dict.fromkeys(DEFAULT_LABELS, 0.3)
    rule_out = None
    referable = 0.25

    def classify(
        self, pictures: Iterable[Path], keep_outputs: bool = False, fine: bool = False
    ) -> Iterator[Findings]:
        for findings in super().classify(pictures, keep_outputs, fine):
            if findings.status == "ok":
                value = int(Path(findings.image).stem) / 100
                findings = replace(findings, probabilities=findings.probabilities | {"dr": value})
            yield findings


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    return answers_instead(ByName(), monkeypatch)


@pytest.fixture
def run(made_up: MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in (31, 45, 62, 77):
        draw_fundus((150, 140), seed=number).save(folder / f"{number}.png")
    (folder / "90.png").write_bytes(b"broken")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Result:
        result = CliRunner().invoke(app, ["classify", "many", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result

    return call


def without_date(path: str) -> str:
    return re.sub(r"<td>written</td><td>.*?</td>", "", Path(path).read_text(encoding="utf-8"))


def test_the_report_of_a_resumed_run_is_that_of_one_left_alone(run: Run, made_up: MadeUp) -> None:
    assert run("--out", "whole.csv", "--report", "whole.html").exit_code == 1
    whole = without_date("whole.html")
    assert re.findall(r"<br>many/(\d+)", whole) == ["77", "62", "45", "31"]
    assert whole.count("data:image/jpeg") == 4
    assert "<td>unreadable</td><td>1</td>" in whole
    assert "many/90.png is not a picture" in whole
    made_up.stop_after = 2
    assert run("--out", "a.csv", "--report", "a.html").exit_code == 130
    assert not Path("a.html").exists()
    made_up.stop_after = 10**9
    result = run("--out", "a.csv", "--report", "a.html")
    assert "2 of these from an earlier run" in result.stderr
    assert without_date("a.html") == whole


def test_a_report_without_a_file_of_rows(run: Run) -> None:
    assert "many/77.png,ok" in run("--report", "a.html").stdout
    assert "77%" in Path("a.html").read_text(encoding="utf-8")


def test_no_report_over_what_is_there_or_under_another_name(run: Run) -> None:
    Path("a.html").write_text("mine")
    result = run("--report", "a.html")
    assert result.exit_code == 2
    assert "a.html is there already" in result.stderr
    assert Path("a.html").read_text() == "mine"
    assert run("--report", "a.html", "--overwrite").exit_code == 1
    assert Path("a.html").read_text(encoding="utf-8") != "mine"
    assert "should end in .html" in run("--report", "many/77.png", "--overwrite").stderr


def test_rows_are_there_where_the_report_cannot_be_written(run: Run) -> None:
    Path("no folder").write_text("")
    result = run("--out", "a.csv", "--report", "no folder/a.html")
    assert result.exit_code == 1
    assert "a.html cannot be written" in result.stderr
    assert "many/77.png,ok" in Path("a.csv").read_text()
