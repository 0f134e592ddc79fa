"""The fine-tuning set: what it holds, how it is read, and how texts and pictures are paired."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from ophglm_core import knowledge
from ophglm_core.conditions import (
    CONDITIONS,
    DEFAULT_LABELS,
    default_labels,
    named_conditions,
)
from ophglm_core.data.build_instructions import build_instructions, read_questions
from ophglm_core.data.deidentify import redact
from ophglm_core.data.dialogues import Dialogues, read_dialogues
from ophglm_core.data.instructions import SUBSETS, Instruction, read_instructions
from ophglm_core.data.pairing import Pairing, picture_labels
from ophglm_core.data.records import Record, read_records
from ophglm_core.data.splits import split_texts
from ophglm_core.data.statistics import statistics, validate
from ophglm_core.errors import InputError

from ...conftest import shared

DISEASES = default_labels().diseases


@pytest.fixture(scope="module")
def texts() -> list[Instruction]:
    return build_instructions()


def test_five_subsets_and_conversations_in_both_languages(texts: list[Instruction]) -> None:
    counts = Counter((t.subset, t.language) for t in texts)
    assert set(counts) == {(s, x) for s in SUBSETS for x in ("en", "zh")}
    assert min(counts.values()) >= 40
    assert any(len(t.messages) > 4 for t in texts)
    kinds = {t.topic for t in texts if t.subset == "conversations"}
    assert kinds == {"follow_up", "red_flag", "outside", "certainty"}


def test_answers_rest_on_the_knowledge_base_and_carry_its_source(texts: list[Instruction]) -> None:
    for text in texts:
        assert text.source
        if text.subset != "conversations" and text.topic != "visual":
            known = {s.text(text.language) for s in knowledge.statements(text.label)}
            assert text.facts in known
            assert text.messages[1]["content"].startswith(text.facts)


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
            {"role": "assistant", "content": "This is definitely glaucoma, says Dr. Smith."},
        ),
        "visual_diagnosis",
        "visual",
        "glaucoma",
        "en",
        "nowhere",
        "bad",
    )
    said = " ".join(validate([*texts, bad]))
    assert "certain" in said
    assert "person" in said
    figures = statistics([*texts, bad, bad])
    assert figures["duplicates"] == 1
    assert figures["count"] == len(texts) + 2


def test_wordings_of_one_group_are_not_parted(texts: list[Instruction]) -> None:
    train, held_out = split_texts(texts, 0)
    assert {t.group for t in train}.isdisjoint(t.group for t in held_out)
    assert 0.14 < len(held_out) / len(texts) < 0.26


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


def test_no_pair_contradicts_its_labels(labelled: Path) -> None:
    """Over all pictures and several epochs: no text speaks of a disease the picture lacks as
    if it had it, and of several diseases each is spoken of."""
    texts = build_instructions()
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


def test_over_epochs_a_picture_meets_many_texts_and_the_seed_repeats_them() -> None:
    pairing, again, other = (Pairing(build_instructions(), seed) for seed in (0, 0, 1))
    drawn = [pairing.draw(("dr",), epoch, 5, "en") for epoch in range(30)]
    assert len({d.group for d in drawn if d}) > 15
    assert drawn == [again.draw(("dr",), epoch, 5, "en") for epoch in range(30)]
    assert drawn != [other.draw(("dr",), epoch, 5, "en") for epoch in range(30)]
    conversations = sum(d.subset == "conversations" for d in drawn if d)
    assert 2 <= conversations <= 16


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


def test_medical_text_is_left_alone(texts: list[Instruction]) -> None:
    for text in texts:
        for message in text.messages:
            assert redact(message["content"]) == (message["content"], 0)


def test_a_file_without_conversations_is_refused(tmp_path: Path) -> None:
    for text, problem in (("[]", "holds no conversation"), ("[{]", "line 1 is not JSON")):
        with pytest.raises(InputError, match=problem):
            read(tmp_path / "a.json", text)
