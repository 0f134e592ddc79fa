"""The commands of the conversation, without a model."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from ophglm_cli import chat_output, commands, heatmap_output
from ophglm_cli.commands import COMMANDS, Leave, understand
from ophglm_cli.sitting import Sitting
from ophglm_core.chat.conversation import Chat
from ophglm_core.chat.parts import AnswerPart
from ophglm_core.conditions import DEFAULT_LABELS, default_labels
from ophglm_core.errors import OphglmError, UsageError
from ophglm_core.findings import NOTICE, NOTICE_ZH, Findings
from ophglm_core.knowledge.retrieval import Library
from ophglm_core.runtime.session import Decoding

from ..silent import Silent

LOW = dict.fromkeys(DEFAULT_LABELS, 0.02)
MAPS = np.zeros((len(DEFAULT_LABELS), 4, 4), np.float32)


def finding(path: Path, **values: Any) -> Findings:
    probabilities = {**LOW, "dr": 0.8}
    return Findings(str(path), "ok", "m@1", probabilities, ["dr"], cams=MAPS, **values)


class Room:
    """A sitting in an empty folder, on a console of its own."""

    def __init__(self, sitting: Sitting, console: Console):
        self.sitting, self.console = sitting, console

    def do(self, line: str) -> str:
        """Do what a line says and return what was printed."""
        file = self.console.file
        assert isinstance(file, io.StringIO)
        file.truncate(0)
        file.seek(0)
        command, rest = understand(line)
        if command is not None:
            command.run(self.sitting, rest)
        else:
            chat_output.show_answer(self.sitting, rest)
        return file.getvalue()


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Console:
    console = Console(file=io.StringIO(), width=60, highlight=False)
    for module in (chat_output, commands, heatmap_output):
        monkeypatch.setattr(module, "stdout", console)
    return console


@pytest.fixture
def room(
    library: Library,
    sample: Path,
    tmp_path: Path,
    console: Console,
    monkeypatch: pytest.MonkeyPatch,
) -> Room:
    monkeypatch.chdir(tmp_path)
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name in ("left.jpg", "other.jpg", "with blank.jpg"):
        (tmp_path / name).write_bytes(sample.read_bytes())
    chat = Chat(
        [finding(tmp_path / "left.jpg")],
        default_labels(),
        Silent(),
        library=library,
        thresholds=dict.fromkeys(DEFAULT_LABELS, 0.1),
        about={"model": "m@1", "runtime": "none"},
    )

    def look(*paths: Path) -> list[Findings]:
        return [finding(path) for path in paths]

    def resume(chat: Chat, path: Path) -> None:
        from ophglm_core.chat.saved import read_saved

        chat.resume(read_saved(path, chat.labels).exchanges)

    return Room(Sitting(SimpleNamespace(look=look, resume=resume), chat), console)  # type: ignore[arg-type]


def test_what_a_line_means(room: Room, tmp_path: Path) -> None:
    for line, name in (
        ("/findings", "findings"),
        ("/FINDINGS", "findings"),
        ("exit", "quit"),
        ("quit", "quit"),
        ("/exit", "quit"),
        ("clear", "clear"),
        ("Help", "help"),
        ("/?", "help"),
        ("left.jpg", "image"),
        ("left.jpg other.jpg", "image"),
        (str(tmp_path / "left.jpg"), "image"),
        (f"'{tmp_path}/with blank.jpg'", "image"),
        (f"{tmp_path}/with\\ blank.jpg", "image"),
        (f"{tmp_path}/with blank.jpg", "image"),
        (f"file://{tmp_path}/with%20blank.jpg", "image"),
        (str(tmp_path), "image"),
        (str(tmp_path / "gone.jpg"), "image"),  # whose error then says that it is gone
    ):
        command, _ = understand(line)
        assert command is not None, line
        assert command.name == name, line
    for line in ("What is left.jpg?", "left", "findings", "it's", "OD", "a/b ratio", "x" * 5000):
        assert understand(line) == (None, line)
    for line, near in (("/heatmpa dr", "/heatmap"), ("/imag x", "/image"), ("/xyzzy", "/help")):
        with pytest.raises(UsageError, match=near):
            understand(line)


def test_a_photograph_is_opened_and_the_conversation_starts_over(room: Room) -> None:
    room.do("What is glaucoma?")
    said = room.do("'with blank.jpg'")
    assert "with blank.jpg" in said
    assert "starts over" in said
    assert room.sitting.chat.exchanges == []
    with pytest.raises(UsageError, match="/image FILE"):
        room.do("/image")


def test_eyes_are_named_and_added(room: Room) -> None:
    chat = room.sitting.chat
    room.do("What is glaucoma?")
    assert "left eye" in room.do("/left")
    assert len(chat.exchanges) == 1  # naming an eye does not end the conversation
    assert "by its file name" not in room.do("/findings")
    room.do("/right other.jpg")
    assert [f.laterality for f in chat.findings] == ["left", "right"]
    assert "other.jpg" not in room.do("/left")
    assert "Both are flagged for diabetic retinopathy." in room.do("/compare")
    room.do("/right left.jpg")
    assert [f.laterality for f in chat.findings] == ["right", "right"]
    with pytest.raises(UsageError, match="open already"):
        room.do("/left 'with blank.jpg'")
    chat.look_at([chat.findings[0]])
    with pytest.raises(UsageError, match="/left FILE"):
        room.do("/compare")


def test_a_heat_map_is_shown_or_written_and_never_over_a_file(room: Room, tmp_path: Path) -> None:
    assert "▀" in room.do("/heatmap")
    assert "glaucoma" in room.do("/heatmap glauc")
    assert "diabetic retinopathy" in room.do("/heatmap diabetic retinopathy")
    room.do("/heatmap dr 'a map.png'")
    assert Image.open(tmp_path / "a map.png").size == (512, 512)
    before = (tmp_path / "left.jpg").read_bytes()
    with pytest.raises(UsageError, match="already"):
        room.do("/heatmap dr left.jpg")
    assert (tmp_path / "left.jpg").read_bytes() == before
    with pytest.raises(UsageError, match=r"not as '\.gif'"):
        room.do("/heatmap dr map.gif")
    with pytest.raises(UsageError, match="did you mean glaucoma"):
        room.do("/heatmap glacuoma")
    room.sitting.chat.look_at([finding(tmp_path / n) for n in ("left.jpg", "other.jpg")])
    room.do("/heatmap dr both.jpg")
    assert {p.name for p in tmp_path.glob("both*")} == {"both-1.jpg", "both-2.jpg"}


def test_reports_and_conversations_are_written_once(room: Room, tmp_path: Path) -> None:
    room.do("What is retinitis pigmentosa?")
    room.do("/report")
    (page,) = tmp_path.glob("ophglm-report-*.html")
    assert "retinitis pigmentosa" in page.read_text(encoding="utf-8")
    room.do("/report r.json")
    assert json.loads((tmp_path / "r.json").read_text())["notice"] == NOTICE
    room.do("/report r.pdf")
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF-")
    for line, words in (
        ("/report r.json", "already"),
        ("/report r.pdf", "already"),
        ("/report r.docx", "or .json"),
    ):
        with pytest.raises(UsageError, match=words):
            room.do(line)
    room.do("/save talk.json")
    room.do("clear")
    assert room.sitting.chat.exchanges == []
    assert "1 questions and answers" in room.do("/load talk.json")
    assert "inherit" in room.do("Is it hereditary?")
    with pytest.raises(OphglmError, match="not a conversation"):
        room.do("/load r.json")
    with pytest.raises(UsageError, match="Name one file"):
        room.do("/load")


def test_undo_and_retry(room: Room) -> None:
    for line in ("/undo", "/retry", "/copy"):
        with pytest.raises(UsageError):
            room.do(line)
    room.do("What is retinitis pigmentosa?")
    room.do("What is glaucoma?")
    assert "glaucoma" in room.do("/retry")
    assert len(room.sitting.chat.exchanges) == 2
    assert "What is glaucoma?" in room.do("/undo")
    assert "retinitis" in room.do("/retry")
    room.do("/letter")
    assert "Dear colleague" in room.do("/retry")


def test_the_language_is_the_user_s_or_the_question_s_or_the_locale_s(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "retinopathy" in room.do("/findings")
    room.do("什么是青光眼？")
    assert "糖尿病视网膜病变" in room.do("/findings")
    assert "界面语言" in room.do("/lang zh")
    room.do("What is glaucoma?")
    assert "糖尿病视网膜病变" in room.do("/findings")
    assert "尊敬的同道" in room.do("/letter")
    assert "显示命令" in room.do("/help")
    room.do("/lang auto")
    room.sitting.asked = ""
    assert "diabetic" in room.do("/findings")
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert "糖尿病" in room.do("/findings")
    with pytest.raises(UsageError, match="'fr'"):
        room.do("/lang fr")


def test_settings_are_shown_and_changed(room: Room) -> None:
    before = room.do("/set").split()
    assert before == ["lang", "auto", "preview", "on", "temperature", "0", "seed", "0"]
    assert room.do("/set temperature 0.7").split() == ["temperature", "0.7"]
    room.do("/set seed 5")
    assert room.sitting.chat.decoding == Decoding(0.7, 5)
    assert room.do("/set seed").split() == ["seed", "5"]
    room.do("/set preview off")
    assert not room.sitting.preview
    room.do("/set lang zh")
    assert "显示命令" in room.do("/help")
    for wrong in (
        "hue",
        "hue 3",
        "preview perhaps",
        "temperature hot",
        "temperature 3",
        "seed 1.5",
    ):
        with pytest.raises(UsageError):
            room.do(f"/set {wrong}")
    assert room.sitting.chat.decoding == Decoding(0.7, 5)


def test_what_cannot_be_graded_says_why_in_both_languages(room: Room) -> None:
    dark = replace(
        room.sitting.chat.findings[0],
        status="ungradable",
        probabilities={},
        positive=[],
        cams=None,
        message="Not graded: it is too dark.",
    )
    room.sitting.chat.look_at([dark])
    assert "too dark" in room.do("/findings")
    assert "gradable" not in room.do("/findings").replace("ungradable", "")
    room.sitting.lang = "zh"
    assert "未判读：过暗。" in room.do("/findings")
    assert "too dark" in room.do("/heatmap dr")


def test_the_grade_is_shown(room: Room) -> None:
    graded = replace(
        room.sitting.chat.findings[0],
        grade=2,
        grade_probabilities=(0.1, 0.2, 0.4, 0.2, 0.1),
        referable=True,
    )
    room.sitting.chat.look_at([graded])
    said = " ".join(room.do("/findings").split())
    assert "2, moderate non-proliferative (40%" in said
    assert "to be referred" in said


def test_copy_goes_through_the_terminal(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.do("什么是青光眼？")
    with pytest.raises(UsageError, match="clipboard"):
        room.do("/copy")
    monkeypatch.setattr(commands, "draws", lambda console: True)
    written = room.do("/copy")
    start = written.index("\x1b]52;c;") + len("\x1b]52;c;")
    text = base64.b64decode(written[start : written.index("\x07")]).decode()
    assert "青光眼" in text
    assert "[" in text
    assert text.endswith(NOTICE_ZH)


def test_help_is_made_of_the_table(room: Room) -> None:
    said = room.do("/help")
    for command in COMMANDS.values():
        assert command.usage in said
    assert max(map(len, said.splitlines())) <= 60
    assert "/heatmap" in room.do("/help heatmap")
    assert "/report" not in room.do("/help /heatmap")
    with pytest.raises(UsageError, match="/heatmap"):
        room.do("/help heatmpa")
    assert "m@1" in room.do("/model")
    with pytest.raises(Leave):
        room.do("quit")


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_findings_and_status_fit(
    width: int, language: str, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.cells import cell_len

    from ophglm_cli.repl_input import status

    wide = Console(
        file=io.StringIO(), width=width, force_terminal=True, color_system=None, highlight=False
    )
    monkeypatch.setattr(chat_output, "stdout", wide)
    room.console, room.sitting.lang = wide, language
    lines = room.do("/findings").splitlines()
    assert all(cell_len(line) <= width for line in lines)
    if width >= 60:
        assert any("━" in line and "│" in line for line in lines)
        assert len(lines) == len(DEFAULT_LABELS) + 3  # nothing was broken
    assert cell_len(status(room.sitting, width)) <= width


def test_an_answer_that_is_stopped_is_kept_and_written(room: Room, tmp_path: Path) -> None:
    room.sitting.transcript = tmp_path / "talk.md"
    ask = room.sitting.chat.ask

    def stopped(text: str) -> Iterator[Any]:
        parts = ask(text)
        yield next(parts)
        parts.close()
        raise KeyboardInterrupt

    room.sitting.chat.ask = stopped  # type: ignore[assignment, method-assign]
    with pytest.raises(KeyboardInterrupt):
        room.do("What are the side effects of latanoprost?")
    (exchange,) = room.sitting.chat.exchanges
    assert exchange.parts
    assert "latanoprost" in (tmp_path / "talk.md").read_text(encoding="utf-8")
    assert "(stopped)" in (tmp_path / "talk.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [30, 60, 200])
def test_photographs_are_drawn_where_the_terminal_can(
    width: int, room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(system: Any = "truecolor", preview: bool = True, **options: Any) -> list[str]:
        console = Console(
            file=io.StringIO(),
            width=width,
            height=24,
            force_terminal=True,
            color_system=system,
            _environ={"TERM": "xterm-256color"},
            **options,
        )
        monkeypatch.setattr(heatmap_output, "stdout", console)
        room.sitting.preview = preview
        heatmap_output.show_photographs(room.sitting)
        return [line for line in console.file.getvalue().splitlines() if "▀" in line]  # type: ignore[attr-defined]

    one = drawn()
    assert len(one) <= 12
    assert max(line.count("▀") for line in one) <= 24
    assert drawn(preview=False) == drawn("standard") == drawn(no_color=True) == []
    left = room.sitting.chat.findings[0]
    room.sitting.chat.look_at([left, replace(left, image=str(tmp_path / "other.jpg"))])
    both = drawn()
    assert max(line.count("▀") for line in both) <= width
    assert len(both) <= 12
    room.sitting.chat.look_at([replace(left, image=str(tmp_path / "gone.jpg"))])
    assert drawn() == []


def test_a_transcript_outlives_its_conversation(room: Room, tmp_path: Path) -> None:
    room.sitting.transcript = tmp_path / "talk.md"
    room.do("What is glaucoma?")
    for number, line in enumerate(("other.jpg", "/clear", "/image left.jpg"), 2):
        room.do(line)
        room.do("What is retinitis pigmentosa?")
        held = tmp_path / f"talk-{number}.md"
        assert "What is glaucoma?" not in held.read_text(encoding="utf-8")
        assert "retinitis" in held.read_text(encoding="utf-8")
    assert "What is glaucoma?" in (tmp_path / "talk.md").read_text(encoding="utf-8")
    assert len(list(tmp_path.glob("talk*"))) == 4


def explained(room: Room, monkeypatch: pytest.MonkeyPatch, **options: Any) -> str:
    """What is printed of an answer in a language model's own Markdown."""
    console = Console(file=io.StringIO(), width=40, highlight=False, **options)
    monkeypatch.setattr(chat_output, "stdout", console)
    room.console = console

    def ask(text: str) -> Iterator[AnswerPart]:
        for said in ("It has **two very** signs: [1]", "- `first` of a*b [1]", "- *the* second."):
            yield AnswerPart("explanation", said)

    room.sitting.chat.ask = ask  # type: ignore[assignment, method-assign]
    return room.do("What is it?")


def test_markdown_is_shown_on_a_terminal_and_stays_as_it_is_elsewhere(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = (
        "In other words: It has **two very** signs: [1]\n- `first` of a*b [1]\n- *the* second.\n"
    )
    assert explained(room, monkeypatch, soft_wrap=True) == plain
    terminal = {"force_terminal": True, "_environ": {"TERM": "xterm-256color"}}
    without = explained(room, monkeypatch, no_color=True, **terminal)
    assert "**two very**" in " ".join(re.sub(r"\x1b\[[0-9;]*m", "", without).split())
    drawn = explained(room, monkeypatch, color_system="256", **terminal)
    assert "\x1b[1mtwo\x1b[0m \x1b[1mvery\x1b[0m" in drawn.replace("\x1b[1m \x1b[0m", " ")
    shown = re.sub(r"\x1b\[[0-9;]*m", "", drawn)
    assert (
        shown == "In other words: It has two very signs: \n[1]\n- first of a*b [1]\n- the second.\n"
    )
