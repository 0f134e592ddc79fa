"""As many threads as the machine has idle processors, and half of them at least."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ophglm_core.runtime import threads


@pytest.mark.parametrize(
    ("processors", "load", "running", "expected"),
    [
        (8, 0.2, 1, 8),  # idle
        (8, 3.7, 4, 5),  # three are busy
        (8, 9.0, 12, 4),  # all are: half of them at least
        (8, 6.0, 1, 8),  # what made the average has ended
        (2, 2.5, 4, 1),
        (1, 5.0, 6, 1),
    ],
)
def test_busy_processors_are_left_alone(
    processors: int,
    load: float,
    running: int,
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "usable_processors", lambda: processors)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    (tmp_path / "loadavg").write_text(f"{load} 1.0 1.0 {running}/300 1234\n")
    monkeypatch.setattr(threads, "_LOAD", tmp_path / "loadavg")
    assert threads.thread_count() == expected
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads.thread_count() == 3


@pytest.mark.parametrize(
    ("limit", "expected"), [("200000 100000", 2), ("max 100000", 16), ("50000 100000", 1), ("", 16)]
)
def test_a_container_s_limit_counts(
    limit: str, expected: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)
    (tmp_path / "cpu.max").write_text(limit)
    monkeypatch.setattr(threads, "_QUOTA", tmp_path / "cpu.max")
    assert threads.usable_processors() == expected
