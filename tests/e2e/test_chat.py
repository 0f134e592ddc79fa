from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

from .conftest import OPHGLM, Run


def test_prompt_gives_findings_answer_and_one_notice(ophglm: Run) -> None:
    result = ophglm("chat", "--image", "sample", "--prompt", "What do you see?")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("retina.jpg · gradable\n")
    assert "From the photograph: The photograph" in result.stdout
    assert result.stdout.count("not a diagnosis") == 1
    assert "\x1b[" not in result.stdout
    assert result.stderr == ""


def test_of_a_text_that_is_too_long_the_beginning_is_answered(ophglm: Run) -> None:
    letter = "Is there more to say of the eye? " * 900
    result = ophglm("chat", "--image", "sample", given=letter)
    assert result.returncode == 0, result.stderr
    assert len(re.findall("read up to “.*more to say of the eye", result.stdout)) == 1
    assert "diabetic retinopathy" in result.stdout
    assert result.stdout.count("not a diagnosis") == 1


def test_prompt_on_standard_input(ophglm: Run, photographs: Path) -> None:
    result = ophglm("chat", "--image", photographs / "two.png", given="What causes glaucoma?\n")
    assert result.returncode == 0, result.stderr
    assert "pressure" in result.stdout
    assert "[" in result.stdout  # its source


def test_several_questions_are_one_conversation(
    ophglm: Run, photographs: Path, tmp_path: Path
) -> None:
    both = tmp_path / "a patient"
    both.mkdir()
    (photographs / "one_left.jpg").rename(both / "one_left.jpg")
    (photographs / "deeper/three OD.tif").rename(both / "three OD.tif")
    questions = tmp_path / "questions.txt"
    long = "Is there more to say of the eye? " * 900
    questions.write_text(f"Is it hereditary?\n\n{long}\nSudden loss of vision\n", encoding="utf-8")
    result = ophglm(
        *("chat", "--image", both, "--prompt", "What is retinitis pigmentosa?"),
        *("--prompts", questions, "--json", "--transcript", tmp_path / "talk.html"),
    )
    assert result.returncode == 0, result.stderr
    first, second, third, last = map(json.loads, result.stdout.splitlines())
    assert [f["eye"] for f in first["findings"]] == ["left", "right"]
    assert first["question"] == "What is retinitis pigmentosa?"
    assert first["intent"]["beyond"] == ["retinitis_pigmentosa"]
    assert {"kind", "text", "source"} == set(first["parts"][0])
    assert first["model"]["model"].startswith("ophglm-")
    assert first["timings"]["answer"] > 0
    assert "not a diagnosis" in first["notice"]
    assert "inherit" in second["answer"]  # "it" is what the turn before was about
    assert [part["kind"] for part in third["parts"][:2]] == ["remark", "knowledge"]
    assert long.startswith(third["question"])
    assert last["red_flag"].startswith("Urgent")
    written = (tmp_path / "talk.html").read_text(encoding="utf-8")
    assert "Is it hereditary?" in written
    assert written.index("Urgent") < written.index("one_left.jpg")
    assert not list(tmp_path.glob(".*"))


def test_chinese(ophglm: Run) -> None:
    result = ophglm("chat", "--image", "sample", "--prompt", "这张照片看到了什么？")
    assert "照片所见：" in result.stdout
    assert "不构成诊断" in result.stdout


def test_red_flag(ophglm: Run) -> None:
    result = ophglm("chat", "--image", "sample", "-p", "Sudden loss of vision in one eye")
    assert "Urgent" in result.stdout
    assert "do not wait" in result.stdout


