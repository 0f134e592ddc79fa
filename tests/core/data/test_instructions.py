"""The fine-tuning set: what it holds, how it is read, and how texts and pictures are paired."""

from __future__ import annotations

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ophglm_core import knowledge
from ophglm_core.chat.answer import Answer
from ophglm_core.chat.conversation import Chat
from ophglm_core.chat.question import parse_question
from ophglm_core.conditions import (
    CONDITIONS,
    DEFAULT_LABELS,
    default_labels,
    named_conditions,
)
from ophglm_core.data.build_instructions import build_instructions, follow_ups, read_questions
from ophglm_core.data.deidentify import redact
from ophglm_core.data.dialogues import Dialogues, read_dialogues
from ophglm_core.data.instructions import ANY, SUBSETS, Instruction, read_instructions
from ophglm_core.data.near_duplicates import similar, without_repeats
from ophglm_core.data.pairing import EvenPool, Pairing, picture_labels
from ophglm_core.data.records import Record, read_records
from ophglm_core.data.splits import is_held_out, split_texts
from ophglm_core.data.statistics import card, statistics, validate
from ophglm_core.errors import InputError
from ophglm_core.knowledge.library import entries
from ophglm_core.prompts import prompt_with_passages
from ophglm_core.runtime.profile import ModelProfile
from ophglm_core.runtime.session import GREEDY, Decoding

from ...conftest import shared

DISEASES = default_labels().diseases
_JOINED: dict[int, str] = {}


@pytest.fixture(scope="module")
def texts() -> list[Instruction]:
    return build_instructions()


def test_five_subsets_and_conversations_in_both_languages(texts: list[Instruction]) -> None:
    counts = Counter((t.subset, t.language) for t in texts)
    assert set(counts) == {(s, x) for s in SUBSETS for x in ("en", "zh")}
    assert min(counts.values()) >= 40
    assert any(len(t.messages) > 4 for t in texts)
    kinds = {t.topic for t in texts if t.subset == "conversations"}
    assert kinds == {"conversation", "red_flag", "outside", "certainty"}


def test_each_wording_of_the_library_is_asked_and_answered_with_its_source(
    texts: list[Instruction],
) -> None:
    said = {(t.asked, uncited(t.messages[1]["content"])): t for t in texts if len(t.messages) == 2}
    for entry in entries():
        for language in ("en", "zh"):
            for question in entry.questions[language]:
                text = said[question, entry.text(language)]
                assert entry.source in text.source
                assert text.group == f"{entry.subject}/{entry.topic}"
    assert all(t.source for t in texts)


def uncited(text: str) -> str:
    return re.sub(r" ?\[\d\]", "", text)


def test_a_small_model_is_taught_the_plain_words_of_a_statement(texts: list[Instruction]) -> None:
    plain = [t for t in texts if t.plain and t.topic != "visual"]
    assert len(plain) > 400
    for text in plain:
        assert text.facts in {s.en for s in knowledge.statements(text.label)}
        assert text.messages[1]["content"] == f"{text.facts} {text.plain}"


def test_a_grounded_answer_cites_the_passage_that_it_is_from(texts: list[Instruction]) -> None:
    """Each turn's prompt is what the conversation would make of its question and passages."""
    grounded = [t for t in texts if t.is_grounded]
    assert 0.35 < len(grounded) / len(texts) < 0.5
    cited = Counter[int]()
    for text in grounded:
        assert f"{text.question}\n" in text.messages[0]["content"]
        for prompt, answer in zip(text.messages[::2], text.messages[1::2], strict=True):
            numbers = {int(n) for n in re.findall(r"\[(\d)\]", answer["content"])}
            (number,) = numbers
            cited[number] += 1
            parts = re.findall(r"^\[\d\] (.+)$", prompt["content"], re.MULTILINE)
            (question,) = re.findall(
                r"^(?:Question: |问题：)(.+)$", prompt["content"], re.MULTILINE
            )
            assert prompt["content"] == prompt_with_passages(question, parts, text.language)
            assert uncited(answer["content"]) == parts[number - 1].strip()
            # A citation behind the full stop would be read as a sentence of its own.
            assert not re.search(r"[.!?。！？]\s*\[", answer["content"])
    assert min(cited[1], cited[2], cited[3]) > 300


