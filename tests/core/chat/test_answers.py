"""What a conversation answers: the right entry, what "it" means, tasks, and what it leaves out."""

from __future__ import annotations

import pytest

from ophglm_core.chat.conversation import Chat
from ophglm_core.chat.parts import AnswerPart
from ophglm_core.chat.tasks import task_in
from ophglm_core.conditions import DEFAULT_LABELS, default_labels
from ophglm_core.findings import Findings
from ophglm_core.knowledge.retrieval import Library

from ...silent import Silent

LOW = dict.fromkeys(DEFAULT_LABELS, 0.02)
GLAUCOMA = Findings("left.jpg", "ok", "m@1", {**LOW, "glaucoma": 0.8}, ["glaucoma"], None, "left")


@pytest.fixture
def talk(library: Library) -> Chat:
    return Chat([GLAUCOMA], default_labels(), Silent(), library=library)


def ask(talk: Chat, text: str) -> list[AnswerPart]:
    return list(talk.ask(text))


def said(talk: Chat, text: str) -> str:
    return " ".join(part.text for part in ask(talk, text))


def test_it_means_what_was_found_and_then_what_was_asked_about(talk: Chat) -> None:
    assert "first-degree" in said(talk, "Does it run in families?") or "relative" in said(
        talk, "Is it hereditary?"
    )
    assert "retinitis pigmentosa" in said(talk, "What is retinitis pigmentosa?").lower()
    again = ask(talk, "Is that hereditary?")
    assert any("inherit" in p.text or "gene" in p.text for p in again)
    assert "glaucoma" not in again[0].text.lower()


def test_what_is_this_is_asked_of_the_photograph(talk: Chat) -> None:
    for question in ("What is this?", "这是什么？"):
        assert "80%" in ask(talk, question)[0].text


def test_what_is_asked_of_the_reading_is_answered_from_it(talk: Chat) -> None:
    for question, words in (
        ("How sure are you?", "classifier's probability"),
        ("What else could it be?", "outside of it"),
        ("Is it urgent?", "eye"),
        ("What should I do now?", "eye"),
        ("你有多大把握？", "百分比"),
        ("我该怎么办？", "眼"),
    ):
        parts = ask(talk, question)
        assert "80%" in parts[0].text, question
        assert words in parts[1].text, question


def test_short_questions_that_refer_back_are_answered(talk: Chat) -> None:
    for question in ("Is it serious?", "Can it be cured?", "严重吗？", "能治好吗？"):
        assert all(p.source for p in ask(talk, question) if p.kind == "knowledge"), question


def test_a_disease_that_it_does_not_look_for_is_named_as_such(talk: Chat) -> None:
    parts = ask(talk, "What is CRVO?")
    assert "does not look for retinal vein occlusion" in parts[0].text
    assert any(p.kind == "knowledge" and "vein" in p.text for p in parts)


def test_doses_are_refused(talk: Chat) -> None:
    for question in ("How much acetazolamide should I give?", "乙酰唑胺吃多少片？"):
        parts = ask(talk, question)
        assert "no doses" in parts[0].text or "不提供剂量" in parts[0].text
        assert not any(c.isdigit() for c in parts[0].text)


def test_what_is_not_known_is_said_and_not_filled_in(talk: Chat) -> None:
    for question in ("Tell me a joke", "Explain quantum computing", "如何安装Python？"):
        parts = ask(talk, question)
        assert [p.kind for p in parts] == ["knowledge"]
        assert parts[0].text.startswith(("No checked statement", "没有找到"))


def test_without_a_photograph_it_teaches(library: Library) -> None:
    talk = Chat([], default_labels(), Silent(), library=library)
    parts = ask(talk, "What is a cotton-wool spot?")
    assert {p.kind for p in parts} == {"knowledge"}
    assert "nerve fibre" in parts[0].text or "nerve-fibre" in parts[0].text
    assert "No photograph" in said(talk, "What do you see?")


def test_every_answer_of_the_library_has_its_source(talk: Chat) -> None:
    for question in (
        "What is the target pressure?",
        "Can I fly with glaucoma?",
        "青光眼会失明吗？",
    ):
        known = [p for p in ask(talk, question) if p.kind == "knowledge"]
        assert known
        assert all(p.source for p in known)
        assert sum(len(p.text.split()) for p in known) <= 125


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("Write a letter to the GP", "letter"),
        ("给全科医生写封转诊信", "letter"),
        ("Summarise our conversation", "summary"),
        ("Explain this to the patient", "patient"),
        ("用通俗的话向患者解释", "patient"),
        ("in one sentence", "shorter"),
        ("tell me more", "more"),
        ("in Chinese please", "translate"),
        ("用英文说", "translate"),
        ("hello", "hello"),
        ("thanks, bye", "bye"),
        ("ok thanks", "thanks"),
        ("letter to GP please", "letter"),
        ("summary pls", "summary"),
        ("谢谢！", "thanks"),
        ("What is the treatment?", None),
        ("Is there more to say of the disc?", None),
        ("Does a letter from the DVLA matter?", None),
    ],
)
def test_tasks_are_told_from_questions(text: str, task: str | None) -> None:
    assert task_in(text) == task


def test_a_letter_holds_the_findings_and_no_other(talk: Chat) -> None:
    (letter,) = ask(talk, "Write a letter to the GP")
    assert letter.kind == "document"
    for words in ("glaucoma (80%)", "left.jpg", "m@1", "no diagnosis"):
        assert words in letter.text
    for other in ("diabetic", "macular", "cataract"):
        assert other not in letter.text


def test_an_answer_can_be_shortened_translated_continued_and_summarised(talk: Chat) -> None:
    ask(talk, "What are the side effects of latanoprost?")
    short = said(talk, "in one sentence")
    assert short.count(".") == 1
    ask(talk, "What are the side effects of latanoprost?")
    assert "\u4e00" <= said(talk, "in Chinese")[0] <= "\u9fff"
    ask(talk, "What are the side effects of latanoprost?")
    more = ask(talk, "tell me more")
    assert more[0].source
    summary = said(talk, "Summarise our conversation")
    assert summary.count("latanoprost?") == 3
    ask(talk, "Explain it to the patient")
    assert "\u4e00" <= said(talk, "in Chinese")[0] <= "\u9fff"  # of the last that was answered
