"""The line that a user types at, through prompt-toolkit's own pipe, and the spinner."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.console import Console

from ophglm_cli import repl_input, waiting
from ophglm_cli.commands import COMMANDS
from ophglm_cli.repl_input import Commands, Prompt, kept_history, status
from ophglm_cli.sitting import Sitting
from ophglm_cli.waiting import Spinner
from ophglm_core.chat.conversation import Chat
from ophglm_core.conditions import default_labels
from ophglm_core.errors import InputError

from ..silent import Silent


@pytest.fixture
def sitting() -> Sitting:
    chat = Chat([], default_labels(), Silent(), about={"model": "m@1", "runtime": "llama.cpp"})
    return Sitting(SimpleNamespace(), chat, lang="en")  # type: ignore[arg-type]


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[PipeInput]:
    monkeypatch.setattr(repl_input, "draws", lambda console: True)
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        yield pipe


def test_lines_and_keys(keyboard: PipeInput, sitting: Sitting) -> None:
    prompt = Prompt(sitting, history=False)
    for typed, read in (
        ("What is it?\r", "What is it?"),
        ("one\\\rtwo\r", "one\ntwo"),
        ("one\x1b\rtwo\r", "one\ntwo"),
        ("\x1b[200~one\ntwo\x1b[201~\r", "one\ntwo"),
        ("to be cleared\x03", ""),
        ("\x12What\r\r", "What is it?"),  # Ctrl-R
    ):
        keyboard.send_text(typed)
        assert prompt.read() == read, typed
    keyboard.send_text("\x03")
    with pytest.raises(KeyboardInterrupt):
        prompt.read()
    keyboard.send_text("\x04")
    with pytest.raises(EOFError):
        prompt.read()


def test_what_is_completed(
    sitting: Sitting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fundus.jpg").write_text("")

    def offered(text: str) -> list[str]:
        found = Commands(sitting).get_completions(Document(text), CompleteEvent())
        return [c.text for c in found]

    assert offered("/") == [f"/{name}" for name in COMMANDS]
    assert offered("/he") == ["/heatmap", "/help"]
    assert offered("/heatmap gl") == ["glaucoma"]
    assert offered("/heatmap glaucoma fun") == ["dus.jpg"]
    assert offered("/image fun") == ["dus.jpg"]
    assert offered("/lang ") == ["auto", "en", "zh"]
    assert offered("/set ") == ["lang", "preview", "temperature", "seed"]
    assert offered("/set preview o") == ["on", "off"]
    assert offered("/set lang z") == ["zh"]
    assert offered("/set seed ") == []
    assert offered("/help le") == ["left", "letter"]
    assert offered(f"{tmp_path}/fun") == ["dus.jpg"]
    assert offered("What is ") == []
    assert offered("/quit ") == []


def test_history_is_kept_only_when_asked_and_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keyboard: PipeInput, sitting: Sitting
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for wanted in (False, True):
        keyboard.send_text("A question\r")
        Prompt(sitting, wanted).read()
        assert (tmp_path / "ophglm").exists() == wanted
    path = tmp_path / "ophglm" / "history"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert "A question" in path.read_text()
    path.chmod(0o644)
    kept_history()
    assert path.stat().st_mode & 0o777 == 0o600
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(InputError, match="cannot be written"):
        kept_history()


def test_the_status_bar_says_what_fits(sitting: Sitting) -> None:
    sitting.chat.speed = 71.6
    assert status(sitting, 80) == "m@1 · llama.cpp · context 0% · 72 tokens/s"
    assert status(sitting, 29) == "m@1 · llama.cpp · context 0%"
    assert status(sitting, 4) == "m@1"


@pytest.mark.parametrize(("column", "shown"), [(0, "thinking"), (30, "⠙"), (39, "")])
def test_the_spinner_stays_on_its_line_and_leaves_nothing(
    column: int, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console(file=io.StringIO(), width=40, force_terminal=True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(waiting, "stdout", console)
    with Spinner("thinking about what is to be said of it, in long words") as spinner:
        spinner.show(column)
        time.sleep(0.6)
        spinner.hide()
        said = console.file.getvalue()  # type: ignore[attr-defined]
        time.sleep(0.3)
    assert console.file.getvalue() == said  # type: ignore[attr-defined]
    assert (shown in said) if shown else not said
    for drawn in said.split("\x1b7")[1:]:
        text, back = drawn.split("\x1b[K\x1b8", 1)
        assert column + len(text) < 40
        assert back in ("", "\x1b[K")


def test_no_spinner_off_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), width=40)
    monkeypatch.setattr(waiting, "stdout", console)
    with Spinner("thinking"):
        time.sleep(0.5)
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]