def test_the_prompt_of_a_grounded_sample_is_the_conversations_own(
    texts: list[Instruction],
) -> None:
    """With the same entries found, a capable model is asked word for word what it learned."""
    sample = next(t for t in texts if t.is_grounded and len(t.messages) == 2 and t.language == "en")
    shown = re.findall(r"^\[\d\] (.+)$", sample.messages[0]["content"], re.MULTILINE)
    by_text = {e.en: e for e in entries()}
    found = tuple(by_text[text.strip()] for text in shown)

    class Deaf:
        context = 4096
        tokens: list[int] = []  # noqa: RUF012
        prompt = ""

        def render(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
            return "\n\n".join(m["content"] for m in messages)

        def count(self, text: str) -> int:
            return len(text) // 4

        def append_text(self, text: str) -> None: ...

        def append_prompt(self, prompt: str, soft_tokens: object = None) -> None:
            self.prompt = prompt

        def truncate(self, length: int) -> None: ...

        def generate(self, limit: int, decoding: Decoding = GREEDY) -> Iterator[str]:
            return iter(())

    model = Deaf()
    chat = Chat([], default_labels(), model, ModelProfile(2_000_000_000, True))
    question = parse_question(sample.asked, default_labels())
    list(chat._answer_from_passages(question, Answer(entries=found)))
    assert model.prompt.endswith(sample.messages[0]["content"])


def question_in(content: str) -> str:
    """The question of a prompt, which with passages stands after them."""
    found = re.search(r"^(?:Question: |问题：)(.+)$", content, re.MULTILINE)
    return found[1] if found else content.split("\n")[0]


def test_conversations_go_on_about_their_subject(texts: list[Instruction]) -> None:
    """Each follow-up is answered by another entry of the same subject, and asks for "it"."""
    by_text = {e.text(x): e for e in entries() for x in ("en", "zh")}
    talks = [t for t in texts if t.topic == "conversation" and t.group]
    assert len(talks) > 2500
    back = Counter[str]()
    for talk in talks:
        told = [by_text[uncited(m["content"])] for m in talk.messages[1::2]]
        assert len({e.subject for e in told}) == 1
        assert len({e.topic for e in told}) == len(told) > 1
        asked = [question_in(m["content"]) for m in talk.messages[2::2]]
        back[talk.language] += all(re.search(r"\bit\b|这个病", a) for a in asked)
    assert min(back["en"], back["zh"]) > 900


@pytest.mark.parametrize(
    ("question", "follow_up"),
    [
        ("Is glaucoma hereditary?", "Is it hereditary?"),
        ("Can I drive with glaucoma?", "Can I drive with it?"),
        ("Is glaucoma surgery safe?", None),
        ("What do glaucoma drops do?", None),
        ("青光眼会遗传吗？", "这个病会遗传吗？"),
        ("青光眼手术安全吗？", None),
    ],
)
def test_a_question_that_refers_back(question: str, follow_up: str | None) -> None:
    entry = next(e for e in entries() if e.subject == "glaucoma")
    language = "zh" if "青" in question else "en"
    asked = replace(entry, questions={language: (question,)})
    assert follow_ups(asked, language) == ([follow_up] if follow_up else [])


def test_what_is_held_out_stands_nowhere_in_the_training_part(texts: list[Instruction]) -> None:
    """Neither as an answer nor as a passage; before, 122 of 123 English answers did."""
    train, held_out = split_texts(texts)
    learned = {e.text(x) for e in entries() for x in ("en", "zh") if stands_in(train, e.text(x))}
    kept = {e.text(x) for e in entries() for x in ("en", "zh") if stands_in(held_out, e.text(x))}
    assert len(kept) > 500
    assert len(learned | kept) == 2 * len(entries())
    assert not learned & kept


def stands_in(texts: list[Instruction], said: str) -> bool:
    key = id(texts)
    if key not in _JOINED:
        _JOINED[key] = "\n".join(uncited(m["content"]) for t in texts for m in t.messages)
    return said in _JOINED[key]


def test_answers_on_both_sides_are_counted_with_an_example(texts: list[Instruction]) -> None:
    """As the set was before: a group for each wording, so that an answer is in both parts."""
    old = [
        replace(t, group=f"{t.label}/{t.topic}/{t.asked}")
        for t in texts
        if t.facts and t.topic != "visual"
    ]
    said = validate(old)
    assert re.match(r"en: \d\d of \d\d held-out answers stand in the training part", said[0])
    assert re.match(r"zh: \d\d of \d\d held-out", said[1])
    assert "…” and “" in said[0]
    # Nearly the same words are found too.
    held = next(g for g in map(str, range(99)) if is_held_out(g))
    known = next(g for g in map(str, range(99)) if not is_held_out(g))
    answer = "The pressure in the eye is measured, and the optic disc is looked at."
    pair = [
        Instruction(
            (
                {"role": "user", "content": "What is done?"},
                {"role": "assistant", "content": text},
            ),
            "conversations", "treatment", "", "en", "-", group,
        )
        for text, group in ((answer, held), (answer.replace("looked at", "examined"), known))
    ]  # fmt: skip
    assert validate(pair)[0].startswith("en: 1 of 1 held-out")
    assert validate([pair[0]]) == []


def test_red_flags_are_sent_to_care_and_nothing_else(texts: list[Instruction]) -> None:
    flags = [t for t in texts if t.topic == "red_flag"]
    assert len(flags) == 10
    for flag in flags:
        answer = flag.messages[1]["content"]
        assert answer.startswith(("Urgent", "紧急"))


def test_nothing_wrong_is_found_in_the_set_and_what_is_wrong_is(texts: list[Instruction]) -> None:
    assert validate(texts) == []
    bad = Instruction(
        (
            {"role": "user", "content": "What is it?"},
            {"role": "assistant", "content": "This is definitely glaucoma, says Dr. Robert Smith."},
        ),
        "visual_diagnosis",
        "visual",
        "glaucoma",
        "en",
        "nowhere",
        "bad",
    )
    said = " ".join(validate([*texts[:50], bad]))
    assert "certain" in said
    assert "person" in said
    figures = statistics([*texts, bad, bad])
    assert figures["duplicates"] == 1
    assert figures["count"] == len(texts) + 2


def test_a_fifth_of_each_subset_and_language_is_held_out(texts: list[Instruction]) -> None:
    _, held_out = split_texts(texts)
    counts = [Counter((t.subset, t.language) for t in part) for part in (held_out, texts)]
    for key, count in counts[1].items():
        assert 0.11 < counts[0][key] / count < 0.3, key
    # What follows from the photograph, and what is said whatever is asked, always trains.
    assert not [t for t in held_out if t.topic in ("visual", "red_flag", "outside", "certainty")]


def test_what_a_set_holds_is_counted(texts: list[Instruction]) -> None:
    figures = statistics(texts)
    assert figures["languages"] == dict(Counter(t.language for t in texts).most_common())
    assert figures["topics"]["driving"] > 100
    assert figures["grounded"] == pytest.approx(
        sum(t.is_grounded for t in texts) / len(texts), abs=0.001
    )
    assert 0.15 < figures["held_out"] < 0.25
    told = card(texts)
    for subset, row in figures["subsets"].items():
        assert f"| {subset} | {row['count']} | {row['en']} | {row['zh']} |" in told
    assert f"driving {figures['topics']['driving']}" in told


def test_what_was_written_is_read_back(texts: list[Instruction], tmp_path: Path) -> None:
    lines = [json.dumps(t.to_json(), ensure_ascii=False) for t in texts]
    (tmp_path / "all.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert read_instructions(tmp_path) == texts


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "is not a sample"),
        ('{"text": "a"}', "lacks 'messages'"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "turns must go"),
    ],
)
def test_a_broken_text_is_named_with_its_line(line: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(line)
    with pytest.raises(InputError, match=problem):
        read_instructions(tmp_path)


@pytest.mark.data
def test_medquad_is_cut_to_whole_sentences_and_paired_with_its_own_condition_only() -> None:
    read = read_questions(shared("medquad_eye") / "medquad_eye.jsonl")
    assert len(read) > 400
    for text in read:
        answer = text.messages[1]["content"]
        assert answer.endswith((".", "!"))
        assert len(answer) <= 400
        if text.label:
            assert text.label in named_conditions(text.messages[0]["content"]), text
    assert {t.label for t in read} >= {"glaucoma", "cataract", "dr"}


def names_in(text: Instruction) -> set[str]:
    return set(named_conditions(" ".join(m["content"] for m in text.messages)))


def test_no_pair_contradicts_its_labels(texts: list[Instruction], labelled: Path) -> None:
    """Over all pictures and several epochs: no text speaks of a disease the picture lacks as
    if it had it, and of several diseases each is spoken of."""
    pairing = Pairing(texts)
    records = read_records(labelled)[::4]
    met = 0
    for number, record in enumerate(records):
        labels = picture_labels(record, default_labels())
        for epoch in range(2):
            for language in ("en", "zh"):
                text = pairing.draw(labels, epoch, number, language)
                if text is None or text.topic in ("red_flag", "outside", "certainty"):
                    continue
                met += 1
                spoken = set(text.label.split("+"))
                assert spoken == set(labels)
                if labels == ("normal",):
                    assert "normal" in spoken
                if len(labels) > 1 and text.topic != "visual":
                    for label in labels:
                        name = (
                            CONDITIONS[label].name_zh
                            if language == "zh"
                            else CONDITIONS[label].name
                        )
                        assert name.lower() in text.messages[1]["content"].lower()
                if text.topic == "visual":
                    shown = names_in(text) & set(DISEASES)
                    assert shown <= set(labels)
    assert met > 1.7 * len(records)


def test_over_epochs_a_picture_meets_many_texts_and_the_seed_repeats_them(
    texts: list[Instruction],
) -> None:
    pairing, again, other = (Pairing(texts, seed) for seed in (0, 0, 1))
    drawn = [pairing.draw(("dr",), epoch, 5, "en") for epoch in range(30)]
    assert len({d.group for d in drawn if d}) > 8
    assert drawn == [again.draw(("dr",), epoch, 5, "en") for epoch in range(30)]
    assert drawn != [other.draw(("dr",), epoch, 5, "en") for epoch in range(30)]
    conversations = sum(d.subset == "conversations" for d in drawn if d)
    assert 2 <= conversations <= 16


def test_what_is_said_of_a_picture_is_not_drowned_by_the_library(
    texts: list[Instruction],
) -> None:
    pairing = Pairing(texts)
    drawn = Counter(
        "visual" if d.topic == "visual" else "plain" if d.plain else "library"
        for d in (pairing.draw(("dr",), epoch, 5, "en") for epoch in range(300))
        if d and d.subset != "conversations"
    )
    assert min(drawn[k] for k in ("visual", "plain", "library")) > 50
    rng = random.Random(0)
    alone = EvenPool(t for t in texts if not t.needs_photograph)
    shown = [alone.draw(rng) for _ in range(100)]
    assert not [t for t in shown if t and "The photograph shows" in t.messages[1]["content"]]
    assert EvenPool([]).draw(rng) is None


def test_the_labels_that_a_picture_is_paired_by() -> None:
    zero = dict.fromkeys(DEFAULT_LABELS, 0)

    def labels(**shown: int) -> tuple[str, ...]:
        return picture_labels(Record(Path("a.jpg"), "p", {**zero, **shown}), default_labels())

    assert labels(normal=1) == ("normal",)
    assert labels(dr=1, amd=1) == ("dr", "amd")
    assert labels() == ("other",)
    assert picture_labels(Record(Path("a.jpg"), "p", {"dr": 0}), default_labels()) == ()


ALPACA = [
    [
        {
            "instruction": "What is a cataract?",
            "input": "",
            "output": "A clouding of the lens.",
            "history": [["You are an eye doctor.", "Yes."]],
        },
        {
            "instruction": "Please, could you tell me what is a cataract?",
            "input": "",
            "output": "A clouding of the lens.",
            "history": [],
        },
    ],
    [
        {
            "instruction": "And how is it treated?",
            "input": "",
            "output": "By surgery, in time.",
            "history": [
                ["You are an eye doctor.", "Yes."],
                ["Which disease is it?", "A cataract may be suspected."],
            ],
        },
        {
            "instruction": "Which disease is it?",
            "input": "",
            "output": "A cataract may be suspected.",
            "history": [["You are an eye doctor.", "Yes."]],
        },
    ],
]

YEARS = """\
id=1
https://www.example.com/talk/1
Doctor faculty
北京同仁医院 眼科
Description
疾病： 青光眼
病情描述： 我叫王小明，2019年3月5日检查眼压高，电话13812345678。
希望获得的帮助： 需要手术吗？
患病时长： 半年内
Dialogue
医生： 你好。
医生： 视野查了吗？
病人： 查了，
有缺损。
Description
病情描述： 补充：母亲也有青光眼。
Dialogue
医生： 建议继续用药并复查。
id=2
https://www.example.com/talk/2
Description
疾病： 白内障
Dialogue
"""


def read(path: Path, text: str, **options: bool) -> Dialogues:
    path.write_text(text, encoding="utf-8")
    return read_dialogues(path, options.get("keep", False), options.get("drop", False))


def test_the_alpaca_form_nested_or_one_after_another(tmp_path: Path) -> None:
    nested = json.dumps(ALPACA)
    following = "\n".join(json.dumps(part) for part in ALPACA)
    for text in (nested, following):
        found = read(tmp_path / "sample.json", text)
        assert found.records == 4
        assert found.repeated == 1  # the first turn of the conversation, as a record of its own
        assert found.wordings == 1
        talks = [s for s in found.samples if len(s.messages) == 4]
        assert talks[0].messages[0]["content"] == "Which disease is it?"
        assert len(found.samples) == 3
        assert len(read(tmp_path / "sample.json", text, drop=True).samples) == 2
    groups = defaultdict(list)
    for sample in found.samples:
        groups[sample.group].append(sample)
    # Both wordings of one answer are of one group, so a split cannot part them.
    assert sorted(map(len, groups.values())) == [1, 2]


def test_dialogues_by_year(tmp_path: Path) -> None:
    found = read(tmp_path / "2019.txt", YEARS)
    assert found.records == 2
    assert found.without_turns == 1
    (talk,) = found.samples
    contents = [m["content"] for m in talk.messages]
    assert [m["role"] for m in talk.messages] == ["user", "assistant"] * 2
    assert contents[1] == "你好。 视野查了吗？"
    assert "有缺损" in contents[2]
    assert "母亲也有青光眼" in contents[2]
    assert "半年内" not in contents[0]
    joined = " ".join(contents)
    assert not any(trace in joined for trace in ("王小明", "13812345678", "2019年"))
    assert found.identifiers == 3
    assert "王小明" in str(read(tmp_path / "2019.txt", YEARS, keep=True).samples[0].messages)
    assert "3 names" not in read(tmp_path / "2019.txt", YEARS, keep=True).summary()


def test_a_dialogue_carries_the_one_condition_that_its_record_names(tmp_path: Path) -> None:
    (talk,) = read(tmp_path / "2019.txt", YEARS).samples
    assert talk.label == "glaucoma"
    others = {
        "疾病： 青光眼": "疾病： 眼睛不适",  # none: 青光眼 is named by the patient's own words only
        "有缺损。": "有缺损，还有白内障。",  # two conditions in one talk
        "建议继续用药并复查。": "您就是青光眼，继续用药。",  # certain
    }
    for old, new in others.items():
        (other,) = read(tmp_path / "2019.txt", YEARS.replace(old, new)).samples
        assert other.label == ""
    found = read(tmp_path / "sample.json", json.dumps(ALPACA))
    assert Counter(s.label for s in found.samples) == {"cataract": 2, "": 1}


def test_a_dialogue_without_a_label_stands_beside_no_photograph(tmp_path: Path) -> None:
    """Before, any conversation without a label was drawn for any photograph."""
    text = YEARS.replace("疾病： 青光眼", "疾病： 眼睛不适")
    found = read(tmp_path / "2019.txt", text).samples
    assert "青光眼" in str(found[0].messages)
    flag = replace(found[0], label=ANY, topic="red_flag")
    for texts, expected in ((found, []), ([*found, flag], [flag])):
        pairing = Pairing(texts)
        for labels in (("normal",), ("glaucoma",), ("dr", "amd")):
            drawn = [pairing.draw(labels, epoch, 0, "zh") for epoch in range(60)]
            assert all(text in expected for text in drawn if text is not None)
            assert any(drawn) == bool(expected)


def test_a_doctors_reply_above_the_dialogue_is_kept(tmp_path: Path) -> None:
    above = YEARS.replace("患病时长： 半年内\n", "患病时长： 半年内\n医生：\n眼压多少？\n")
    (talk,) = read(tmp_path / "2019.txt", above).samples
    assert talk.messages[1]["content"] == "眼压多少？ 你好。 视野查了吗？"


def test_who_writes_twice_and_what_the_library_says_is_found(
    texts: list[Instruction], tmp_path: Path
) -> None:
    again = YEARS.replace("id=1", "id=9").replace("建议继续用药", "建议您继续用药")
    long = "眼压两年来一直高，滴眼药水以后降到二十左右，最近视野有些缺损。"
    first = read(tmp_path / "a.txt", YEARS.replace("有缺损。", long)).samples
    second = read(tmp_path / "b.txt", again.replace("有缺损。", long)).samples
    known = next(t for t in texts if t.group == "dr/definition" and not t.is_grounded)
    copied = replace(known, source="elsewhere", group="elsewhere/1")
    assert first[0].group != second[0].group
    kept, repeats = without_repeats(texts, [*first, *second, copied])
    assert repeats == 1
    assert len(kept) == 2
    assert kept[0].group == kept[1].group


def test_a_stock_phrase_makes_no_two_patients_one(tmp_path: Path) -> None:
    """What a platform has every doctor say would else put all dialogues on one side."""
    phrase = "以上建议仅供参考，具体诊断需要当面见到医生以后才能做出，请及时到医院就诊。"
    said = YEARS.split("id=2")[0].replace("建议继续用药并复查。", phrase)
    complaints = (
        "左眼看近不清楚",
        "右眼流泪怕光",
        "双眼干涩发痒",
        "夜里开车眩光",
        "看直线变弯",
        "眼皮跳",
        "头痛",
    )
    talks = []
    for number, complaint in enumerate(complaints):
        told = re.sub(r"(?<=病情描述： )我叫.*", complaint * 4, said).replace(
            "id=1", f"id={number}"
        )
        talks += read(tmp_path / f"{number}.txt", told).samples
    kept, _ = without_repeats([], talks)
    assert len({t.group for t in kept}) == len(complaints)
    assert len({t.group for t in without_repeats([], talks[:3])[0]}) == 1
    assert validate(kept) == []


def test_near_duplicates_are_found_in_both_languages() -> None:
    said = [
        "theopticnervecarriesthepicturetothebrain",
        "theopticnervecarriespicturestothebrain",
        "laserisatreatmentthatsealsleakingvessels",
        "糖尿病视网膜病变是糖尿病引起的小血管损害",
        "糖尿病视网膜病变是由糖尿病引起的小血管损害",
    ]
    assert similar(said) == [(0, 1), (3, 4)]


_FORM = (
    "疾病：白内障 内容：病情描述（发病时间、主要症状、就诊医院等）：左眼模糊一年"
    "曾经治疗情况和效果：用过眼药水想得到怎样的帮助:要不要手术化验、检查结果：无"
)
OLDEST = f"""\
id=7
https://www.example.com/talk/7

Doctor faculty
某市眼科医院 眼科

Description
{_FORM}

Dialogue
医生：
影响生活就可以手术。
病人：
图片
病人：
谢谢云波大夫
"""

NEWEST = """\
id=8
https://www.example.com/talk/8

Doctor faculty
某市眼科医院 眼科

Description
疾病： 
青光眼
病情描述： 
眼压高
希望提供的帮助：需要用药吗？
过敏史： 
无（2020-03-25填写）
医生已经通过语音回答了您的问题，请及时收听。： 

Dialogue
医生：
先查视野。
病人：
好的，查完再来。

Diagnosis and suggestions
病情摘要及初步印象：
青光眼待查
总结建议：
带着视野报告复诊
"""


def test_the_forms_of_other_years(tmp_path: Path) -> None:
    """The fields in one line, with other names, on lines of their own, and a closing form."""
    (oldest,) = read(tmp_path / "2010.txt", OLDEST).samples
    assert [m["content"] for m in oldest.messages] == [
        "白内障 左眼模糊一年 用过眼药水 要不要手术",
        "影响生活就可以手术。",
    ]
    (newest,) = read(tmp_path / "2020.txt", NEWEST).samples
    assert [m["content"] for m in newest.messages] == [
        "青光眼 眼压高 需要用药吗？",
        "先查视野。",
        "好的，查完再来。",
        "带着视野报告复诊",
    ]


def test_a_conversation_whose_turns_end_in_a_line_break(tmp_path: Path) -> None:
    """As in the published file; each turn is there again as a record of its own."""
    role, first = ["Play a doctor.", "Yes."], ["Which disease?\n", "Perhaps a cataract.\n"]
    records = [
        {"instruction": first[0], "input": "", "output": first[1], "history": [role]},
        {
            "instruction": "What next?\n",
            "input": "",
            "output": "See a doctor.\n",
            "history": [role, first],
        },
    ]
    found = read(tmp_path / "sample.json", json.dumps(records))
    assert found.repeated == 1
    assert len(found.samples) == 1


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("我叫李华，住在广东省广州市", ["李华", "广东"]),
        ("谢谢云波大夫，徐建江医生在宝庆路19号出诊", ["云波", "徐建江", "宝庆路"]),
        ("09年10月份开始", ["09年"]),
        ("请联系王医生，微信：abc12345", ["王医生", "abc12345"]),
        ("See www.clinic.org or mail a.b@c.org", ["clinic.org", "a.b@c.org"]),
        ("Seen on 3 May 2021 by Dr. Smith", ["May 2021", "Smith"]),
    ],
)
def test_identifiers_are_taken_out(text: str, kept: list[str]) -> None:
    clean, count = redact(text)
    assert count == len(kept)
    assert not any(trace in clean for trace in kept)


def test_a_file_without_conversations_is_refused(tmp_path: Path) -> None:
    for text, problem in (("[]", "holds no conversation"), ("[{]", "line 1 is not JSON")):
        with pytest.raises(InputError, match=problem):
            read(tmp_path / "a.json", text)
