"""Reports, saved conversations and comparisons: what they hold, and that nothing typed escapes."""

from __future__ import annotations

import importlib.util
import io
import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pypdf import PdfReader

from ophglm_core.chat.comparison import compare
from ophglm_core.chat.conversation import Chat
from ophglm_core.chat.exchange import Exchange
from ophglm_core.chat.question import parse_question
from ophglm_core.chat.report import report, report_format, turn_json, write_report
from ophglm_core.chat.saved import read_saved, save
from ophglm_core.conditions import DEFAULT_LABELS, default_labels
from ophglm_core.errors import InputError, UsageError
from ophglm_core.findings import NOTICE, NOTICE_ZH, Findings
from ophglm_core.knowledge.retrieval import Library

from ...silent import Silent

LOW = dict.fromkeys(DEFAULT_LABELS, 0.02)
MAPS = np.zeros((len(DEFAULT_LABELS), 4, 4), np.float32)


@pytest.fixture
def talk(library: Library, sample: Path) -> Chat:
    left = Findings(
        str(sample),
        "ok",
        "m@1",
        {**LOW, "dr": 0.8},
        ["dr"],
        grade=2,
        grade_probabilities=(0.1, 0.2, 0.4, 0.2, 0.1),
        referable=True,
        laterality="left",
        cams=MAPS,
    )
    return Chat(
        [left],
        default_labels(),
        Silent(),
        library=library,
        thresholds=dict.fromkeys(DEFAULT_LABELS, 0.055),
        about={"model": "m@1"},
    )


def test_a_report_holds_findings_conversation_and_numbered_sources(talk: Chat) -> None:
    list(talk.ask("Does it run in families?"))
    list(talk.ask("Sudden loss of vision in one eye <script>alert(1)</script>"))
    flag = talk.exchanges[-1].red_flag
    assert flag
    page = report(talk, "html", when=datetime(2026, 1, 2, 3, 4))
    text = report(talk, "md", when=datetime(2026, 1, 2, 3, 4))
    for written in (page, text):
        assert written.count(NOTICE) == 1
        for words in (
            "retina.jpg",
            "gradable",
            "80%",
            "5.5%",
            "moderate",
            "2026-01-02",
            "m@1",
            "[1]",
        ):
            assert words in written
        # What is urgent stands before all findings.
        assert written.index(flag[:20]) < written.index("80%")
        source = talk.exchanges[0].parts[0].source
        assert source
        assert written.count(source.split(",")[0])
    assert "<script>" not in page
    assert "<script>" not in text
    values = json.loads(report(talk, "json"))
    assert values["findings"][0]["dr_grade"] == 2
    assert values["red_flags"] == [flag]
    assert [t["question"][:4] for t in values["conversation"]] == ["Does", "Sudd"]
    assert np.shape(values["findings"][0]["heatmaps"]["dr"]) == (4, 4)


def test_a_report_in_chinese(talk: Chat) -> None:
    text = report(talk, "md", "zh")
    assert NOTICE_ZH in text
    assert NOTICE not in text
    for words in ("糖尿病视网膜病变", "中度非增生型", "据文件名为左眼", "需转诊"):
        assert words in text


