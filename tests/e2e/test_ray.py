"""`ophglm classify --ray` on a local cluster with the bundled model; Ray is no part of `dev`, so
this runs by hand: pip install 'ophglm[ray]', then pytest tests/e2e/test_ray.py."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from ..conftest import draw_fundus
from .conftest import OPHGLM, Run

pytest.importorskip("ray")
psutil = pytest.importorskip("psutil")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("ray")
    (place / "many").mkdir()
    for number in range(64):
        draw_fundus((300, 280), seed=number).save(place / "many" / f"{number:02}.png")
    (place / "many" / "20.png").write_bytes(b"broken")
    return place


def start(place: Path, out: str) -> subprocess.Popen[str]:
    command = [str(OPHGLM), "classify", "many", "--out", out, "--ray", "local"]
    process = subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, text=True)
    part = place / f"{out}.part"
    for _ in range(6000):
        if part.exists() and part.read_text().count("\n") > 8:
            return process
        assert process.poll() is None, process.stderr.read()  # type: ignore[union-attr]
        time.sleep(0.05)
    raise AssertionError("no rows")


def workers(process: subprocess.Popen[str]) -> list[int]:
    below = psutil.Process(process.pid).children(recursive=True)
    return [p.pid for p in below if "ray::_classify" in " ".join(p.cmdline())]


def test_a_killed_worker_costs_only_time(many: Path) -> None:
    alone = subprocess.run([OPHGLM, "classify", "many", "--out", "alone.csv"], cwd=many)
    assert alone.returncode == 1  # for the broken one
    process = start(many, "ray.csv")
    os.kill(workers(process)[0], signal.SIGKILL)
    _, said = process.communicate(timeout=900)
    assert process.returncode == 1, said
    assert (many / "ray.csv").read_bytes() == (many / "alone.csv").read_bytes()
    # Nothing of Ray's own.
    assert [line.split()[0] for line in said.splitlines() if "classifying" not in line] == [
        *("ophglm:", "64", "Found:", "Decision")
    ]


def test_an_interrupt_keeps_what_is_done(many: Path) -> None:
    process = start(many, "stopped.csv")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "the same command goes on" in said
    kept = (many / "stopped.csv.part").read_text().count("\n") - 1
    assert 8 <= kept < 64


def test_heat_maps_and_a_cluster_that_is_not_there(ophglm: Run, tmp_path: Path) -> None:
    refused = ophglm("classify", "sample", "--ray", "local", "--heatmaps", tmp_path / "maps")
    assert refused.returncode == 2
    assert "without --ray" in refused.stderr
    for address in ("auto", "127.0.0.1:9", "ray://127.0.0.1:9"):
        away = ophglm("classify", "sample", "--ray", address, "--format", "csv")
        assert away.returncode == 2
        assert away.stderr.startswith(f"ophglm: There is no Ray cluster at '{address}' (")
        assert away.stderr.count("\n") == 1
