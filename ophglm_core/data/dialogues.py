"""OphGLM's published texts, read as they are: its sample JSON, and doctor-patient dialogues.

The sample file is JSON in Alpaca form: records of `instruction`, `input`, `output` and `history`
(a list of [question, answer] pairs, of which the first sets the role). Several arrays may be nested
or stand one after another; a conversation appears again with each turn as a record of its own; an
answer stands under several wordings of its question. The dialogues are plain text by year.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..conditions import named_conditions
from ..errors import InputError
from ..files import read_text
from ..safety.guard import states_certainty
from ..wording import is_chinese
from .deidentify import redact
from .instructions import Instruction

_FEWEST_CHARACTERS = 2
#: Fields of the form that patients fill in. Their names changed over the years, and in the first
#: ones all fields stand in one line.
_TOLD = (
    r"疾病|内容|病情描述(?:（[^）]*）)?|曾经治疗情况和效果|现在病情、想获得的帮助"
    r"|想得到怎样的帮助|希望(?:获得|提供|得到)的帮助"
)
_ASIDE = r"化验、检查结果|上次就诊时做过的检查、结果、处置方案|上次找.{0,8}?就诊时间或出院时间"
_FIELD_START = re.compile(rf"(?=(?:{_TOLD}|{_ASIDE})\s*[：:])")
#: What the platform writes into a turn where a picture was sent.
_UPLOAD = re.compile(r"图片|weixin\s*上传|\[link\]|https?://\S+")
_SECTIONS = ("Doctor faculty", "Description", "Dialogue", "Diagnosis and suggestions")
#: What a question is left with when its polite phrases are taken away.
_EMPTY = re.compile(
    r"请问|您好|你好|请|能否|能不能|可以|告诉我|解释一下|介绍一下|详细|一下|吗|呢|谢谢|医生"
    r"|\b(please|could|can|would|you|tell|me|explain|describe|kindly|doctor|hello|hi)\b",
    re.IGNORECASE,
)


@dataclass
class Dialogues:
    """Samples, and what was done on the way to them."""

    samples: list[Instruction] = field(default_factory=list)
    records: int = 0
    repeated: int = 0
    without_turns: int = 0
    wordings: int = 0
    identifiers: int = 0

    def summary(self) -> str:
        """Return the counts as a sentence."""
        return (
            f"{self.records} records, {len(self.samples)} samples; {self.repeated} repeated turns "
            f"of a conversation skipped, {self.without_turns} records without any turn, "
            f"{self.wordings} empty wordings of a question asked otherwise, {self.identifiers} "
            "names, places, dates, links and numbers redacted."
        )


def read_dialogues(path: Path, keep_identifiers: bool, drop_empty_wordings: bool) -> Dialogues:
    """Read a sample file (.json) or a file of dialogues by year (.txt).

    keep_identifiers: leave names, places, dates, links and telephone numbers in.
    drop_empty_wordings: keep one wording of those that differ by polite phrases only.
    Raises InputError if the file cannot be read or holds nothing of either form.
    """
    text = read_text(path)
    result = Dialogues()
    if text.lstrip().startswith(("[", "{")):
        _read_alpaca(path, text, result, drop_empty_wordings)
    else:
        _read_years(path, text, result)
    if not result.samples:
        raise InputError(f"{path} holds no conversation that can be used.")
    if not keep_identifiers:
        result.samples = [_without_identifiers(s, result) for s in result.samples]
    return result


def _without_identifiers(sample: Instruction, result: Dialogues) -> Instruction:
    messages = []
    for message in sample.messages:
        content, count = redact(message["content"])
        result.identifiers += count
        messages.append({**message, "content": content})
    return replace(sample, messages=tuple(messages))


def _read_alpaca(path: Path, text: str, result: Dialogues, drop_empty: bool) -> None:
    conversations: list[list[tuple[str, str]]] = []
    for record in _records(path, text):
        result.records += 1
        question = "\n".join(
            part for part in (record.get("instruction"), record.get("input")) if part
        ).strip()
        answer = str(record.get("output") or "").strip()
        if not question or not answer:
            result.without_turns += 1
            continue
        history = [(str(q).strip(), str(a).strip()) for q, a in (record.get("history") or [])]
        conversations.append([*history[1:], (question, answer)])
    # The record with most turns of a conversation holds all of its turns; the others repeat them.
    seen: set[tuple[str, str]] = set()
    wordings: set[tuple[str, str]] = set()
    for turns in sorted(conversations, key=len, reverse=True):
        if len(turns) == 1 and turns[0] in seen:
            result.repeated += 1
            continue
        if len(turns) > 1 and all(turn in seen for turn in turns):
            result.repeated += 1
            continue
        if len(turns) == 1:
            core = re.sub(r"\W+", "", _EMPTY.sub("", turns[0][0])).lower()
            key = (core, turns[0][1])
            if key in wordings:
                result.wordings += 1
                if drop_empty:
                    continue
            wordings.add(key)
        seen.update(turns)
        _add(result, path, turns, group=turns[0][1] if len(turns) == 1 else turns[0][0])


def _records(path: Path, text: str) -> Iterator[dict[str, Any]]:
    """Yield the records of arrays that may be nested or stand one after another."""
    decoder, position = json.JSONDecoder(), 0
    while True:
        while position < len(text) and text[position] in " \t\r\n,;":
            position += 1
        if position >= len(text):
            return
        try:
            value, position = decoder.raw_decode(text, position)
        except ValueError as error:
            line = text.count("\n", 0, position) + 1
            raise InputError(f"{path}, line {line} is not JSON ({error}).") from None
        yield from _flat(value)


def _flat(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        for item in value:
            yield from _flat(item)
    elif isinstance(value, dict):
        yield value


def _read_years(path: Path, text: str, result: Dialogues) -> None:
    for record in re.split(r"(?m)^(?=id=\d+)", text):
        if not record.startswith("id="):
            continue
        result.records += 1
        turns = _turns(record)
        if not turns:
            result.without_turns += 1
            continue
        number = record.split("\n", 1)[0].strip()
        _add(result, path, turns, group=number, disease=_disease(record))


def _disease(record: str) -> str:
    """Return what a patient's form names as the disease, or ''."""
    parts = _FIELD_START.split(record)
    fields = (re.match(r"疾病\s*[：:]\s*([^\n]*)", part) for part in parts)
    return next((field[1] for field in fields if field), "")


