from __future__ import annotations

import time

import pytest

from ophglm_core.conditions import named_conditions
from ophglm_core.safety.guard import Guard
from ophglm_core.safety.red_flags import red_flags


@pytest.mark.parametrize(
    "question",
    [
        "I suddenly lost the vision in my left eye this morning",
        "My mother has a sudden loss of vision, what now?",
        "There is a curtain coming down over my right eye",
        "I see flashes and many floaters since yesterday",
        "Patient reports new floaters and photopsia",
        "My eye is red and very painful",
        "painful red eye with halos and nausea",
        "He was hit in the eye by a ball",
        "Bleach splashed into my eye",
        "Metal flew into his eye at work",
        "I am 70 with headache, jaw pain and blurred vision",
        "Straight lines look wavy since last week",
        "I can't see out of my left eye since this morning",
        "My sight is gone",
        "drain cleaner got in my son's eye",
        "my left eye just went black an hour ago, can't see a thing out of it",
        "No pain, but a curtain came down over the left eye",
        "The eye hurts badly",
        "eye pain with vomiting",
        "A shade is coming down over my eye",
        "突然看不见东西了怎么办",
        "右眼视力突然下降",
        "眼前有黑影遮挡，像窗帘一样",
        "最近有闪光感，飞蚊增多",
        "眼睛又红又痛",
        "眼睛被球打了，外伤",
        "看东西视物变形",
    ],
)
def test_red_flags_send_to_care_at_once(question: str) -> None:
    chinese = any("\u4e00" <= c <= "\u9fff" for c in question)
    said = red_flags(question, "zh" if chinese else "en")
    assert said is not None
    assert ("立即就诊" in said) if chinese else ("at once" in said)


@pytest.mark.parametrize(
    "question",
    [
        "What do you see?",
        "What is the treatment of glaucoma?",
        "How fast does diabetic retinopathy get worse?",
        "What are floaters?",
        "Is the macula normal?",
        "Does the picture show drusen?",
        "What are the symptoms of a cataract?",
        "The optic disc has a red rim, is that normal?",
        "Can trauma cause a cataract?",
        "Does glaucoma lead to flashes?",
        "Was the photograph taken with a flash?",
        "No flashes, no floaters, no curtain, no pain",
        "She denies any sudden loss of vision",
        "She takes acetylsalicylic acid",
        "He had an eye injury as a child",
        "没有闪光感，没有飞蚊增多",
        "外伤会导致白内障吗？",
        "什么是白内障？",
        "这张照片正常吗？",
    ],
)
def test_ordinary_questions_raise_no_alarm(question: str) -> None:
    assert red_flags(question) is None


def test_pages_of_text_are_read_in_no_time_and_to_their_end() -> None:
    pages = "Is there more to say of the eye? " * 900
    began = time.monotonic()
    assert red_flags(pages) is None
    assert red_flags(pages + "It is red and it hurts.") is not None
    assert time.monotonic() - began < 5


def test_chemical_splash_is_told_to_rinse_first() -> None:
    assert "rinse" in (red_flags("acid splashed in my eye") or "")
    assert "冲洗" in (red_flags("化学物质溅入眼睛", "zh") or "")


def test_named_conditions() -> None:
    assert named_conditions("Drusen and a cloudy lens") == ["amd", "cataract"]
    assert named_conditions("糖网和青光眼") == ["dr", "glaucoma"]
    assert named_conditions("The eye is a camera") == []


def guard(found: set[str], asked: set[str] | None = None, grounds: str = "", **k: float) -> Guard:
    return Guard(frozenset(found), frozenset(asked or ()), grounds, **k)


@pytest.mark.parametrize(
    ("sentence", "found", "asked"),
    [
        ("You definitely need an injection.", {"dr"}, set()),
        ("The patient has diabetic retinopathy.", {"dr"}, set()),
        ("This confirms diabetic retinopathy.", {"dr"}, set()),
        ("Glaucoma damages the optic nerve.", {"dr"}, set()),
        ("Retinal detachment is another risk.", {"dr"}, set()),
        ("The photograph shows a cat.", {"dr"}, set()),
        ("I can see haemorrhages near the macula.", {"dr"}, set()),
        ("Your eye shows glaucoma.", {"dr"}, {"glaucoma"}),
        ("There are no signs to suggest glaucoma.", {"dr"}, {"glaucoma"}),
        ("The photograph does not show diabetic retinopathy.", {"dr"}, set()),
        ("About 40 of people go blind.", {"dr"}, set()),
        ("Take 500 mg twice a day.", {"dr"}, set()),
        ("As an AI I cannot say.", {"dr"}, set()),
        ("患者肯定是青光眼。", {"glaucoma"}, set()),
        ("...", {"dr"}, set()),
    ],
)
def test_guard_objects(sentence: str, found: set[str], asked: set[str]) -> None:
    assert guard(found, asked).check(sentence) is not None


@pytest.mark.parametrize(
    ("sentence", "found", "asked"),
    [
        ("Diabetic retinopathy is caused by high blood sugar.", {"dr"}, set()),
        ("Glaucoma damages the optic nerve.", {"dr"}, {"glaucoma"}),
        ("An eye doctor should examine it.", {"dr"}, set()),
        ("Good control of blood sugar helps.", {"dr"}, set()),
    ],
)
def test_guard_lets_general_knowledge_pass(sentence: str, found: set[str], asked: set[str]) -> None:
    assert guard(found, asked).check(sentence) is None


def test_guard_objects_to_repetition_and_to_what_is_not_supported() -> None:
    g = guard({"dr"})
    assert g.check("Good control of blood sugar helps.") is None
    assert g.check("Good control of blood sugar helps!") == "said before"
    g.record("Control of blood sugar, blood pressure and lipids protects the vision.")
    again = "The vision is protected by control of blood sugar, pressure of blood and lipids."
    assert g.check(again) == "said before"
    strict = guard({"dr"}, grounds="Control of blood sugar protects vision.", support=0.5)
    assert strict.check("Blood sugar control protects the vision.") is None
    assert strict.check("The cat sat upon the elephant.") is not None


def test_numbers_that_were_given_may_be_repeated() -> None:
    assert guard({"dr"}, grounds="seen within 14 days").check("Within 14 days.") is None
    assert guard({"dr"}).check("Within 14 days.") is not None


@pytest.mark.parametrize(
    ("sentence", "turned"),
    [
        ("Treatment usually slows or stops further loss.", False),
        ("Treatment usually does not stop further loss.", True),
        ("The damage can be undone.", True),
        ("The damage cannot be undone.", False),
    ],
)
def test_a_small_model_may_not_turn_a_statement_round(sentence: str, turned: bool) -> None:
    told = "Treatment usually slows or stops further loss. Damage often cannot be undone."
    guard = Guard(frozenset(), frozenset(), told, support=0.5)
    objection = guard.check(sentence)
    assert (objection is not None) == turned
    assert not turned or "denies" in str(objection)
