"""Red flags over lines as patients, relatives and clinicians type them, in both languages."""

from __future__ import annotations

import json
import re
import time
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from ophglm_core.knowledge.library import entries
from ophglm_core.runtime.sentence import SentenceEncoder
from ophglm_core.safety.red_flags import assess, matched_flags, red_flags
from ophglm_core.wording import is_chinese

#: Lines that nothing was fitted on, written by another hand than those that the rules and the model
#: were made with.
HELD_OUT = json.loads(Path(__file__).with_name("red_flag_heldout.json").read_text(encoding="utf-8"))
#: 112 lines more. Some of the ordinary ones alarmed when they were written, and showed what the
#: reading did not understand then; no urgent one was missed.
FURTHER = json.loads(Path(__file__).with_name("red_flag_further.json").read_text(encoding="utf-8"))
LINES = json.loads(
    (resources.files("ophglm_core.data") / "red_flag_lines.json").read_text(encoding="utf-8")
)


_EMBED = SentenceEncoder().embed


def alarms(line: str, language: str) -> bool:
    return assess(line, language, _EMBED) is not None


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_urgent_line_is_missed(language: str) -> None:
    """Of 208 urgent lines none; what is said alone, and what is said before an answer."""
    lines = [*HELD_OUT["urgent"][language], *FURTHER["urgent"][language]]
    assert [line for line in lines if not alarms(line, language)] == []
    alone = [bool(red_flags(line, language, _EMBED)) for line in HELD_OUT["urgent"][language]]
    assert sum(alone) > 0.8 * len(alone)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_few_ordinary_lines_alarm(language: str) -> None:
    lines = HELD_OUT["ordinary"][language]
    alarmed = [line for line in lines if alarms(line, language)]
    assert len(alarmed) <= 0.05 * len(lines), alarmed
    assert [line for line in FURTHER["ordinary"][language] if alarms(line, language)] == []


def test_nothing_held_out_was_fitted_on() -> None:
    def plain(lines: dict[str, dict[str, list[str]]]) -> set[str]:
        texts = [text for kind in lines.values() for some in kind.values() for text in some]
        return {re.sub(r"\W", "", text.lower()) for text in texts}

    assert len(plain(HELD_OUT)) == 300
    assert len(plain(FURTHER)) == 112
    assert not (plain(HELD_OUT) | plain(FURTHER)) & plain(LINES)


def test_questions_of_the_library_rarely_alarm() -> None:
    for language in ("en", "zh"):
        # Whose wordings are no complaints.
        others = [e for e in entries() if e.topic not in ("urgency", "symptoms")]
        asked = [w for e in others for w in e.questions[language]][::75]
        alone = [w for w in asked if red_flags(w, language, _EMBED)]
        assert len(alone) < 0.03 * len(asked), alone


@pytest.mark.parametrize("language", ["en", "zh"])
def test_lines_on_other_things_do_not_alarm(language: str) -> None:
    """What nothing was fitted on; a word of time alone alarmed when the words alone were judged."""
    file = Path(__file__).parents[1] / "knowledge" / "other_things.json"
    lines = json.loads(file.read_text(encoding="utf-8"))[language]
    assert [line for line in lines if alarms(line, language)] == []
    told = {
        "en": ["did our team win last night?", "the boiler broke down this morning"],
        "zh": ["昨晚那场比赛谁踢赢了"],
    }[language]
    assert [line for line in told if red_flags(line, language, _EMBED)] == []


def test_the_meaning_is_asked_of_a_few_parts_of_a_long_text() -> None:
    asked: list[str] = []

    def embed(text: str) -> np.ndarray:
        asked.append(text)
        return _EMBED(text)

    letter = "The patient was seen for a routine check and all was well. " * 60
    flag = assess(letter + "Since this morning a curtain covers half of his left eye.", "en", embed)
    assert flag is not None
    assert len(asked) <= 3


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        ("my left eye just went black an hour ago, can't see a thing out of it", ["vision_loss"]),
        ("drain cleaner got in my son's eye", ["chemical"]),
        ("a nail went into his eye", ["injury", "penetrating"]),
        ("No flashes, no floaters, no curtain, no pain", []),
        ("She denies any sudden loss of vision", []),
        ("He takes acetylsalicylic acid for his heart", []),
        ("retinal detachment repaired in 2015", []),
        ("What does photopsia mean?", []),
        ("无闪光感，无飞蚊，无眼痛", []),
        ("右眼视力突然下降", ["vision_loss"]),
        ("The chemical burn of 2020 has healed well", []),
        ("an old burn healed well, today bleach got into my left eye", ["chemical"]),
        ("my sight went black for ten minutes today and has fully recovered", ["vision_loss"]),
        ("Let's say a patient suddenly loses sight in one eye", []),
        ("the report says retinal detachment since today", ["curtain"]),
    ],
)
def test_flags_are_named_for_what_was_said(line: str, flags: list[str]) -> None:
    assert matched_flags(line) == flags


