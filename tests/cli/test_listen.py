"""`ophglm listen` within this process, with the classifier of test_watch."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from ophglm_cli import packages
from ophglm_cli.main import app

from ..conftest import draw_fundus
from ..core.test_dicom import dataset, saved
from ..dicom_sender import store
from .test_watch import MadeUp, names, put_in_place, rows_of

pytest.importorskip("pynetdicom")

Run = Callable[..., Result]


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    return put_in_place(monkeypatch)


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found: int = free.getsockname()[1]
    return found


@pytest.fixture
def run(made_up: MadeUp, tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, stop_after: int) -> Result:
        made_up.seen.clear()
        made_up.stop_after = stop_after
        command = ["listen", "inbox", "--out", "a.csv", "--port", str(port), *arguments]
        result = CliRunner().invoke(app, command)
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result

    return call


def send(port: int, *instances: object) -> list[int]:
    """Send once someone listens."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return store(("127.0.0.1", port), *instances)
        time.sleep(0.02)
    raise AssertionError("no one listens")


def test_what_has_no_row_is_done_first_after_a_restart(
    run: Run, made_up: MadeUp, port: int
) -> None:
    pixels = np.asarray(draw_fundus((150, 140)))
    first, second, third = (dataset(pixels, SOPInstanceUID=f"1.2.{n}") for n in range(3))
    Path("inbox").mkdir()
    for made in (first, second):
        saved(made, Path("inbox") / f"{made.SOPInstanceUID}.dcm")
    result = run(stop_after=1)
    assert result.exit_code == 0
    assert names("a.csv") == ["1.2.0.dcm"]
    with ThreadPoolExecutor(1) as thread:
        sent = thread.submit(send, port, third)
        result = run(stop_after=2)
        assert sent.result() == [0]
    assert result.exit_code == 0
    assert made_up.seen == ["1.2.1.dcm", "1.2.2.dcm"]
    assert names("a.csv") == ["1.2.0.dcm", "1.2.1.dcm", "1.2.2.dcm"]
    assert [row["status"] for row in rows_of("a.csv")] == ["ok"] * 3
    assert f"Listening on 127.0.0.1:{port} as OPHGLM, into inbox; 1 pictures" in result.stderr
    assert "not encrypted" not in result.stderr


def test_beyond_this_machine_it_is_said_that_nothing_is_encrypted(
    run: Run, made_up: MadeUp, port: int
) -> None:
    Path("inbox").mkdir()
    draw_fundus((150, 140)).save("inbox/a.png")
    result = run("--host", "0.0.0.0", "--quiet", stop_after=1)
    assert result.stderr.count("not encrypted, and whoever reaches this port can store") == 1


def test_bad_usage_is_said_in_a_sentence(
    run: Run, made_up: MadeUp, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        result = run(stop_after=1)
    assert result.exit_code == 2
    assert f"Port {port} of 127.0.0.1 cannot be listened on" in result.stderr
    result = run("--aet", "x" * 17, stop_after=1)
    assert result.exit_code == 2
    assert "application entity title" in result.stderr
    Path("file").touch()
    result = CliRunner().invoke(app, ["listen", "file", "--out", "a.csv", "--port", str(port)])
    assert result.exit_code == 1
    assert "cannot be written into" in result.stderr
    found = packages.util.find_spec
    missing = SimpleNamespace(find_spec=lambda n: None if n == "pynetdicom" else found(n))
    monkeypatch.setattr(packages, "util", missing)
    result = run(stop_after=1)
    assert result.exit_code == 2
    assert "run pip install 'ophglm[listen]'" in result.stderr
    assert made_up.seen == []
