"""Chats with the real embedded language model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ophglm_core.assets import embedded_gguf, resolve_llm
from ophglm_core.chat.conversation import Chat
from ophglm_core.chat.parts import AnswerPart
from ophglm_core.conditions import DEFAULT_LABELS, default_labels, named_conditions
from ophglm_core.errors import UsageError
from ophglm_core.findings import Findings
from ophglm_core.knowledge.retrieval import Library
from ophglm_core.runtime.llama import LlamaSession

LOW = dict.fromkeys(DEFAULT_LABELS, 0.02)
DR = Findings("a.jpg", "ok", "m", {**LOW, "dr": 0.91}, ["dr"])
NORMAL = Findings("b_left.jpg", "ok", "m", {**LOW, "normal": 0.93}, ["normal"], laterality="left")


@pytest.fixture(scope="module")
def session() -> Iterator[LlamaSession]:
    session = LlamaSession(embedded_gguf())
    yield session
    session.close()


@pytest.fixture
def talk(session: LlamaSession, library: Library) -> Chat:
    session.truncate(0)
    return Chat([DR], default_labels(), session, library=library)


def answer(conversation: Chat, question: str) -> list[AnswerPart]:
    return list(conversation.ask(question))


def text(parts: list[AnswerPart], *kinds: str) -> str:
    return " ".join(p.text for p in parts if not kinds or p.kind in kinds)


def test_first_answer_says_what_was_found_and_what_is_known(talk: Chat) -> None:
    parts = answer(talk, "What do you see?")
    assert "suggest diabetic retinopathy (91%)" in text(parts, "finding")
    known = [p for p in parts if p.kind == "knowledge"]
    assert known
    assert all(p.source for p in known)
    assert set(named_conditions(text(parts))) <= {"dr", "macular_oedema"}  # as its complication
    assert parts[-1].kind == "recommendation"
    assert "referred to an ophthalmologist" in parts[-1].text
    assert parts[-1].source
    assert "recommendation" not in [p.kind for p in answer(talk, "What causes it?")]


def test_what_to_do_is_said_once_and_not_of_a_picture_that_cannot_be_graded(
    session: LlamaSession, library: Library
) -> None:
    session.truncate(0)
    normal = answer(Chat([NORMAL], default_labels(), session), "What do you see?")
    assert "routine eye examinations" in text(normal, "recommendation")
    session.truncate(0)
    talk = Chat([DR], default_labels(), session, library=library)
    asked = answer(talk, "When does someone with diabetic retinopathy have to be referred?")
    assert "refer" in text(asked, "knowledge")
    assert not text(asked, "recommendation")
    session.truncate(0)
    dark = replace(DR, status="ungradable", probabilities={}, positive=[])
    assert not text(
        answer(Chat([dark], default_labels(), session), "What do you see?"), "recommendation"
    )


def test_the_small_model_says_in_other_words_what_it_was_taught_and_no_more(talk: Chat) -> None:
    questions = ["What is the treatment?", "How can it be prevented?", "What are its symptoms?"]
    spoken = [text(answer(talk, q), "explanation") for q in questions]
    assert sum(bool(s) for s in spoken) >= 2, spoken
    before = talk.model.computed  # type: ignore[attr-defined]
    told = answer(talk, "Does it run in families?")
    assert {p.kind for p in told} == {"knowledge"}
    assert talk.model.computed == before  # type: ignore[attr-defined]


def test_second_turn_does_not_read_the_first_again(talk: Chat, session: LlamaSession) -> None:
    answer(talk, "What is the treatment?")
    held = list(session.tokens)
    before = session.computed
    answer(talk, "How can it be prevented?")
    assert session.tokens[: len(held)] == held
    computed = session.computed - before
    assert 0 < computed < len(session.tokens) - len(held) + 110  # the new turn and its answer


def test_context_is_the_template_s_own_rendering(talk: Chat, session: LlamaSession) -> None:
    answer(talk, "What do you see?")
    answer(talk, "What is the treatment?")
    rendered = session.render(talk._messages, False)
    held = session._llama.detokenize(session.tokens, special=True).decode()
    assert rendered.startswith(held.rstrip())


@pytest.mark.slow
def test_a_long_conversation_forgets_its_oldest_turns_and_goes_on() -> None:
    session = LlamaSession(embedded_gguf(), context=512)
    talk = Chat([DR], default_labels(), session)
    for number in range(8):
        assert answer(talk, f"What is the treatment, asked for the {number}th time?")
        assert len(session.tokens) <= 512
    assert talk._messages[0]["role"] == "system"
    session.close()


def test_disease_that_was_asked_about_is_said_to_be_not_found(talk: Chat) -> None:
    parts = answer(talk, "Does this eye have glaucoma?")
    seen = text(parts, "finding")
    assert "probability of glaucoma (2%) is below its threshold" in seen
    assert "does not exclude" in seen
    assert "glaucoma" not in text(parts, "explanation")


def test_what_a_probable_normal_outweighs_is_not_called_below_its_threshold(talk: Chat) -> None:
    healthy = {**NORMAL.probabilities, "normal": 0.8, "glaucoma": 0.03}
    seen = replace(NORMAL, probabilities=healthy, outweighed=["glaucoma"])
    about = Chat([seen], default_labels(), talk.model)
    said = text(answer(about, "Does this eye have glaucoma?"), "finding")
    assert "glaucoma (3%) reaches its threshold for screening but is not flagged" in said
    assert "below its threshold" not in said


def test_red_flag_comes_alone(talk: Chat) -> None:
    parts = answer(talk, "I suddenly lost my vision an hour ago")
    assert [p.kind for p in parts] == ["red_flag"]


def test_who_names_a_disease_in_an_emergency_is_answered_after_the_alarm(talk: Chat) -> None:
    parts = answer(talk, "CRAO 3 hours ago, where do I send her?")
    assert parts[0].kind == "red_flag"
    assert "stroke service" in text(parts)


def test_chinese_question_gets_a_chinese_answer(talk: Chat) -> None:
    parts = answer(talk, "这张照片怎么样？如何治疗？")
    said = text(parts)
    assert "提示糖尿病视网膜病变的征象" in said
    assert sum("a" <= c.lower() <= "z" for c in said) < 0.1 * len(said)  # OCT, VEGF and the like


def test_off_topic_question_is_declined(talk: Chat) -> None:
    answer(talk, "What do you see?")
    parts = answer(talk, "Tell me a joke about a parrot")
    assert "No checked statement" in text(parts)


def test_two_eyes_are_told_apart(session: LlamaSession) -> None:
    session.truncate(0)
    talk = Chat([DR, NORMAL], default_labels(), session)
    seen = text(answer(talk, "What do you see?"), "finding")
    assert "Photograph 1 shows signs that suggest diabetic retinopathy" in seen
    assert "Photograph 2 (left eye by its file name) shows no sign of a condition" in seen


def test_stopping_an_answer_leaves_the_conversation_usable(talk: Chat) -> None:
    stream = talk.ask("What is the treatment?")
    next(stream)
    stream.close()
    assert answer(talk, "What causes it?")


def test_same_question_same_answer(session: LlamaSession) -> None:
    answers = []
    for _ in range(2):
        session.truncate(0)
        answers.append(
            text(answer(Chat([DR], default_labels(), session), "What is the treatment?"))
        )
    assert answers[0] == answers[1]


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"hello world")
    with pytest.raises(UsageError, match="not a GGUF"):
        resolve_llm(str(path))
    path.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(UsageError, match="cannot be loaded"):
        LlamaSession(resolve_llm(str(path)))
    with pytest.raises(UsageError, match="No such"):
        resolve_llm(str(path) + "x")