def _turns(record: str) -> list[tuple[str, str]]:
    """Return (patient, doctor) turns; what one person says in a row is one turn.

    A second Description in the middle of a Dialogue is what the patient adds; of the doctor's
    closing form the suggestion is a turn.
    """
    said: list[tuple[str, str]] = []
    speaker = ""
    section = ""
    lines = [part for line in record.splitlines()[1:] for part in _FIELD_START.split(line)]
    for line in map(str.strip, lines):
        if line.startswith(_SECTIONS):
            section, speaker = line, ""
            continue
        marked = re.match(r"(医生|病人|患者)\s*[：:]\s*(.*)", line)
        # A doctor who answers the form itself is written above the Dialogue.
        if marked and section in ("Description", "Dialogue"):
            speaker = "doctor" if marked[1] == "医生" else "patient"
            line = marked[2].strip()
        elif section == "Description":
            field = re.match(rf"(?:{_TOLD})\s*[：:]\s*(.*)", line)
            if field:
                speaker, line = "patient", field[1].strip()
            elif re.match(r"[^：:]{2,12}[：:]", line) or line.endswith(("：", ":")):
                speaker = ""  # another field: age, how long, which hospital
        elif section.startswith("Diagnosis"):
            field = re.match(r"(总结建议|[^：:]{2,12})\s*[：:]\s*(.*)", line)
            if field:
                speaker, line = "doctor" if field[1] == "总结建议" else "", field[2].strip()
        if not line or not speaker or _UPLOAD.fullmatch(line):
            continue
        if said and said[-1][0] == speaker:
            said[-1] = (speaker, f"{said[-1][1]} {line}")
        else:
            said.append((speaker, line))
    while said and said[0][0] != "patient":
        said.pop(0)
    pairs = zip(said[::2], said[1::2], strict=False)
    return [(p, d) for (_, p), (_, d) in pairs if min(len(p), len(d)) >= _FEWEST_CHARACTERS]


def _label(turns: list[tuple[str, str]], disease: str) -> str:
    """Return the one condition that a record names, or '' where it names none or speaks of others
    too: only such a dialogue may stand beside a photograph of that condition.

    disease: the form's field, or ''; then the patient's first words count. A doctor who states a
    disease as certain is plain text: beside a photograph that is not to be learned.
    """
    named = named_conditions(disease or turns[0][0])
    spoken = named_conditions(" ".join(part for turn in turns for part in turn))
    certain = any(states_certainty(answer) for _, answer in turns)
    if len(named) != 1 or not set(spoken) <= set(named) or certain:
        return ""
    return named[0]


def _add(
    result: Dialogues, path: Path, turns: list[tuple[str, str]], group: str, disease: str = ""
) -> None:
    messages = []
    for question, answer in turns:
        messages += [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
    result.samples.append(
        Instruction(
            tuple(messages),
            "conversations" if len(turns) > 1 else "causes_symptoms",
            "dialogue",
            _label(turns, disease),
            "zh" if is_chinese(turns[0][0]) else "en",
            path.name,
            f"{path.name}/{group}",
        )
    )