def test_pictures_lie_in_the_page_and_beside_the_markdown(talk: Chat, tmp_path: Path) -> None:
    write_report(talk, tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text().count("data:image/jpeg;base64,") == 2
    write_report(talk, tmp_path / "my report.md")
    assert "(my%20report-1-dr.jpg)" in (tmp_path / "my report.md").read_text()
    assert (tmp_path / "my report-1-dr.jpg").read_bytes().startswith(b"\xff\xd8")
    with pytest.raises(UsageError, match=r"\.md, \.html, \.pdf or \.json, not as '\.docx'"):
        report_format(Path("r.docx"))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_report(talk, tmp_path / "file" / "r.json")


def read_pdf(path: Path) -> tuple[str, list[Image.Image]]:
    """Return the words of a PDF, without its line ends, and its pictures."""
    pages = PdfReader(path).pages
    pictures = [Image.open(io.BytesIO(i.data)) for page in pages for i in page.images]
    return " ".join("".join(page.extract_text() for page in pages).split()), pictures


def test_a_report_as_pdf(talk: Chat, tmp_path: Path) -> None:
    talk.look_at([replace(talk.findings[0], cams=MAPS + 5)])
    list(talk.ask("Sudden loss of vision in one eye <b>& \x1b pain</b>"))
    list(talk.ask("青光眼会遗传吗？"))
    write_report(talk, tmp_path / "r.pdf", when=datetime(2026, 1, 2, 3, 4))
    text, pictures = read_pdf(tmp_path / "r.pdf")
    assert text.count(NOTICE) == 1
    for words in ("left eye", "gradable", "80%", "5.5%", "moderate non-prol", "to be referred"):
        assert words in text
    for words in ("2026-01-02", "m@1", "Heat map: diabetic", "<b>& pain</b>", "青光眼会遗传吗？"):
        assert words in text
    flag = talk.exchanges[0].red_flag
    assert flag
    assert text.index(flag[:20]) < text.index("80%")
    for exchange in talk.exchanges:
        for part in exchange.parts:
            assert part.text.replace(" ", "") in text.replace(" ", ""), part.text
            assert (part.source or "").replace(" ", "") in text.replace(" ", "")
    # The photograph, and it beneath its heat map.
    assert [picture.size for picture in pictures] == [(360, 360)] * 2
    write_report(talk, tmp_path / "zh.pdf", "zh", with_pictures=False)
    text, pictures = read_pdf(tmp_path / "zh.pdf")
    assert text.count(NOTICE_ZH) == 1
    for words in ("据文件名为左眼", "可判读", "糖尿病视网膜病变", "中度非增生型", "需转诊", "来源"):
        assert words in text
    assert pictures == []
    assert {path.name for path in tmp_path.iterdir()} == {"r.pdf", "zh.pdf"}


def test_a_question_of_pages_and_an_ungradable_photograph_as_pdf(
    talk: Chat, tmp_path: Path
) -> None:
    talk.look_at(
        [replace(talk.findings[0], status="ungradable", message="Not graded: it is too dark.")]
    )
    asked = f"{'x' * 300} {'much ' * 1500}about drusen \U0001f600?"
    talk.exchanges.append(Exchange(replace(parse_question("What?", talk.labels), text=asked)))
    write_report(talk, tmp_path / "r.pdf", with_pictures=False)
    text, _ = read_pdf(tmp_path / "r.pdf")
    assert "it is too dark" in text
    assert text.count("much") == 1500
    assert "(stopped)" in text


def test_a_pdf_that_cannot_be_made_leaves_nothing(
    talk: Chat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ophglm_core.chat import report_pdf

    def broken(values: object) -> bytes:
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(report_pdf, "report_pdf", broken)
        with pytest.raises(OSError, match="no space"):
            write_report(talk, tmp_path / "r.pdf")
    with monkeypatch.context() as patched:
        patched.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(UsageError, match=r"reportlab.*pip install 'ophglm\[pdf\]'"):
            write_report(talk, tmp_path / "r.pdf")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_report(talk, tmp_path / "file" / "r.pdf")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_photograph_that_is_gone_is_left_out(talk: Chat, tmp_path: Path) -> None:
    talk.look_at([replace(talk.findings[0], image=str(tmp_path / "gone.jpg"))])
    write_report(talk, tmp_path / "r.html")
    assert "data:image" not in (tmp_path / "r.html").read_text()


def test_one_turn_as_json(talk: Chat) -> None:
    list(talk.ask("Do you see glaucoma?"))
    values = turn_json(talk, talk.exchanges[0])
    assert values["intent"]["kind"] == "presence"
    assert values["intent"]["conditions"] == ["glaucoma"]
    assert values["red_flag"] is None
    assert values["model"] == {"model": "m@1"}
    assert 0 < values["timings"]["first_part"] <= values["timings"]["answer"]
    assert values["complete"] is True


def test_what_was_undone_is_as_if_it_had_not_been_asked(talk: Chat) -> None:
    list(talk.ask("What is retinitis pigmentosa?"))
    list(talk.ask("What is glaucoma?"))
    again = list(talk.ask("Is it hereditary?"))
    for _ in range(2):
        assert talk.undo()
    assert [p.text for p in talk.ask("Is it hereditary?")] != [p.text for p in again]
    assert len(talk.exchanges) == 2
    assert talk.undo()
    assert talk.undo()
    assert talk.undo() is None


def test_a_stopped_answer_is_kept_and_can_be_followed_up(talk: Chat) -> None:
    stream = talk.ask("What are the side effects of latanoprost?")
    first = next(stream)
    stream.close()
    assert talk.exchanges[0].parts == [first]
    assert not talk.exchanges[0].complete
    assert "\u4e00" <= next(iter(talk.ask("in Chinese"))).text[0] <= "\u9fff"
    assert "stopped" in report(talk, "md")


def test_a_question_without_an_answer_leaves_no_turn(
    talk: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> list[object]:
        raise UsageError("The index is broken.")

    monkeypatch.setattr(talk.library, "search", broken)
    with pytest.raises(UsageError):
        list(talk.ask("What is glaucoma?"))
    assert talk.exchanges == []


def test_a_saved_conversation_goes_on_where_it_was(talk: Chat, tmp_path: Path) -> None:
    list(talk.ask("What is retinitis pigmentosa?"))
    expected = [p.text for p in talk.ask("Is it hereditary?")]
    talk.undo()
    save(talk, tmp_path / "talk.json")
    saved = read_saved(tmp_path / "talk.json", talk.labels)
    assert saved.images == (talk.findings[0].image,)
    talk.clear()
    talk.resume(saved.exchanges)
    assert [p.text for p in talk.ask("Is it hereditary?")] == expected
    uneven = (tmp_path / "talk.json").read_text().replace('"images": [', '"images": ["x", ')
    for text in ("x", "[]", '{"format": "other"}', '{"format": "ophglm-conversation-1"}', uneven):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(InputError, match="not a conversation"):
            read_saved(tmp_path / "bad.json", talk.labels)


def test_two_eyes_are_compared(talk: Chat) -> None:
    left = talk.findings[0]
    right = Findings("b.jpg", "ok", "m@1", {**LOW, "dr": 0.3, "amd": 0.7}, ["dr", "amd"], grade=0)
    said = " ".join(compare([left, right], talk.labels))
    assert "Both are flagged for diabetic retinopathy." in said
    assert "Only photograph 2 is flagged" in said
    assert "age-related macular degeneration (70% against 2%)" in said
    assert "2 and 0" in said
    dark = Findings("c.jpg", "ungradable", "m@1", message="Not graded: it is too dark.")
    assert "too dark" in compare([left, dark], talk.labels)[0]
    assert "过暗" in compare([left, dark], talk.labels, "zh")[0]
