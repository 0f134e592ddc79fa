"""The conversation in a real terminal of several widths: what a person sees on the screen."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import OPHGLM

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not on this machine"),
]


class Screen:
    """A terminal of tmux, on a server of its own, with `ophglm chat` in it."""

    def __init__(self, folder: Path, columns: int, rows: int):
        self.folder, self.size = folder, (columns, rows)
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", os.devnull]

    def start(self, *arguments: str, into: str = "", **environment: str) -> None:
        given = {"TERM": "tmux-256color", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"} | environment
        values = [f"{name}={value}" for name, value in given.items()]
        command = shlex.join(
            ["env", "-u", "COLUMNS", "-u", "LINES", *values, str(OPHGLM), "chat", *arguments]
        )
        command += f" | {into}" if into else ""
        columns, rows = map(str, self.size)
        # What it ends with stays to be read.
        line = f'{command}; echo "left with $?"; sleep 1000'
        self._run("new-session", "-d", "-x", columns, "-y", rows, "-c", str(self.folder), line)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run([*self._tmux, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, timeout=60)

    def text(self, joined: bool = False) -> str:
        """All that was written, also what has scrolled away; joined: lines that the terminal and
        not the program has broken as one."""
        return self._run("capture-pane", "-p", "-S", "-", *(["-J"] if joined else []))

    def visible(self) -> list[str]:
        return [line.rstrip() for line in self._run("capture-pane", "-p").split("\n")]

    def type(self, text: str) -> None:
        self._run("send-keys", "-l", "--", text)

    def key(self, *names: str) -> None:
        self._run("send-keys", *names)

    def paste(self, text: str) -> None:
        self._run("set-buffer", "--", text)
        self._run("paste-buffer", "-p")

    def wait_for(self, pattern: str, seconds: float = 120) -> str:
        end = time.monotonic() + seconds
        while not re.search(pattern, text := self.text(), re.M):
            assert time.monotonic() < end, f"no {pattern!r} in\n{text}"
            time.sleep(0.2)
        return text

    def ready(self) -> None:
        """Wait for an empty prompt: the last line before the status bar."""
        end = time.monotonic() + 120
        while True:
            shown = [line for line in self.visible() if line]
            if len(shown) > 1 and shown[-2] == ">" and "llama.cpp" in shown[-1]:
                return
            assert time.monotonic() < end, "\n".join(shown)
            time.sleep(0.2)

    def enter(self, line: str, answer: str) -> None:
        """Type a line at an empty prompt and wait for what it brings behind it."""
        self.ready()
        said = len(re.findall(answer, self.text(), re.M))
        self.type(line)
        self.key("Enter")
        end = time.monotonic() + 120
        while len(re.findall(answer, self.text(), re.M)) <= said:
            assert time.monotonic() < end, f"no {answer!r} after {line!r} in\n{self.text()}"
            time.sleep(0.2)


@pytest.fixture
def screen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Screen]:
    made = Screen(tmp_path, *getattr(request, "param", (80, 24)))
    yield made
    made.close()


@pytest.mark.parametrize("screen", [(80, 24), (60, 24), (200, 50)], indirect=True)
def test_a_conversation(screen: Screen, sample: Path) -> None:
    columns, _ = screen.size
    (screen.folder / "left eye.jpg").write_bytes(sample.read_bytes())
    state = screen.folder / "state"
    screen.start("--image", "sample", "--history", XDG_STATE_HOME=str(state))
    # The opening: photograph, findings with bars and thresholds, one line of what it is.
    screen.ready()
    text = screen.text()
    assert "▀" in text
    assert re.search(r"diabetic retinopathy +\d+% \* ━", text)
    assert len(re.findall(r"not a\s+diagnosis", text)) == 1
    assert max(map(len, screen.visible())) <= columns

    # A streamed answer; what is typed meanwhile waits for the prompt.
    screen.type("What is glaucoma?")
    screen.key("Enter")
    screen.wait_for("Known in general")
    screen.type("/findings")
    screen.wait_for(r"^> /findings$")
    answer = screen.text().split("> What is glaucoma?")[1].split("> /findings")[0]
    assert "/findings" not in answer
    assert "optic" in answer
    screen.key("C-c")  # clears the line

    # Ctrl-C in the middle of an answer keeps what was said.
    screen.ready()
    screen.type("What is the treatment of diabetic retinopathy, in detail?")
    screen.key("Enter")
    screen.wait_for(r"detail\?\n+Known in general")
    screen.key("C-c")
    screen.wait_for(r"^\(stopped\)|^By the ICO|^What to do next")
    screen.enter("/undo", "Forgotten: What is the treatment")

    # A path as a terminal drags it in; commands; their completion.
    screen.enter(f"'{screen.folder}/left eye.jpg'", "left eye by its file name")
    screen.enter("/heatmap dr map.png", r"Written to map\.png")
    assert (screen.folder / "map.png").stat().st_size > 1000
    screen.enter("/heatmap glaucoma", r"left eye\.jpg: glaucoma")
    screen.ready()
    screen.type("/rep")
    screen.key("Tab")
    screen.wait_for("^> /report")
    screen.type(" talk.md")
    screen.key("Enter")
    screen.wait_for(r"Written to talk\.md")
    screen.enter("/image nowhere.jpg", "No such file")
    screen.enter("/imgae x", "did you mean /image")
    # History, back by a key and by a search.
    screen.ready()
    screen.key("Up")
    screen.wait_for("^> /imgae x")
    screen.key("C-c")
    screen.ready()
    screen.key("C-r")
    screen.type("is glau")
    screen.key("Enter")
    screen.wait_for(r"^> What is glaucoma\?$")
    screen.key("C-c")
    # What is pasted is whole.
    screen.ready()
    screen.paste("What is a\ncataract?")
    screen.wait_for(r"^> What is a\s*\n\s*cataract\?")
    screen.key("Enter")
    screen.wait_for("lens")
    screen.ready()
    # The program breaks its lines itself, and between words: the terminal had none to break.
    lines = [line.rstrip() for line in screen.text(joined=True).split("\n")]
    assert [line for line in lines if len(line) > columns and not line.startswith("> ")] == []
    screen.key("C-d")
    screen.wait_for("left with 0")
    assert "Traceback" not in screen.text()
    assert (state / "ophglm" / "history").exists()


def test_without_colours(screen: Screen) -> None:
    screen.start("--image", "sample", NO_COLOR="1")
    screen.ready()
    escaped = screen._run("capture-pane", "-p", "-e", "-S", "-")
    assert "diabetic retinopathy" in escaped
    assert "▀" not in escaped
    assert not re.search(r"\x1b\[(?:\d+;)*[349][0-8][;m]", escaped)  # neither ink nor ground
    screen.enter("What is glaucoma?", "optic")
    screen.ready()
    screen.key("C-d")
    screen.wait_for("left with 0")


def test_a_dumb_terminal(screen: Screen) -> None:
    screen.start("--image", "sample", TERM="dumb")
    screen.wait_for("^> ?$")
    screen.type("What is glaucoma?")
    screen.key("Enter")
    screen.wait_for("optic")
    assert "▀" not in screen.text()
    assert "⠋" not in screen.text()
    screen.wait_for(r"(?s)optic.*\n> ?$")
    screen.key("C-d")
    screen.wait_for("left with 0")


def test_as_a_pipe(screen: Screen) -> None:
    screen.start("--image", "sample", "-p", "What is glaucoma?", into="cat > said.txt")
    screen.wait_for("left with 0")
    said = (screen.folder / "said.txt").read_text(encoding="utf-8")
    assert "Known in general" in said
    assert "\x1b" not in said
    assert "▀" not in said
    assert max(map(len, said.splitlines())) > 200  # what is no terminal breaks no lines
    assert screen.text().split() == ["left", "with", "0"]
