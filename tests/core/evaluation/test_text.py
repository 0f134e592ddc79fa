"""How answers before and after the adapter are judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from ophglm_core.conditions import LabelSet, default_labels
from ophglm_core.data.instructions import Instruction
from ophglm_core.errors import UsageError
from ophglm_core.evaluation.text import evaluate_texts, repeats, text_metrics
from ophglm_core.manifest import EncoderInfo, Head, Manifest
from ophglm_core.model_folder import ModelFolder


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
    metrics = text_metrics(answered, default_labels())
    assert metrics["names_found"] == 0.5
    assert metrics["names_other"] == 0.5
    assert metrics["certain"] == 0.25
    assert metrics["cut_off"] == 0.25
    assert metrics["repeats"] == 0


def test_a_label_of_a_hospitals_own_is_named_by_its_name() -> None:
    labels = LabelSet.of(["normal", "dr", "macular_hole", "other"], own=["macular_hole"])
    answered = [
        (text("What do you see?", "macular_hole"), ["macular_hole"], "A macular hole is likely."),
        (text("What do you see?", "dr"), ["dr"], "A macular hole is likely."),
        # Nothing can name it, so it is no failure to name it.
        (text("What do you see?", "other"), ["other"], "Something else."),
    ]
    metrics = text_metrics(answered, labels)
    assert metrics["names_found"] == 0.5
    assert metrics["names_other"] == pytest.approx(1 / 3)


def test_a_model_without_an_adapter_is_refused(tmp_path: Path) -> None:
    head = Head("conditions", "multi_label", ["normal", "dr"])
    model = ModelFolder(tmp_path, Manifest("-", EncoderInfo("-", 32, 1), [head]))
    with pytest.raises(UsageError, match="run ophglm sft"):
        evaluate_texts(model, [tmp_path])
