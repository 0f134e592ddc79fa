"""Runs the installed `ophglm` as a user does, in a process of its own."""

from __future__ import annotations

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
        *arguments: str | Path, given: str = "", python: list[str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [*(python or []), str(OPHGLM), *map(str, arguments)]
        return subprocess.run(
            command,
            input=given,
            capture_output=True,
            text=True,
            cwd=work,
            timeout=300,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )

    return run
