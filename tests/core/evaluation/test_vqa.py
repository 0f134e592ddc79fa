"""How answers about photographs are judged: with runtimes that need no model."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ophglm_core.conditions import LabelSet
from ophglm_core.data.pairing import drawn_findings
from ophglm_core.data.vqa import VqaPair
from ophglm_core.errors import InputError, UsageError
from ophglm_core.evaluation.vqa import (
    GIVEN,
    ask_questions,
    asked_about,
    balanced_accuracy,
    evaluate_vqa,
    f1,
)
from ophglm_core.findings import Findings
from ophglm_core.manifest import EncoderInfo, Head, Manifest
from ophglm_core.model_folder import ModelFolder

LABELS = LabelSet.of(["normal", "dr", "toy"], own=["toy"])
ILL = 1.0


class FakeRuntime:
    """Looks: says yes where the feature map that it is given is of an ill eye."""

    conditions = LABELS.keys

    def in_vocabulary(self, question: str) -> bool:
        return "qwerty" not in question

    def answer(
        self,
        question: str,
        language: str,
        features: Sequence[np.ndarray] | None,
        system: str | None = None,
    ) -> str:
        if not features:
            return "I do not know."
        return "Yes." if features[0].max() == ILL else "No."


class FakeClassifier:
    """Gives drawn findings by the file's name: 'ill', 'well' or 'dark'."""

    model = SimpleNamespace(labels=LABELS, identity="fake@0")

    def classify(self, pictures: Iterable[Path], keep_outputs: bool = False) -> Iterator[Findings]:
        for path in pictures:
            ill = path.stem.startswith("ill")
            findings = drawn_findings(
                ("toy",) if ill else ("normal",), LABELS, random.Random(path.name)
            )
            yield replace(
                findings,
                image=str(path),
                status="ungradable" if path.stem.startswith("dark") else "ok",
                features=np.full((1, 2, 2), ILL if ill else 0.0),
            )


def pair(name: str, patient: str, answer: str, question: str = "Is toy present?") -> VqaPair:
    return VqaPair((name,), question, answer, "presence", (), "en", patient)


def ask(pairs: Sequence[VqaPair], **options: Any) -> dict[str, Any]:
    return ask_questions(FakeRuntime(), FakeClassifier(), pairs, 100, **options)  # type: ignore[arg-type]


def test_a_question_without_another_patient_has_no_shuffled_answer() -> None:
    """Both eyes of one patient: there is no other's photograph to shuffle in, which is no error of
    the model."""
    metrics = ask([pair("ill.jpg", "1", "Yes."), pair("well.jpg", "1", "No.")])
    kind = metrics["kinds"]["presence en"]
    assert kind["questions"] == {"count": 2}
    assert kind["photograph"] == {"exact_match": 1, "f1": 1}
    assert kind["nothing"] == {"exact_match": 0, "f1": 0}
    assert kind["shuffled"] == {"exact_match": None, "f1": None}
    presence = metrics["presence"]["toy"]
    assert presence["questions"] == 2
    assert presence["photograph"] == presence["encoder"] == 1
    assert presence["shuffled"] is None
    assert metrics["presence"]["mean"]["shuffled"] is None
    assert metrics["presence"]["mean"]["photograph"] == 1


def test_shuffled_counts_over_the_questions_that_have_it() -> None:
    """A comparison of two eyes has no other pair of eyes; the single pictures have each other."""
    both = replace(
        pair("ill.jpg", "1", "Yes."), image=("ill.jpg", "ill2.jpg"), question="Is toy in both?"
    )
    singles = [pair("ill.jpg", "1", "Yes."), pair("well.jpg", "2", "No.")]
    metrics = ask([*singles, both])
    kind = metrics["kinds"]["presence en"]
    assert kind["questions"] == {"count": 3}
    assert kind["photograph"]["exact_match"] == 1
    assert kind["shuffled"]["exact_match"] == 0  # each of the two sees the other's picture
    assert metrics["presence"]["toy"]["shuffled"] == 0
    # A third patient, ill as the first: some answers become right, and none is missing.
    metrics = ask([*singles, pair("ill3.jpg", "3", "Yes.")])
    assert metrics["kinds"]["presence en"]["shuffled"]["exact_match"] in (0, 1 / 3, 2 / 3)


def test_what_cannot_be_asked_is_excluded_and_counted() -> None:
    steps: list[tuple[int, int]] = []
    pairs = [
        pair("ill.jpg", "1", "Yes."),
        pair("dark.jpg", "2", "Yes."),
        pair("well.jpg", "3", "No.", "qwerty?"),
    ]
    metrics = ask(pairs, progress=lambda done, total: steps.append((done, total)))
    assert metrics["model"] == "fake@0"
    assert metrics["questions"] == 1
    assert metrics["excluded"] == {"unknown_words": 1, "untrained": 0, "ungradable": 1}
    assert metrics["presence"] == {}  # there is no picture of which no is true
    assert steps[-1][0] == steps[-1][1]
    assert set(metrics["kinds"]["presence en"]) == {"questions", *GIVEN}
    with pytest.raises(InputError, match="of 1, and 1 are about"):
        ask(pairs[1:])


def test_conditions_asked_about_are_the_models_own() -> None:
    labels = LabelSet.of(["normal", "dr", "hole", "macular_hole"], own=["hole", "macular_hole"])
    subjects = {
        "Is diabetic retinopathy present?": "dr",
        "这里有糖尿病视网膜病变的征象吗？": "dr",
        "Is there hole in this picture?": "hole",
        "Is there macular hole in this picture?": "macular_hole",
        "Is glaucoma present?": None,
        "Is it diabetic retinopathy or macular hole?": None,
    }
    for question, subject in subjects.items():
        assert asked_about(pair("-", "-", "Yes.", question), labels) == subject
    other = replace(pair("-", "-", "Mild.", "Grade the diabetic retinopathy."), kind="severity")
    assert asked_about(other, labels) is None


def test_token_f1_and_balanced_accuracy() -> None:
    assert f1("Yes.", "yes") == 1
    assert f1("The left eye.", "The right eye.") == pytest.approx(2 / 3)
    assert f1("是。", "否。") == 0
    assert f1("Glaucoma.", "") == 0
    truth = [True, True, True, False]
    assert balanced_accuracy(truth, [True, True, True, True]) == 0.5
    assert balanced_accuracy(truth, [True, True, True, None]) == 0.5
    assert balanced_accuracy(truth, truth) == 1
    assert balanced_accuracy([True], [True]) is None


def test_an_unknown_part_and_a_model_without_fusion_are_refused(tmp_path: Path) -> None:
    head = Head("conditions", "multi_label", ["normal", "dr"])
    model = ModelFolder(tmp_path, Manifest("-", EncoderInfo("-", 32, 1), [head]))
    with pytest.raises(UsageError, match="'tests' is not one of all, train"):
        evaluate_vqa(model, [tmp_path], "tests")
    with pytest.raises(UsageError, match="run ophglm train-fusion"):
        evaluate_vqa(model, [tmp_path], "test")
