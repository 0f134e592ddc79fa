"""What becomes of what the language model reads off the photograph itself."""

from __future__ import annotations

import json
from importlib import resources

import numpy as np
import pytest

from ophglm_core.chat.conversation import Chat
from ophglm_core.chat.parts import AnswerPart
from ophglm_core.chat.question import Question, parse_question
from ophglm_core.chat.visual_answer import VisualAnswers
from ophglm_core.conditions import DEFAULT_LABELS, default_labels
from ophglm_core.findings import Findings
from ophglm_core.runtime.profile import EMBEDDED

from ...silent import Silent

LOW = dict.fromkeys(DEFAULT_LABELS, 0.02)
MAP = np.zeros((4, 2, 2), np.float32)
DR = Findings("a.jpg", "ok", "m", {**LOW, "dr": 0.91}, ["dr"], features=MAP)
NORMAL = Findings("b.jpg", "ok", "m", {**LOW, "normal": 0.9}, ["normal"], features=MAP)
DARK = Findings("c.jpg", "ungradable", "m", message="Not graded: it is too dark.")


class Says:
    """A reader that says one thing, and notes what it was asked."""

    conditions: tuple[str, ...] = DEFAULT_LABELS

    def __init__(self, text: str, in_vocabulary: bool = True):
        self.text, self.known = text, in_vocabulary
        self.asked: list[str] = []

    def in_vocabulary(self, question: str) -> bool:
        return self.known

    def answer(self, question: str, language: str, features: list[np.ndarray] | None) -> str:
        self.asked.append(question)
        assert features
        return self.text


def question(text: str) -> Question:
    return parse_question(text, default_labels())


def beside(text: str, finding: Findings, asked: set[str]) -> str | None:
    answers = VisualAnswers(Says(text), [finding], finding.diseases)
    return answers.beside_findings(
        question("Is there diabetic retinopathy?" if asked else "What do you see?")
    )


def test_it_is_not_asked_of_a_condition_that_it_was_not_trained_on() -> None:
    reader = Says("Yes.")
    reader.conditions = ("normal", "dr")
    answers = VisualAnswers(reader, [DR], ["dr"])
    assert answers.beside_findings(question("Is there diabetic retinopathy?"))
    assert answers.beside_findings(question("Is there hypertensive retinopathy?")) is None
    assert len(reader.asked) == 1


def test_yes_or_no_is_no_answer_to_what_is_seen() -> None:
    answers = VisualAnswers(Says("No."), [DR], ["dr"])
    assert answers.beside_findings(question("What do you see?")) is None
    assert answers.beside_findings(question("Is there diabetic retinopathy?"))
    # To this it is one, though none to compare with what was looked for.
    said = answers.beside_findings(question("Is it normal?"))
    assert said is not None
    assert said.endswith("“No.”.")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Is there diabetic retinopathy, and how severe is it?", "presence"),
        ("Does it show diabetic retinopathy and if so, which stage?", "presence"),
        ("有糖尿病视网膜病变吗？几级？", "presence"),
        ("How severe is the diabetic retinopathy?", "severity"),
        ("What is diabetic retinopathy and how bad is it?", None),
    ],
)
def test_whether_and_how_severe_is_asked_of_the_photograph(text: str, kind: str | None) -> None:
    assert question(text).vqa_kind == kind


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
    normal = question("Is this eye normal?")
    assert normal.vqa_kind == "normal"
    assert VisualAnswers(Says("Yes."), [DARK], []).beside_findings(normal) is None
    unknown = VisualAnswers(Says("Yes.", in_vocabulary=False), [DR], ["dr"])
    assert unknown.beside_findings(question("正常吗？")) is None
    assert "无法" in unknown.alone(question("正常吗？"))


def ask(question: str, reader: Says, finding: Findings = DR, **options: bool) -> list[AnswerPart]:
    return list(
        Chat([finding], default_labels(), Silent(), EMBEDDED, reader, **options).ask(question)
    )


def test_both_kinds_of_evidence_are_told_apart() -> None:
    parts = ask("Do you see diabetic retinopathy?", Says("Yes."))
    assert [p.kind for p in parts][:2] == ["finding", "visual_answer"]
    assert "“Yes.”" in parts[1].text
    assert "language model" in parts[1].text


@pytest.mark.parametrize(
    "question",
    [
        "How can smoking be stopped?",
        "Do I have cancer in this eye?",
        "Is there a tumour?",
        "Is it safe to drive home?",
        "Is it safe for a woman with DR to become pregnant?",
        "Is diabetic retinopathy hereditary?",
        "Is there a treatment for glaucoma?",
        "Can glaucoma be cured?",
        "Is there glaucoma or cataract?",
        "糖尿病视网膜病变会遗传吗？",
        "我可以开车吗？",
    ],
)
def test_what_the_module_was_not_trained_on_is_not_read_off_the_picture(question: str) -> None:
    reader = Says("Yes.")
    said = ask(question, reader)
    assert not reader.asked
    assert "visual_answer" not in [part.kind for part in said]


def test_every_wording_of_the_training_is_recognised() -> None:
    labels = default_labels()
    wordings = json.loads(
        (resources.files("ophglm_core.data") / "vqa_wordings.json").read_text(encoding="utf-8")
    )
    missed = [
        (kind, language, text)
        for kind in ("presence", "which", "normal", "severity", "eye", "compare")
        for language, texts in wordings[kind].items()
        for wording in texts
        for text in [wording.format(name=labels["dr"].name_in(language))]
        if parse_question(text, labels).vqa_kind != kind
    ]
    assert not missed
    # The checks of the picture know more of its quality than the module.
    for texts in wordings["quality"].values():
        for text in texts:
            asked = parse_question(text, labels)
            assert (asked.vqa_kind, asked.about_reading) == (None, "quality"), text


def test_fusion_alone_has_no_findings_and_still_heeds_red_flags() -> None:
    parts = ask("What do you see?", Says("Diabetic retinopathy."), use_findings=False)
    assert [p.kind for p in parts] == ["visual_answer"]
    assert "91%" not in parts[0].text
    urgent = ask("I suddenly lost my vision today", Says("Yes."), use_findings=False)
    assert [p.kind for p in urgent] == ["red_flag"]
