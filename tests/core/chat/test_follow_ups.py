"""What a turn means after others: an emergency goes on, another disease's drug, said once more."""

from __future__ import annotations

import pytest

from ophglm_core.chat.conversation import Chat
from ophglm_core.conditions import DEFAULT_LABELS, default_labels
from ophglm_core.findings import Findings
from ophglm_core.knowledge.library import subjects_implied
from ophglm_core.knowledge.retrieval import Library

from ...silent import Silent

LOW = dict.fromkeys(DEFAULT_LABELS, 0.02)
DR = Findings("a.jpg", "ok", "m@1", {**LOW, "dr": 0.8}, ["dr"])


@pytest.fixture
def talk(library: Library) -> Chat:
    return Chat([DR], default_labels(), Silent(), library=library)


def kinds(talk: Chat, text: str) -> list[str]:
    return [part.kind for part in talk.ask(text)]


def said(talk: Chat, text: str) -> str:
    return " ".join(part.text for part in talk.ask(text))


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        ("She has been seeing flashes since yesterday", "no curtain though"),
        ("She has been seeing flashes since yesterday", "how long can she wait"),
        ("My left eye went black an hour ago", "can it wait till Monday?"),
        ("My left eye went black an hour ago", "it doesn't hurt"),
        ("我右眼突然看不见了", "能等到明天吗？"),
        ("我右眼突然看不见了", "但是没有疼痛"),
    ],
)
def test_an_emergency_stays_one_in_the_turns_after_it(talk: Chat, told: str, asked: str) -> None:
    assert kinds(talk, told) == ["red_flag"]
    assert kinds(talk, asked) == ["red_flag"]
    assert kinds(talk, asked) == ["red_flag"]


def test_after_an_emergency_other_questions_are_answered(talk: Chat) -> None:
    assert kinds(talk, "My left eye went black an hour ago") == ["red_flag"]
    for other in ("When is cataract surgery done?", "What is latanoprost?", "Write a letter"):
        assert "red_flag" not in kinds(talk, other)
    # Long after, "it" is something else.
    assert "red_flag" not in kinds(talk, "How long can it wait?")


def test_waiting_is_no_emergency_by_itself(talk: Chat) -> None:
    assert "red_flag" not in kinds(talk, "How long can it wait?")
    assert "red_flag" not in kinds(talk, "no curtain though")


def test_a_drug_of_another_disease_means_that_disease(talk: Chat) -> None:
    said(talk, "Does this eye have diabetic retinopathy?")
    assert "asthma" in said(talk, "Is timolol ok in asthma?")
    assert "glaucoma" in said(talk, "what's the target pressure")
    assert "trabecul" in said(talk, "SLT or drops first?").lower()
    # Of its own disease, the conversation's goes on.
    assert "HbA1c" in said(talk, "her HbA1c is 11, does it matter")
    assert subjects_implied("他的眼压高吗") == ["glaucoma"]
    assert subjects_implied("Is it hereditary?") == []


@pytest.mark.parametrize(
    "question",
    [
        "Is there a haemorrhage near the disc?",
        "Do you see any hard exudates?",
        "What's the cup-to-disc ratio here?",
        "how many microaneurysms in this photo",
        "有没有出血？",
        "这张照片的杯盘比是多少",
    ],
)
def test_a_single_sign_is_not_read_off_the_photograph(talk: Chat, question: str) -> None:
    first = next(iter(talk.ask(question)))
    assert first.kind == "finding"
    assert "does not read" in first.text or "不从照片上读取" in first.text


@pytest.mark.parametrize("question", ["What is a haemorrhage?", "Is there a cure?", "What is IOP?"])
def test_a_question_about_a_word_is_none_about_the_photograph(talk: Chat, question: str) -> None:
    assert "does not read" not in said(talk, question)


@pytest.mark.parametrize("question", ["what grade", "How severe is it?", "几级", "严重程度如何？"])
def test_the_grade_is_asked_of_the_photograph_without_naming_it(talk: Chat, question: str) -> None:
    first, second = talk.ask(question)
    assert "80%" in first.text
    assert second.source


