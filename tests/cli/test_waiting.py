"""What is loaded while a person reads and types."""

from __future__ import annotations

import subprocess
import sys
from threading import Event
from types import SimpleNamespace

import pytest

from ophglm_cli import waiting
from ophglm_cli.waiting import loading

#: What takes a minute to load, and a conversation that is left before.
_LEAVES = """
import time
from types import SimpleNamespace
from ophglm_cli.waiting import loading
with loading(SimpleNamespace(language="en", chat=SimpleNamespace(load=lambda l: time.sleep(60)))):
    print("said", end="")
print("not reached")
"""


def test_what_fails_in_the_background_is_not_said_there(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(waiting.os, "_exit", lambda code: None)  # the thread may not be gone yet
    asked, tried = [], Event()

    def load(language: str) -> None:
        asked.append(language)
        tried.set()
        raise ValueError

    with loading(SimpleNamespace(language="zh", chat=SimpleNamespace(load=load))):  # type: ignore[arg-type]
        assert tried.wait(30)
    assert asked == ["zh"]
    assert capfd.readouterr() == ("", "")


def test_who_leaves_does_not_wait_for_what_is_being_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LEAVES], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "said", "")
