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
def few(labelled: Path, tmp_path: Path) -> Path:
    """60 photographs with their labels."""
    return linked(labelled, rows_of(labelled)[:60], tmp_path / "few")


@pytest.fixture
def three_hundred(labelled: Path, tmp_path: Path) -> Path:
    return some(300, labelled, tmp_path)


@pytest.fixture
def a_hundred(labelled: Path, tmp_path: Path) -> Path:
    return some(100, labelled, tmp_path)


def some(count: int, labelled: Path, tmp_path: Path) -> Path:
    """That many of the photographs, all conditions among them."""
    rows = rows_of(labelled)
    rare = [r for r in rows if "1" in (r["amd"], r["glaucoma"], r["myopia"], r["cataract"])]
    chosen = (rare[::6][: count // 2] + rows)[:count]
    return linked(labelled, chosen, tmp_path / f"{count} photographs")


def rows_of(labelled: Path) -> list[dict[str, str]]:
    with (labelled / "labels.csv").open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def linked(labelled: Path, rows: list[dict[str, str]], data: Path) -> Path:
    """Make a set of its own of these rows, with links to their photographs."""
    (data / "images").mkdir(parents=True)
    for row in rows:
        link = data / "images" / row["image"]
        if not link.exists():
            link.symlink_to(labelled / "images" / row["image"])
    with (data / "labels.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return data
