"""Runs the installed `ophglm` as a user does, in a process of its own."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

OPHGLM = Path(sys.executable).with_name("ophglm")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def ophglm(tmp_path: Path) -> Run:
    """Run `ophglm` with arguments, off a terminal, in an empty folder."""
    work = tmp_path / "elsewhere"
    work.mkdir()

    def run(
        *arguments: str | Path,
        given: str = "",
        python: list[str] | None = None,
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        command = [*(python or []), str(OPHGLM), *map(str, arguments)]
        return subprocess.run(
            command,
            input=given,
            capture_output=True,
            text=True,
            cwd=work,
            timeout=300,
            env={**os.environ, "PYTHONWARNINGS": "ignore", **(env or {})},
        )

    return run


@pytest.fixture
def few(odir: Path, tmp_path: Path) -> Path:
    """60 real photographs with their labels."""
    with (odir / "labels.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))[:60]
    data = tmp_path / "few"
    (data / "images").mkdir(parents=True)
    for row in rows:
        (data / "images" / row["image"]).symlink_to(odir / "images" / row["image"])
    with (data / "labels.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return data
