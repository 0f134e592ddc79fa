from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

from .conftest import OPHGLM, Run


def test_prompt_gives_findings_answer_and_one_notice(ophglm: Run) -> None:
    result = ophglm("chat", "--image", "sample", "--prompt", "What do you see?")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("retina.jpg\n")
    assert "From the photograph: The photograph" in result.stdout
    assert result.stdout.count("not a diagnosis") == 1
    assert "\x1b[" not in result.stdout
    assert result.stderr == ""


def test_a_question_that_is_too_long_still_gets_findings_and_notice(ophglm: Run) -> None:
    result = ophglm("chat", "--image", "sample", given="Is there more to say of the eye? " * 900)
    assert result.returncode == 2
    assert "too long" in result.stderr
    assert "diabetic retinopathy" in result.stdout
    assert result.stdout.count("not a diagnosis") == 1


def test_prompt_on_standard_input(ophglm: Run, photographs: Path) -> None:
    result = ophglm("chat", "--image", photographs / "two.png", given="What causes glaucoma?\n")
    assert result.returncode == 0, result.stderr
    assert "pressure" in result.stdout
    assert "[" in result.stdout  # its source


def test_json_with_both_eyes(ophglm: Run, photographs: Path) -> None:
    result = ophglm(
        "chat",
        *("--image", photographs / "one_left.jpg", "--image", photographs / "deeper/three OD.tif"),
        *("--prompt", "What do you see?", "--json"),
    )
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert [f["eye"] for f in answer["findings"]] == ["left", "right"]
    assert "left eye" in answer["answer"]
    assert {"kind", "text", "source"} == set(answer["parts"][0])
    assert "not a diagnosis" in answer["notice"]


def test_chinese(ophglm: Run) -> None:
    result = ophglm("chat", "--image", "sample", "--prompt", "这张照片看到了什么？")
    assert "照片所见：" in result.stdout
    assert "不构成诊断" in result.stdout


def test_red_flag(ophglm: Run) -> None:
    result = ophglm("chat", "--image", "sample", "-p", "Sudden loss of vision in one eye")
    assert "Urgent" in result.stdout
    assert "do not wait" in result.stdout


def test_what_cannot_be_talked_about(ophglm: Run, photographs: Path) -> None:
    for image, words in (
        ("nowhere.jpg", "No such file"),
        (photographs / "notes.jpg", "not a picture"),
        (photographs / "broken.jpg", "broken picture"),
        (photographs, "is a folder"),
    ):
        result = ophglm("chat", "--image", image, "--prompt", "x")
        assert result.returncode == 1, image
        assert words in result.stderr
        assert result.stderr.count("\n") == 1
        assert result.stdout == ""
    text = photographs / "readme.txt"
    for options, words in (
        (["--llm", text], "not a GGUF"),
        (["--llm", "nowhere.gguf"], "No such language model"),
        (["--model", "nowhere"], "No such model folder"),
        (["--prompt", " "], "empty"),
    ):
        result = ophglm("chat", "--image", "sample", "--prompt", "x", *options)
        assert result.returncode == 2
        assert words in result.stderr
    teaching = ophglm("chat", given="What is a drusen?")
    assert teaching.returncode == 0
    assert "drusen" in teaching.stdout.lower()
    three = ["--image", "sample"] * 3
    assert ophglm("chat", *three, "--prompt", "x").returncode == 2


class Terminal:
    """A pseudo-terminal with `ophglm chat` in it."""

    def __init__(self, *arguments: str):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [str(OPHGLM), "chat", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            close_fds=True,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
            preexec_fn=_take_terminal,
        )
        os.close(slave)
        self.text = ""
        self.read = 0

    def wait_for(self, pattern: str, seconds: float = 60) -> None:
        """Read until `pattern` comes; what stands before its end is then read."""
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.text[self.read :])
            if found:
                self.read += found.end()
                return
            ready, _, _ = select.select([self.master], [], [], 0.1)
            if ready:
                try:
                    written = os.read(self.master, 65536).decode("utf-8", "ignore")
                    self.text += re.sub(r"\x1b\[[0-9;]*m", "", written)  # colours aside
                except OSError:
                    break
            if time.monotonic() > end:
                break
        raise AssertionError(f"no {pattern!r} in {self.text[self.read :]!r}")

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


#: What prompt-toolkit writes when it is ready for a line.
READY = r"\x1b\[\?2004h"


def test_conversation_at_a_terminal() -> None:
    terminal = Terminal("--image", "sample")
    terminal.wait_for("Ctrl-D leaves")
    terminal.wait_for(READY)
    terminal.type("What is glaucoma?\r")
    terminal.wait_for("optic")
    terminal.wait_for(READY)
    terminal.type("/findings\r")
    terminal.wait_for("pathological myopia")
    terminal.wait_for(READY)
    terminal.type("/image nowhere.jpg\r")
    terminal.wait_for("No such file")
    terminal.wait_for(READY)
    terminal.type("/clear\r")
    terminal.wait_for("forgotten")
    terminal.wait_for(READY)
    terminal.type("\x1b[A\x1b[A\x1b[A\x1b[A\r")  # up to the first question again
    terminal.wait_for("optic")
    terminal.wait_for(READY)
    terminal.type("\x04")
    assert terminal.process.wait(timeout=30) == 0


def test_ctrl_c_stops_the_answer_and_the_conversation_goes_on() -> None:
    terminal = Terminal("--image", "sample")
    terminal.wait_for(READY)
    terminal.type("What is the treatment of diabetic retinopathy, in long and in detail?\r")
    terminal.wait_for("Known in general")
    terminal.type("\x03")
    terminal.wait_for(r"\(stopped\)", 15)
    terminal.wait_for(READY)
    terminal.type("What causes it?\r")
    terminal.wait_for("From the|Known")
    terminal.wait_for(READY)
    terminal.type("/exit\r")
    assert terminal.process.wait(timeout=30) == 0
