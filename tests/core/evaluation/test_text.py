"""How answers before and after the adapter are judged."""

from __future__ import annotations

import pytest

from ophglm_core.data.instructions import Instruction
from ophglm_core.text_evaluation import _figures, repeats
from ophglm_core.vqa_evaluation import balanced_accuracy, f1


def text(question: str, label: str) -> Instruction:
    turns = ({"role": "user", "content": question}, {"role": "assistant", "content": "-"})
    return Instruction(turns, "visual_diagnosis", "visual", label, "en", "-", "-")


@pytest.mark.parametrize(
    ("answer", "said_twice"),
    [
        ("The eye is healthy. The eye is healthy.", True),
        ("it is the eye and of it is the eye and of it is the eye and of it", True),
        ("Drops lower the pressure. Laser does so too.", False),
        ("眼压升高会损伤视神经。眼压升高会损伤视神经。", True),
        ("", False),
    ],
)
def test_an_answer_that_repeats_itself(answer: str, said_twice: bool) -> None:
    assert repeats(answer) == said_twice


def test_answers_are_held_against_what_was_found() -> None:
    answered = [
        (text("What do you see?", "dr"), ["dr"], "Signs of diabetic retinopathy."),
        (text("What do you see?", "dr"), ["dr"], "It may be glaucoma, which is"),
        (text("What is glaucoma?", ""), [], "Glaucoma harms the nerve."),
        (text("What do you see?", "normal"), ["normal"], "This is definitely glaucoma."),
    ]
    figures = _figures(answered)
    assert figures["names_found"] == 0.5
    assert figures["names_other"] == 0.5
    assert figures["certain"] == 0.25
    assert figures["cut_off"] == 0.25
    assert figures["repeats"] == 0


def test_token_f1_and_balanced_accuracy() -> None:
    assert f1("Yes.", "yes") == 1
    assert f1("The left eye.", "The right eye.") == pytest.approx(2 / 3)
    assert f1("是。", "否。") == 0
    assert f1("Glaucoma.", "") == 0
    truth = [True, True, True, False]
    assert balanced_accuracy(truth, [True, True, True, True]) == 0.5
    assert balanced_accuracy(truth, [True, True, True, None]) == 0.5
    assert balanced_accuracy(truth, truth) == 1
