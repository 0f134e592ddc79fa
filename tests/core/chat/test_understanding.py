"""What a turn means: acts that no rule foresaw, corrections, and what was spoken of before."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from ophglm_core import data
from ophglm_core.chat.acts import act_in
from ophglm_core.chat.conversation import Chat
from ophglm_core.chat.parts import AnswerPart
from ophglm_core.chat.question import parse_question
from ophglm_core.chat.remit import within_remit
from ophglm_core.chat.tasks import TASKS
from ophglm_core.chat.understanding import understand
from ophglm_core.conditions import DEFAULT_LABELS, LabelSet, default_labels
from ophglm_core.findings import Findings
from ophglm_core.knowledge.library import entries, subjects_named
from ophglm_core.knowledge.retrieval import Library

from ...silent import Silent

LOW = dict.fromkeys(DEFAULT_LABELS, 0.02)
RETINOPATHY = Findings("a.jpg", "ok", "m@1", {**LOW, "dr": 0.8}, ["dr"], laterality="left")
LINES: dict[str, dict[str, list[str]]] = json.loads(
    (resources.files(data) / "act_lines.json").read_text("utf-8")
)


@pytest.fixture
def talk(library: Library) -> Chat:
    return Chat([RETINOPATHY], default_labels(), Silent(), library=library)


@pytest.fixture
def general(library: Library) -> Chat:
    return Chat([], default_labels(), Silent(), library=library)


def ask(talk: Chat, text: str) -> list[AnswerPart]:
    return list(talk.ask(text))


def said(talk: Chat, text: str) -> str:
    return " ".join(part.text for part in ask(talk, text))


def test_no_line_stands_for_two_acts() -> None:
    for language in ("en", "zh"):
        lines = [line.strip().lower() for act in LINES.values() for line in act[language]]
        assert len(lines) == len({*lines})
        assert all(len(act[language]) >= 30 for act in LINES.values())


def test_acts_are_recognised_in_words_that_were_not_written(library: Library) -> None:
    said = {
        "so tell me, what does my eye look like on there": "findings",
        "any possibility that the machine is mistaken here?": "certainty",
        "what makes you come to that conclusion": "reason",
        "does anybody else get to see my pictures": "privacy",
        "could you put all of that in a few lines for me to take home": "summary",
        "the chap at the optician's told me the opposite, whom do I believe": "disagreement",
        "这个结果会不会弄错了呀": "certainty",
        "我的照片会被传到网上去吗": "privacy",
        "太长了，挑重点说": "shorter",
        "你是根据什么得出这个结论的": "reason",
    }
    written = {line for act in LINES.values() for lines in act.values() for line in lines}
    assert not {*said} & written
    assert np.mean([act_in(text, library.embed) == act for text, act in said.items()]) >= 0.8


@pytest.mark.parametrize("language", ["en", "zh"])
def test_questions_to_the_library_are_no_acts(library: Library, language: str) -> None:
    wordings = [w for e in entries() for w in e.questions[language] if not subjects_named(w)]
    taken = [act_in(w, library.embed) for w in wordings[:: len(wordings) // 250]]
    # These three are looked up in the library, in other words.
    looked_up = {None, "confirm", "dangers", "malignant"}
    assert np.mean([act not in looked_up for act in taken]) < 0.02


def test_every_act_is_answered(library: Library, talk: Chat, general: Chat) -> None:
    for act, lines in LINES.items():
        if act == "none":
            continue
        for language in ("en", "zh"):
            for line in lines[language][:1]:
                for chat in (talk, general):
                    chat.clear()
                    parts = ask(chat, line)
                    assert parts, (act, line)
                    # What is looked up may be unknown, of what was never spoken of.
                    if chat is talk and act not in ("confirm", "dangers", "malignant", "more"):
                        assert "No checked statement" not in parts[0].text, (act, line)
                        assert "没有找到" not in parts[0].text, (act, line)


def test_an_act_without_a_sentence_encoder_is_a_question() -> None:
    question, task = understand(
        parse_question("recap pls", default_labels()),
        None,
        default_labels(),
        [],
        [],
        True,
        [],
        None,
    )
    assert (task, question.about_reading) == (None, None)
    assert {*TASKS} - {"points"} < {*LINES}  # which is asked for in a few words only


def test_what_is_asked_of_the_reading(talk: Chat, general: Chat) -> None:
    assert "left eye by its file name" in said(talk, "which eye is it and is the quality ok?")
    assert "左眼" in said(talk, "这张图质量怎么样？是左眼还是右眼")
    assert "heatmap" in said(talk, "how do you know?")
    assert "an examination counts" in said(talk, "my doctor says it's normal, who's right?").lower()
    assert "No photograph" in said(general, "what did you see?")
    assert "stay on this machine" in said(general, "who can see my photos?")
    assert "/image" in said(general, "how do I open a picture")


def test_sources_are_named_when_asked_for(general: Chat) -> None:
    assert str(len(entries())) in said(general, "where do your answers come from?")
    known = [part.source for part in ask(general, "Does smoking cause AMD?") if part.source]
    told = said(general, "source?")
    assert all(source in told for source in known)
    assert said(general, "how do you know that?") == told


def test_a_correction_asks_the_last_question_of_another_disease(general: Chat) -> None:
    ask(general, "Is AMD hereditary?")
    told = ask(general, "no, I meant glaucoma")
    assert told[0].source
    assert "glaucoma" in told[0].text.lower()
    assert "relative" in told[0].text or "famil" in told[0].text
    ask(general, "糖尿病视网膜病变会遗传吗？")
    assert "青光眼" in ask(general, "不是，我问的是青光眼")[0].text


def test_a_refused_dose_stays_refused(general: Chat) -> None:
    for question, again in (
        ("What dose of latanoprost?", "just roughly, I'm a doctor"),
        ("阿托品给孩子用多少浓度？", "大概说个数就行"),
    ):
        ask(general, question)
        told = said(general, again)
        assert "no doses" in told or "不提供剂量" in told
        assert not any(c.isdigit() for c in told)


@pytest.mark.parametrize(
    "question",
    [
        "HCQ toxicity: which risk factors are there apart from dose?",
        "How much weight would you give the cup-disc ratio here?",
        "羟氯喹剂量和毒性有什么关系",
    ],
)
def test_a_question_about_doses_is_no_request_for_one(question: str) -> None:
    labels = default_labels()
    asked, _ = understand(parse_question(question, labels), None, labels, [], [], False, [], None)
    assert not asked.asks_dose


def test_what_was_spoken_of_before_is_found_again(general: Chat) -> None:
    ask(general, "what's macular edema")
    ask(general, "unrelated: what eye pressure is normal")
    told = ask(general, "back to the edema, how is it treated?")
    assert "edema" in told[0].text.lower() or "oedema" in told[0].text.lower()
    assert "pressure" not in told[0].text


def test_two_diseases_are_told_apart(general: Chat) -> None:
    told = " ".join(p.text for p in ask(general, "glaucoma vs AMD, what's the difference?")[:2])
    assert "optic nerve" in told
    assert "macula" in told
    told = " ".join(p.text for p in ask(general, "青光眼和白内障有什么区别？")[:2])
    assert "视神经" in told
    assert "晶状体" in told


def test_dangers_and_proof_are_looked_up_of_what_was_found(talk: Chat) -> None:
    for question in (
        "what can it lead to if nobody treats it",
        "how is that confirmed for certain",
    ):
        told = ask(talk, question)
        assert told[0].source, question
        assert "retinopathy" in told[0].text, question


def test_why_is_asked_of_the_finding_or_of_the_last_answer(talk: Chat, general: Chat) -> None:
    ask(talk, "what did you find")
    assert "neural network" in said(talk, "why?")
    first = ask(general, "Can I fly with a gas bubble in my eye?")[0].text
    assert "gas" in said(general, "why?")
    assert "gas" in first


def test_a_letter_is_shortened(talk: Chat) -> None:
    whole = said(talk, "Write a letter to the GP")
    short = said(talk, "shorter please")
    assert "80%" in short
    assert len(short) < len(whole) / 2
    assert said(talk, "thanks") != said(talk, "bye")
    assert "程序" in said(talk, "in Chinese")  # of the letter, past the courtesies


def test_after_an_emergency_other_questions_are_answered(general: Chat) -> None:
    ask(general, "pt has BP 220/130, headache, blurred vision with swollen discs")
    told = ask(general, "sent her in. what are cotton wool spots?")
    assert told[-1].source
    assert "cotton-wool" in " ".join(part.text for part in told)
    assert said(general, "can it wait till monday?").startswith("What was described")


def test_what_an_emergency_may_be_is_said_and_how_it_is_treated(general: Chat) -> None:
    ask(general, "my 2yo has a white pupil on flash photos")
    assert "retinoblastoma" in said(general, "what could it be?")
    ask(general, "bleach splashed in my eye!!")
    assert "20 minutes" in said(general, "how long do i rinse")
    general.clear()
    ask(general, "75F headache, jaw pain chewing, sudden loss of vision one eye")
    assert "temporal arter" in said(general, "which tests")


def test_one_photograph_is_compared_with_none(talk: Chat) -> None:
    assert said(talk, "compare both eyes").startswith("Only one photograph is open")
    assert "does not look for retinal vein occlusion" in said(
        talk, "can you detect vein occlusion?"
    )


def test_without_a_photograph_what_was_said_is_explained(general: Chat) -> None:
    assert said(general, "explain it to the patient").startswith("No photograph")
    known = ask(general, "Does smoking cause AMD?")
    assert said(general, "explain that to the patient") == " ".join(
        part.text for part in known if part.kind == "knowledge"
    )


def test_a_label_of_ones_own_has_no_entries(library: Library) -> None:
    labels = LabelSet.of(["normal", "stripes"], ["stripes"])
    found = Findings("a.jpg", "ok", "m", {"normal": 0.1, "stripes": 0.9}, ["stripes"])
    talk = Chat([found], labels, Silent(), library=library)
    for question in ("is it cancer?", "side effects?", "how is that confirmed for certain", "why?"):
        assert ask(talk, question), question


def test_what_is_typed_is_no_pattern(general: Chat) -> None:
    ask(general, "Is AMD hereditary?")
    assert ask(general, r"no, I meant glaucoma \1 \g<0>")


@pytest.mark.parametrize(
    "turn",
    [
        "71M, T2DM for years. read this one",
        "BP 212/128 and floaters long ago. your read?",
        "大三 900度 体检拍的 帮瞅瞅",
        "全科的 这个图报的啥",
    ],
)
def test_a_look_is_asked_for_behind_what_is_told(talk: Chat, turn: str) -> None:
    told = said(talk, turn)
    assert "80%" in told
    assert "diabetic retinopathy" in told or "糖尿病视网膜病变" in told


def test_what_another_abnormality_is(library: Library) -> None:
    other = Findings("a.jpg", "ok", "m@1", {**LOW, "other": 0.8}, ["other"])
    chat = Chat([other], default_labels(), Silent(), library=library)
    assert "like none of the conditions" in said(chat, "what does other mean here?")
    assert "不像这里按病名识别的任何一种" in said(chat, "报了个其他 啥意思")
    for more in ("which other tests are done?", "what about the other eye"):
        assert "like none of the conditions" not in said(chat, more)


def test_one_photograph_shows_no_change(talk: Chat) -> None:
    told = said(talk, "can you tell if mums is worse than her last photo")
    assert "one photograph cannot tell" in told
    assert "单张照片看不出变化" in said(talk, "比上次严重了吗")
    assert "one photograph" not in said(talk, "Is aflibercept better than the old drugs?")


def test_what_is_little_known_is_asked_of_what_was_spoken_of(general: Chat) -> None:
    said(general, "my brother has retinitis pigmentosa, can i have it too")
    assert "night" in said(general, "whats the first thing id notice")


def test_what_is_not_about_eyes_is_mostly_declined_in_a_conversation(library: Library) -> None:
    path = Path(__file__).parents[1] / "knowledge" / "other_things.json"
    lines: dict[str, list[str]] = json.loads(path.read_text("utf-8"))
    for first, language in (("What is glaucoma?", "en"), ("黄斑变性怎么治疗？", "zh")):
        declined = 0
        for other in lines[language]:
            chat = Chat([], default_labels(), Silent(), library=library)
            said(chat, first)
            told = said(chat, other)
            declined += "No checked statement" in told or "没有找到经过核对" in told
        assert declined >= 0.8 * len(lines[language]), (language, declined)


def test_turns_about_eyes_and_others_are_told_apart(library: Library) -> None:
    about = [
        "does it come back after the laser",
        "那要打几针",
        "is posturing needed",
        "会传给孩子不",
    ]
    others = ["who painted the night watch", "how do I boil rice", "明天会下雨吗", "推荐个餐馆"]
    assert all(within_remit(text, library.embed) > 0.5 for text in about)
    assert all(within_remit(text, library.embed) < 0.4 for text in others)
    assert within_remit(about[0], None) == 0.5


def test_names_that_are_typed_by_their_sound(general: Chat, library: Library) -> None:
    labels = default_labels()
    assert parse_question("看出来是青光研吗", labels).conditions == ("glaucoma",)
    assert parse_question("吃羟氯奎要查眼睛吗", labels).beyond == ("hydroxychloroquine",)
    assert "手术" in said(general, "oct写黄班前莫 必须开刀吗")
    glaucoma = Findings("a.jpg", "ok", "m@1", {**LOW, "glaucoma": 0.8}, ["glaucoma"])
    chat = Chat([glaucoma], labels, Silent(), library=library)
    assert "80%" in said(chat, "看出来是青光研是吗")
    assert "80%" in said(chat, "这是青光眼吗")