@pytest.mark.parametrize(
    "question",
    [
        "需要马上去医院吗？",
        "How soon should he be seen?",
        "Does this need to be referred urgently?",
    ],
)
def test_how_soon_is_asked_of_the_photograph(talk: Chat, question: str) -> None:
    first, second = talk.ask(question)
    assert "80%" in first.text
    assert "ICO" in str(second.source)


def test_findings_are_summarised_and_told_to_a_patient_in_a_sentence(talk: Chat) -> None:
    assert "80%" in said(talk, "summarise the findings")
    assert "80%" in said(talk, "总结一下结果")
    sentence = said(talk, "what should I tell the patient in one sentence")
    assert "may show signs of diabetic retinopathy" in sentence
    assert sentence.count(".") == 1
    assert "可能有糖尿病视网膜病变" in said(talk, "怎么跟病人说，一句话")
    assert "definition" not in sentence


def test_what_was_said_last_is_said_in_another_language(talk: Chat) -> None:
    said(talk, "Is timolol ok in asthma?")
    said(talk, "what should I tell the patient in one sentence")
    assert "可能有糖尿病视网膜病变" in said(talk, "in Chinese please")
    assert "may show signs" in said(talk, "in English")
    said(talk, "what is the best football team?")
    assert "没有找到" in said(talk, "in Chinese please")


def test_they_are_the_treatment_that_was_spoken_of(library: Library) -> None:
    amd = Findings("a.jpg", "ok", "m@1", {**LOW, "amd": 0.8}, ["amd"])
    talk = Chat([amd], default_labels(), Silent(), library=library)
    said(talk, "how many injections will he need")
    assert "injection" in next(p.text for p in talk.ask("are they painful")).lower()
    # Of the disease where that fits better.
    assert "gene" in said(talk, "is it hereditary?").lower()


def test_a_question_to_the_photograph_is_no_emergency(talk: Chat) -> None:
    assert "red_flag" not in kinds(talk, "is this a left or right eye")


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("how accurate are you for glaucoma", "glaucoma was 0.91"),
        ("What is your sensitivity?", "diabetic retinopathy was 0.80"),
        ("你检测青光眼的准确率是多少", "0.91"),
        ("What can you do?", "no doctor"),
        ("where did you look", "/heatmap"),
        ("how good is this photo", "passed the checks"),
        ("照片质量怎么样", "通过检查"),
    ],
)
def test_the_program_answers_for_itself(talk: Chat, question: str, words: str) -> None:
    values = {"auc": 0.91, "sensitivity": 0.9, "specificity": 0.8}
    talk.measured = {"glaucoma": values, "dr": {**values, "auc": 0.8}}
    assert words in said(talk, question)


def test_what_was_not_measured_is_not_claimed(talk: Chat) -> None:
    assert "no figures" in said(talk, "how accurate are you for glaucoma")
    # The method in general is a matter of the library.
    assert "card" not in said(talk, "How accurate is a photograph for glaucoma?")


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("baby born at 27 weeks, when to screen", "retinopathy of prematurity"),
        ("angle looks narrow on gonio", "angle"),
    ],
)
def test_what_is_not_named_is_recognised(talk: Chat, question: str, words: str) -> None:
    assert words in said(talk, question).lower()


def test_a_brief_question_is_one_on_what_was_spoken_of(talk: Chat) -> None:
    assert "regress" in said(talk, "reversible?")
    assert "80%" in said(talk, "should I send her to A&E?")
    for other in ("who won the election", "capital of France"):
        assert "No checked statement" in said(talk, other)


def test_what_is_known_of_an_emergency_stands_beside_it(library: Library) -> None:
    general = Chat([], default_labels(), Silent(), library=library)
    told = "76M temporal headache jaw claudication, sudden loss VA L, chalky white swollen disc"
    assert kinds(general, told) == ["red_flag"]
    parts = list(general.ask("wait for biopsy before steroids?"))
    assert [p.kind for p in parts[:2]] == ["red_flag", "knowledge"]
    assert "biopsy" in parts[1].text
