"""What becomes of what the language model reads off the photograph itself."""

from __future__ import annotations

import numpy as np
import pytest
from ophglm_core.fusion.photograph import Photograph

from ophglm_core.chat.visual_answer import Reading
from ophglm_core.conditions import DEFAULT_LABELS
from ophglm_core.findings import Findings

LOW = dict.fromkeys(DEFAULT_LABELS, 0.02)
MAP = np.zeros((4, 2, 2), np.float32)
DR = Findings("a.jpg", "ok", "m", {**LOW, "dr": 0.91}, ["dr"], features=MAP)
NORMAL = Findings("b.jpg", "ok", "m", {**LOW, "normal": 0.9}, ["normal"], features=MAP)
DARK = Findings("c.jpg", "ungradable", "m", message="Not graded: it is too dark.")


class Says:
    """A reader that says one thing, and notes what it was asked."""

    def __init__(self, text: str, knows: bool = True):
        self.text, self.known = text, knows
        self.asked: list[str] = []

    def knows(self, question: str) -> bool:
        return self.known

    def answer(self, question: str, language: str, photographs: list[Photograph] | None) -> str:
        self.asked.append(question)
        assert photographs
        return self.text


class Mute:
    """A language model that explains nothing."""

    context = 4096

    def __init__(self) -> None:
        self.tokens: list[int] = []

    def render(self, messages: list[dict[str, str]], answer_next: bool) -> str:
        return "\n".join(m["content"] for m in messages)

    def count(self, text: str) -> int:
        return len(text) // 4

    def feed(self, text: str) -> None:
        self.tokens.append(0)

    def rewind(self, length: int) -> None:
        del self.tokens[length:]

    def generate(self, limit: int):
        yield ""


def beside(text: str, finding: Findings, asked: set[str]) -> str | None:
    reading = Reading(Says(text), [finding])
    return reading.beside("Is there diabetic retinopathy?", "en", finding.diseases, asked)


@pytest.mark.parametrize(
    ("text", "finding", "asked", "differs"),
    [
        ("Yes.", DR, {"dr"}, False),
        ("No.", DR, {"dr"}, True),
        ("Yes.", NORMAL, {"dr"}, True),
        ("No.", NORMAL, {"dr"}, False),
        ("Diabetic retinopathy.", DR, set(), False),
        ("No sign of disease.", DR, set(), True),
        ("No sign of disease.", NORMAL, set(), False),
        ("The left eye.", NORMAL, set(), None),
        ("Yes.", NORMAL, set(), None),
    ],
)
def test_a_difference_is_said(
    text: str, finding: Findings, asked: set[str], differs: bool | None
) -> None:
    said = beside(text, finding, asked)
    assert said is not None
    assert text in said
    assert ("differs" in said) == (differs is True)
    assert ("as the classifier does" in said) == (differs is False)


def test_a_disease_that_was_not_found_is_not_named() -> None:
    said = beside("Glaucoma.", DR, set())
    assert said is not None
    assert "laucoma" not in said
    assert "differs" in said


@pytest.mark.parametrize(
    "text",
    [
        "It is definitely glaucoma.",
        "Retinal detachment.",
        "The blood pressure is too high.",
        "This photograph shows diabetic retinopathy, which is",
        "",
    ],
)
def test_what_overclaims_or_is_free_talk_is_not_shown(text: str) -> None:
    assert beside(text, DR, {"dr"}) is None


def test_no_reading_of_a_dark_picture_or_of_unknown_words() -> None:
    assert Reading(Says("Yes."), [DARK]).beside("Is it normal?", "en", [], set()) is None
    unknown = Reading(Says("Yes.", knows=False), [DR])
    assert unknown.beside("正常吗？", "zh", ["dr"], set()) is None
    assert "无法" in unknown.alone("正常吗？", "zh")


def ask(question: str, reader: Says, finding: Findings = DR, **options: bool) -> list[Part]:
    return list(Conversation([finding], Mute(), True, reader, **options).ask(question))


def test_both_kinds_of_evidence_are_told_apart() -> None:
    parts = ask("Do you see diabetic retinopathy?", Says("Yes."))
    assert [p.kind for p in parts][:2] == ["seen", "read"]
    assert "“Yes.”" in parts[1].text
    assert "language model" in parts[1].text


def test_a_question_that_is_not_about_the_picture_is_not_read_off_it() -> None:
    reader = Says("Yes.")
    ask("How can smoking be stopped?", reader)
    assert not reader.asked


def test_fusion_alone_has_no_findings_and_still_heeds_red_flags() -> None:
    parts = ask("What do you see?", Says("Diabetic retinopathy."), use_findings=False)
    assert [p.kind for p in parts] == ["read"]
    assert "91%" not in parts[0].text
    urgent = ask("I suddenly lost my vision today", Says("Yes."), use_findings=False)
    assert [p.kind for p in urgent] == ["urgent"]