def test_what_cannot_be_talked_about(ophglm: Run, photographs: Path) -> None:
    (photographs / "empty").mkdir()
    for image, words in (
        ("nowhere.jpg", "No such file"),
        (photographs / "notes.jpg", "not a picture"),
        (photographs / "broken.jpg", "broken picture"),
        (photographs / "empty", "holds no photographs"),
    ):
        result = ophglm("chat", "--image", image, "--prompt", "x")
        assert result.returncode == 1, image
        assert words in result.stderr
        assert result.stderr.count("\n") == 1
        assert result.stdout == ""
    text = photographs / "readme.txt"
    (photographs / "blank.txt").write_text("\n \n")
    for options, words in (
        (["--llm", text], "not a GGUF"),
        (["--llm", "nowhere.gguf"], "No such language model"),
        (["--model", "nowhere"], "No such model folder"),
        (["--prompt", " "], "empty"),
        (["--prompts", photographs / "blank.txt"], "holds no question"),
        (["--transcript", text], "is there already"),
        (["--transcript", "talk.docx"], "not as '.docx'"),
        (["--lang", "fr"], "no language here"),
        (["--image", photographs], "holds 5 photographs"),
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

    def __init__(
        self,
        *arguments: str,
        columns: int = 80,
        folder: Path | None = None,
        to: int | None = None,
        **environment: str,
    ):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        self.process = subprocess.Popen(
            [str(OPHGLM), "chat", *arguments],
            stdin=slave,
            stdout=slave if to is None else to,
            stderr=slave,
            close_fds=True,
            start_new_session=True,
            cwd=folder,
            env={**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **environment},
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
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


#: What prompt-toolkit writes when it is ready for a line.
READY = r"\x1b\[\?2004h"


@pytest.mark.alone
def test_conversation_at_a_terminal(photographs: Path) -> None:
    state = photographs / "state"
    terminal = Terminal(
        *("--image", "sample", "--history"),
        columns=60,
        folder=photographs,
        XDG_STATE_HOME=str(state),
    )

    def enter(text: str, answer: str) -> None:
        terminal.wait_for(READY)
        terminal.type(text + "\r")
        terminal.wait_for(answer)

    terminal.wait_for("Ctrl-D leaves")
    enter("What is glaucoma?", "optic")
    # What is typed during an answer waits for the prompt and does not stand in the answer.
    terminal.type("/heatmap dr\r")
    began = terminal.text.index("optic")
    terminal.wait_for(READY)
    assert "/heatmap" not in terminal.text[began : terminal.read]
    terminal.wait_for("retina.jpg: diabetic")
    terminal.wait_for("not always a")
    terminal.wait_for(READY)
    terminal.type("/hea\t")
    terminal.wait_for("tmap")
    terminal.type(" gl\t")
    terminal.wait_for("aucoma")
    terminal.type("\r")
    terminal.wait_for("retina.jpg: glaucoma")
    enter("/findings", "pathological myopia")
    enter("/image nowhere.jpg", "No such file")
    enter("/imgae x", "did you mean /image")
    enter("one_left.jpg", "left eye by its file name")
    # A new line by a backslash, by Esc-Enter, and in what is pasted; Ctrl-C clears one.
    enter("nothing of this\x03", "")
    enter("What is\\\r a\x1b\r\x1b[200~ cataract,\nplease?\x1b[201~", "lens")
    enter("/report talk.md", "Written to talk.md")
    enter("clear", "forgotten")
    enter("\x12is glau\r", "optic")  # Ctrl-R: the first question again
    terminal.wait_for(READY)
    terminal.type("\x04")
    assert terminal.process.wait(timeout=30) == 0
    shown = re.sub(r"\x1b\[\?\d+[hl]", "", terminal.text).splitlines()
    own = [line.rstrip() for line in shown if "\x1b" not in line]  # not where a cursor moves
    # The prompt may already be drawn on the notice's line.
    assert "must review the image." in re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", terminal.text)
    assert max(map(len, own)) <= 60
    report = (photographs / "talk.md").read_text(encoding="utf-8")
    assert "> What is" in report
    assert "nothing of this" not in report
    held = state / "ophglm" / "history"
    assert "What is glaucoma?" in held.read_text(encoding="utf-8")
    assert "optic" not in held.read_text(encoding="utf-8")
    assert held.stat().st_mode & 0o777 == 0o600


def test_a_dumb_terminal_and_one_that_is_read_elsewhere(tmp_path: Path) -> None:
    output = (tmp_path / "said.txt").open("wb")
    piped = Terminal("--image", "sample", to=output.fileno())
    dumb = Terminal("--image", "sample", TERM="dumb", NO_COLOR="1")
    for terminal in (piped, dumb):
        terminal.wait_for("> ")
        terminal.type("What is\\\nglaucoma?\n/quit\n")
        assert terminal.process.wait(timeout=60) == 0
    dumb.wait_for("optic")
    written = (tmp_path / "said.txt").read_text(encoding="utf-8")
    assert "optic" in written
    assert "> " not in written
    for text in (dumb.text, written):
        assert "\x1b" not in text
        assert text.count("not a diagnosis") == 1


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
