"""Turns of a word or two, which ask one usual thing of what was spoken of."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ophglm_core.chat.conversation import Chat
from ophglm_core.chat.follow_ups import whole_question
from ophglm_core.conditions import DEFAULT_LABELS, default_labels
from ophglm_core.findings import Findings
from ophglm_core.knowledge.library import GENERAL_SUBJECTS, entries, subjects
from ophglm_core.knowledge.retrieval import Library
from ophglm_core.safety.red_flags import matched_flags, subject_of

from ...silent import Silent

Say = Callable[..., str]
LOW = dict.fromkeys(DEFAULT_LABELS, 0.02)


@pytest.fixture
def said(library: Library) -> Say:
    """Asks several turns, about a photograph or none, and returns the last answer."""

    def said(*turns: str, finding: str | None = None) -> str:
        found = (
            [Findings("a.jpg", "ok", "m@1", {**LOW, finding: 0.8}, [finding])] if finding else []
        )
        talk = Chat(found, default_labels(), Silent(), library=library)
        answers = [" ".join(part.text for part in talk.ask(turn)) for turn in turns]
        return answers[-1]

    return said


@pytest.mark.parametrize(
    ("text", "language", "whole"),
    [
        ("tx?", "en", "How is diabetic retinopathy treated?"),
        ("and what are the symptoms then", "en", "What are the symptoms of diabetic retinopathy?"),
        ("which bloods", "en", "Which tests are done for diabetic retinopathy?"),
        ("long-term?", "en", "What is the prognosis of diabetic retinopathy?"),
        ("那咋治呢", "zh", "糖尿病视网膜病变怎么治疗？"),
        ("都查哪些", "zh", "糖尿病视网膜病变要做哪些检查？"),
        ("会自己好不", "zh", "糖尿病视网膜病变的预后怎么样，能恢复吗？"),
        ("is boxing ok", "en", None),
        ("how is the pressure treated in pregnancy", "en", None),
        ("她开车行不行", "zh", None),
    ],
)
def test_a_word_or_two_stand_for_a_whole_question(
    text: str, language: str, whole: str | None
) -> None:
    assert whole_question(text, language, "dr") == whole


def test_they_are_answered_of_what_was_spoken_of(said: Say) -> None:
    assert "laser" in said("what is retinopathy of prematurity", "tx?").lower()
    assert "激光" in said("什么是早产儿视网膜病变", "真查出来了咋治")
    assert "night" in said("is retinitis pigmentosa inherited?", "what are first signs").lower()
    assert "referred" in said("what do you see?", "how soon", finding="dr")


@pytest.mark.parametrize(
    ("question", "topic"),
    [
        ("What causes {}?", "causes"),
        ("What are the complications of {}?", "complications"),
        ("What is the prognosis of {}?", "prognosis"),
        ("{}的病因是什么？", "causes"),
    ],
)
def test_what_is_asked_for_by_name_comes_first(library: Library, question: str, topic: str) -> None:
    """In two of three diseases that have it; the others mostly say it in their definition."""
    language = "en" if question.isascii() else "zh"
    having = {e.subject for e in entries() if e.topic == topic} - {*GENERAL_SUBJECTS}
    first = [
        library.search(question.format(subjects()[s].name_in(language)), language)[0].entry
        for s in having
    ]
    assert sum(entry.topic == topic for entry in first) >= 0.65 * len(having)


def test_points_are_a_sentence_each(library: Library) -> None:
    talk = Chat([], default_labels(), Silent(), library=library)
    whole = [part for part in talk.ask("Is glaucoma hereditary?") if part.kind == "knowledge"]
    points = [part.text for part in talk.ask("make that bullet points")]
    assert len(points) > len(whole)
    assert " ".join(points) == " ".join(part.text for part in whole)


def test_an_emergency_is_looked_up_by_what_was_told(said: Say) -> None:
    told = "sudden painless total loss of vision in the right eye 2 hours ago, cherry red spot"
    assert matched_flags(told) == ["vision_loss"]
    assert subject_of(["vision_loss"], told) == "artery_occlusion"
    assert "artery" in said(told, "prognosis?").lower()
    moving = "pain on eye movements, colours washed out, vision dropping for three days"
    assert subject_of(matched_flags(moving), moving) == "optic_neuritis"


def test_a_caution_is_not_said_again_to_a_question_about_check_ups(said: Say) -> None:
    harmless = "体检拍的，没有闪光也没有黑影遮挡，视力也没掉，看看这张"
    assert "急诊" not in said(harmless, "那我多久再查", finding="normal")


def test_what_is_said_in_passing(said: Say) -> None:
    assert "probab" in said("can you be wrong").lower()
    assert "no doctor" in said("morning! are you a real doctor?")
    assert "可疑青光眼" in said("这是啥", finding="glaucoma")
    assert "剂量" in said("低浓度阿托品每次几滴 一天几回")
    assert "diabetic macular" in said("whats amd", "no sorry i meant dme").lower()
    assert "照片未见异常不能排除" in said("那就是没有青光眼咯", finding="normal")
    assert said("thanks, for the patient please", finding="dr")
