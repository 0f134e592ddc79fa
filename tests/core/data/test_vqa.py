from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from ophglm_core.conditions import CONDITIONS, default_labels
from ophglm_core.data.build_vqa import build_vqa
from ophglm_core.data.records import read_records
from ophglm_core.data.splits import Split
from ophglm_core.data.vqa import (
    CLOSED,
    VqaPair,
    closed_answer,
    read_vqa,
    vqa_parts,
)
from ophglm_core.errors import InputError
from ophglm_core.evaluation.vqa import asked_about
from ophglm_core.images import load_crop
from ophglm_core.quality import measure

from ...conftest import shared

DISEASES = default_labels().diseases


@pytest.fixture(scope="module")
def pairs(odir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[VqaPair]:
    records = [*read_records(odir), *read_records(shared("eye4"))]
    return build_vqa(records, spoilt=tmp_path_factory.mktemp("spoilt"))


def subject(pair: VqaPair) -> str:
    """What a question is about, whatever its wording: the condition it names, or nothing."""
    for label in DISEASES:
        if CONDITIONS[label].name in pair.question or CONDITIONS[label].name_zh in pair.question:
            return label
    return ""


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_model_that_does_not_look_scores_at_chance(pairs: list[VqaPair], language: str) -> None:
    """The best answer that a question alone allows is right in half of the cases, or 1 in n."""
    groups: dict[tuple[str, str], Counter[str]] = {}
    for pair in pairs:
        if pair.language == language and pair.kind in CLOSED:
            groups.setdefault((pair.kind, subject(pair)), Counter())[pair.answer] += 1
    assert {kind for kind, _ in groups} == set(CLOSED)
    assert {s for kind, s in groups if kind == "presence"} == set(DISEASES)
    for answers in groups.values():
        assert len(answers) >= 2
        assert len(set(answers.values())) == 1, answers


def test_photographs_are_found_from_any_folder(
    odir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = build_vqa(list(read_records(odir))[:200], spoilt=Path("spoilt"))
    monkeypatch.chdir("/")
    images = {Path(image) for pair in made for image in pair.image}
    assert all(image.is_file() for image in images)
    assert any(image.parent == tmp_path / "spoilt" for image in images)


def test_answers_agree_with_labels(pairs: list[VqaPair]) -> None:
    for pair in pairs:
        yes = pair.answer in ("Yes.", "是。")
        assert asked_about(pair, default_labels()) == (
            subject(pair) if pair.kind == "presence" else None
        )
        if pair.kind == "presence":
            assert yes == (subject(pair) in pair.labels), pair
        elif pair.kind == "normal":
            assert yes == ("normal" in pair.labels), pair
        elif pair.kind == "eye":
            side = "left" if pair.answer in ("The left eye.", "左眼。") else "right"
            assert f"_{side}." in pair.image[0], pair
        elif pair.kind == "which":
            named = {
                d
                for d in DISEASES
                for n in (CONDITIONS[d].name, CONDITIONS[d].name_zh)
                if n.lower() in pair.answer.lower()
            }
            assert named == set(pair.labels) - {"normal"}, pair


def test_a_source_that_has_only_positives_is_not_asked_yes_or_no(pairs: list[VqaPair]) -> None:
    kinds = {pair.kind for pair in pairs if "/eye4/" in pair.image[0]}
    assert kinds == {"unanswerable", "quality"}


def test_many_wordings_and_whole_sentences(pairs: list[VqaPair]) -> None:
    for language, least in (("en", 60), ("zh", 45)):
        asked = {p.question for p in pairs if p.language == language}
        assert len(asked) > least
    assert not any("{" in p.question + p.answer for p in pairs)
    assert all(p.answer.endswith((".", "。")) for p in pairs)
    chinese = [p for p in pairs if p.language == "zh"]
    assert not any(re.search(r"[A-Za-z]{3}", p.question + p.answer) for p in chinese)


def test_what_a_photograph_cannot_tell_is_said(pairs: list[VqaPair]) -> None:
    found = [p for p in pairs if p.kind == "unanswerable" and p.language == "en"]
    assert found
    assert all("cannot show" in p.answer for p in found)


def test_half_of_what_quality_is_asked_about_is_spoilt(pairs: list[VqaPair]) -> None:
    asked = [p for p in pairs if p.kind == "quality"]
    assert len(asked) > 400
    assert not any("cataract" in p.labels for p in asked)
    spoilt = [p for p in asked if p.answer in ("No.", "否。")]
    assert all(Path(p.image[0]).parent.name.startswith("spoilt") for p in spoilt)
    # Clear photographs are sharper, and neither dark nor white: told by another measure.
    clear = [p for p in asked if p.answer in ("Yes.", "是。")]
    quality = [[measure(load_crop(Path(p.image[0]), 448)) for p in g[:60]] for g in (clear, spoilt)]
    seen = [sum(q.blurred or q.white > 0.1 or q.brightness < 60 for q in g) for g in quality]
    assert seen[0] <= 6
    assert seen[1] >= 36


def test_without_a_folder_nothing_is_spoilt(labelled: Path) -> None:
    assert not [p for p in build_vqa(read_records(labelled)) if p.kind == "quality"]


def test_same_seed_same_pairs(labelled: Path) -> None:
    records = read_records(labelled)[:400]
    assert build_vqa(records) == build_vqa(list(reversed(records)))
    assert build_vqa(records) != build_vqa(records, seed=1)


def test_compared_eyes_are_of_one_patient(pairs: list[VqaPair]) -> None:
    compared = [p for p in pairs if p.kind == "compare"]
    assert compared
    for pair in compared:
        left, right = (Path(i).name for i in pair.image)
        assert left == f"{pair.patient}_left.jpg"
        assert right == f"{pair.patient}_right.jpg"
    values = compared[0].to_json()
    assert isinstance(values["image"], list)
    assert json.loads(json.dumps(values)) == values


def test_questions_are_read_back_and_parted_as_the_encoder_was(
    pairs: list[VqaPair], tmp_path: Path
) -> None:
    some = [p for p in pairs if p.kind in ("eye", "severity", "compare", "unanswerable")][:400]
    path = tmp_path / "vqa.jsonl"
    path.write_text("\n".join(json.dumps(p.to_json(), ensure_ascii=False) for p in some))
    assert read_vqa(path) == some
    split = Split()
    parts = vqa_parts(some, split)
    assert sum(map(len, parts.values())) == len(some)
    for part, members in parts.items():
        for pair in members:
            # Pictures of one label each trained the encoder, whoever their patient is.
            assert part == (split.part(pair.patient) if pair.complete else "train")
    assert any(not p.complete for p in parts["train"])


def test_closed_answers_have_one_form_in_both_languages(pairs: list[VqaPair]) -> None:
    from ophglm_core.manifest import CLOSED_ANSWERS

    forms = {p.language: Counter[str | None]() for p in pairs}
    for pair in pairs:
        forms[pair.language][closed_answer(pair)] += 1
    assert set(forms["en"]) - {None} == set(CLOSED_ANSWERS)
    assert set(forms["zh"]) == set(forms["en"])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "line 1 is not a JSON record"),
        ('{"image": "a.jpg"}', "line 1 lacks 'question'"),
        ("", "holds no question"),
    ],
)
def test_a_broken_question_file_is_named_with_its_line(
    line: str, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "vqa.jsonl"
    path.write_text(line)
    with pytest.raises(InputError, match=problem):
        read_vqa(path)


def test_every_answer_is_known_as_one_and_free_talk_is_not(pairs: list[VqaPair]) -> None:
    from ophglm_core.data.vqa import is_answer

    for pair in pairs:
        if pair.kind not in ("compare", "unanswerable"):
            assert is_answer(pair.answer), pair.answer
    for talk in ("The blood pressure is too high.", "This is a common fallacy.", "", "I see"):
        assert not is_answer(talk)