def test_a_denial_does_not_hide_the_complaint_beside_it() -> None:
    assert matched_flags("no pain, but a curtain came down over my right eye") == ["curtain"]
    assert matched_flags("没有疼，但是右眼突然看不见了") == ["vision_loss"]


@pytest.mark.parametrize(
    "line",
    [
        "my eyelid twitches when I drink too much coffee",
        "My sight has been getting slowly blurrier over the last two years",
        "打印出来的图上有一道黑影",
        "从中学起就有几根飞蚊，白墙前才明显",
        "I forgot my glaucoma drops last night. Should I take two today?",
        "眼睛里打了气，能坐飞机或上高原吗",
    ],
)
def test_what_can_wait_says_so_by_its_meaning(line: str) -> None:
    """However urgent the model finds the words; with a sudden sign beside it the alarm comes."""
    assert not alarms(line, "zh" if line[0] > "z" else "en")
    assert alarms(f"{line}. Since this morning my left eye sees nothing", "en")


def test_first_aid_is_said_and_does_not_contradict_itself() -> None:
    assert "rinse with clean water first" in (red_flags("bleach splashed in my eye") or "")
    pierced = red_flags("a piece of metal shot into my eye while hammering") or ""
    assert "do not rinse" in pierced
    both = red_flags("a bottle of acid exploded and glass went into my eye") or ""
    assert "rinse with clean water" in both
    assert "do not rinse" not in both


def test_a_pasted_text_of_many_pages_takes_no_time() -> None:
    for unit in (
        "I suddenly lost my vision, no pain. ",
        "no flashes ",
        "a",
        "突然看不见 ",
        "if no ",
    ):
        started = time.perf_counter()
        red_flags(unit * (50_000 // len(unit)))
        assert time.perf_counter() - started < 5, unit


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("my eye is red and really painful 3 days after my injection", "endophthalmitis"),
        ("3 days post op, pain and vision suddenly dropping", "endophthalmitis"),
        ("30F pain on eye mvmt, red looks washed out, RAPD R, disc normal", "optic neuritis"),
        ("aunt has RA, deep boring eye pain wakes her, red", "scleritis"),
        ("diabetic, sudden shower of new floaters", "bleeding into the vitreous"),
        ("16F -9.50 myope, sudden blur and distortion in one eye", "myopic CNV"),
        ("red painful eye, halos round lights and vomiting", "acute angle closure"),
        ("contact lens wearer, sore red eye and hates light", "microbial keratitis"),
        ("lines look bent in my left eye since monday", "wet macular degeneration"),
        ("in flash photos one of my baby's pupils is white", "retinoblastoma"),
        ("a dark curtain is coming down over my right eye", "retinal detachment"),
        ("昨天右眼突然全黑，几分钟又好了", "中风的先兆"),
        ("妈妈72岁，这几天看门框是弯的", "湿性黄斑变性"),
    ],
)
def test_the_alarm_says_what_may_stand_behind_it(text: str, cause: str) -> None:
    language = "zh" if re.search("[\u4e00-\u9fff]", text) else "en"
    said = red_flags(text, language)
    assert said is not None
    assert cause in said
    assert said.startswith(("Urgent", "紧急提示"))  # where to go comes before why


@pytest.mark.parametrize("text", ["when next", "what can go wrong", "今天天气怎么样"])
def test_a_few_words_that_name_nothing_are_no_emergency(text: str) -> None:
    assert assess(text, "zh" if is_chinese(text) else "en", _EMBED) is None


@pytest.mark.parametrize("text", ["all black", "can't see", "疼死了", "看不见了", "eye went black"])
def test_a_few_words_that_name_something_are_taken_seriously(text: str) -> None:
    assert assess(text, "zh" if is_chinese(text) else "en", _EMBED) is not None


def test_pain_on_moving_the_eye_is_not_called_a_red_eye() -> None:
    said = red_flags("30F pain on eye mvmt, red looks washed out, RAPD R, disc normal") or ""
    assert "pain on moving the eye" in said
    assert "red eye" not in said


def test_a_flash_of_the_camera_is_no_flash_of_light() -> None:
    assert matched_flags("宝宝1岁 开闪光拍照一只眼发白") == ["white_pupil"]
    assert "flashes_floaters" in matched_flags("眼前突然有闪光")
