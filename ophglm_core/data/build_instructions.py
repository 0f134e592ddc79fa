"""The five instruction subsets and the conversations, made from knowledge and from texts."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from .. import knowledge
from ..conditions import CONDITIONS, default_labels
from ..errors import InputError
from ..safety.guard import states_certainty
from ..safety.red_flags import red_flags
from ..wording import is_chinese
from .deidentify import redact
from .instructions import Instruction, lines_of

LANGUAGES = ("en", "zh")
_SUBSET_OF = {
    "visual": "visual_diagnosis",
    "signs": "visual_diagnosis",
    "definition": "causes_symptoms",
    "causes": "causes_symptoms",
    "symptoms": "causes_symptoms",
    "examination": "diagnosis_examination",
    "grades": "diagnosis_examination",
    "treatment": "treatment_prevention",
    "prevention": "treatment_prevention",
    "urgency": "treatment_prevention",
    "prognosis": "prognosis_lifestyle",
    "lifestyle": "prognosis_lifestyle",
}
#: Named otherwise in a question than as a finding.
_NAMES = {
    "normal": ("a normal fundus", "正常眼底"),
    "other": ("another disease of the retina", "其他视网膜疾病"),
}
_THIS = {"en": "this", "zh": "这种情况"}
_FOLLOW_UPS = 3
#: One does not ask how to prevent a normal eye.
_NOT_ASKED = {("normal", "prevention")}
#: No label of a photograph says this condition, so no text about a photograph does.
_WITHOUT_PICTURES = {"hypertensive"}


@cache
def _wordings() -> dict[str, Any]:
    text = (resources.files(__package__) / "instruction_wordings.json").read_text("utf-8")
    wordings: dict[str, Any] = json.loads(text)
    return wordings


def build_instructions(seed: int = 0) -> list[Instruction]:
    """Make the set from the knowledge base, in English and Chinese; the same for one seed."""
    samples: list[Instruction] = []
    for language in LANGUAGES:
        rng = random.Random(f"{seed}:{language}")
        for condition in (*default_labels(), "hypertensive", "other"):
            samples += _instructions(condition, language)
            samples += _conversations(condition, language, rng)
        samples += _whatever_the_picture(language)
    return samples


def _name(condition: str, language: str) -> str:
    if condition in _NAMES:
        return _NAMES[condition][language == "zh"]
    return CONDITIONS[condition].name_in(language)


def _turns(*texts: str) -> tuple[dict[str, str], ...]:
    roles = ("user", "assistant")
    return tuple({"role": roles[i % 2], "content": text} for i, text in enumerate(texts))


def _joined(*texts: str, language: str) -> str:
    return ("" if language == "zh" else " ").join(t for t in texts if t)


def _instructions(condition: str, language: str) -> Iterator[Instruction]:
    """Yield each statement of a condition under each wording of its question."""
    for statement in knowledge.statements(condition):
        wordings = _wordings().get(statement.topic)
        if wordings is None or (condition, statement.topic) in _NOT_ASKED:
            continue
        facts, plain = statement.text(language), statement.plain if language == "en" else ""
        for wording in wordings[language]:
            for named in (False,) if condition == "normal" else (True, False):
                name = _name(condition, language) if named else _THIS[language]
                yield Instruction(
                    _turns(wording.format(name=name), _joined(facts, plain, language=language)),
                    _SUBSET_OF[statement.topic],
                    statement.topic,
                    condition,
                    language,
                    statement.source,
                    f"{condition}/{statement.topic}/{wording}",
                    named,
                    facts,
                    plain,
                )
    if condition in _WITHOUT_PICTURES:
        return
    for wording in _wordings()["visual"][language]:
        said = visual_answer([condition], language)
        yield Instruction(
            _turns(wording, said),
            "visual_diagnosis",
            "visual",
            condition,
            language,
            "labels of the photograph",
            f"{condition}/visual/{wording}",
            named=False,
            facts=said,
            plain=knowledge.meaning(condition) if language == "en" else "",
        )


def visual_answer(conditions: Iterable[str], language: str) -> str:
    """Word what a photograph with these conditions shows, as a suspicion."""
    sentences = []
    for condition in conditions:
        found = CONDITIONS[condition].finding_in(language)
        sentences.append(
            f"照片可见{found}，须由医生核实。"
            if language == "zh"
            else f"The photograph shows {found}; a clinician has to confirm it."
        )
    return ("" if language == "zh" else " ").join(sentences)


def _conversations(condition: str, language: str, rng: random.Random) -> Iterator[Instruction]:
    """Yield conversations that begin with the picture and go on with follow-ups that refer back."""
    if condition in _WITHOUT_PICTURES:
        return
    of = {s.topic: s for s in reversed(knowledge.statements(condition))}
    asked = [
        t
        for t in _wordings()["follow_up"][language]
        if t in of and (condition, t) not in _NOT_ASKED
    ]
    for number, opening in enumerate(_wordings()["visual"][language]):
        turns = [opening, visual_answer([condition], language)]
        chosen = rng.sample(asked, min(_FOLLOW_UPS, len(asked)))
        for topic in chosen:
            turns += [_wordings()["follow_up"][language][topic], of[topic].text(language)]
        if number % 2:
            certainty = knowledge.general("certainty")
            turns += [rng.choice(_wordings()["certainty"][language]), certainty.text(language)]
        yield Instruction(
            _turns(*turns),
            "conversations",
            "follow_up",
            condition,
            language,
            "; ".join(sorted({of[t].source for t in chosen})),
            f"{condition}/conversation/{number}",
            named=False,
        )


def _whatever_the_picture(language: str) -> Iterator[Instruction]:
    """Yield red flags, questions from outside of the field, and questions for certainty."""
    for kind in ("red_flag", "outside", "certainty"):
        for number, question in enumerate(_wordings()[kind][language]):
            if kind == "red_flag":
                said, source = red_flags(question, language) or "", "ophglm red flags"
            else:
                topic = "scope" if kind == "outside" else "certainty"
                statement = knowledge.general(topic)
                said, source = statement.text(language), statement.source
            yield Instruction(
                _turns(question, said),
                "conversations",
                kind,
                "",
                language,
                source,
                f"{kind}/{language}/{number}",
                named=False,
            )


#: Only a text about the condition as such is paired with its pictures, not one about a syndrome
#: that has it as one of many signs.
_BY_NAME = {CONDITIONS[d].name.lower(): d for d in default_labels().diseases} | {
    "diabetic eye problems": "dr",
    "macular degeneration": "amd",
}
_MEDQUAD_TOPICS = {
    "information": "definition",
    "symptoms": "symptoms",
    "causes": "causes",
    "susceptibility": "causes",
    "inheritance": "causes",
    "genetic changes": "causes",
    "frequency": "causes",
    "exams and tests": "examination",
    "treatment": "treatment",
    "prevention": "prevention",
    "outlook": "prognosis",
}


def read_questions(
    path: Path, max_length: int = 400, keep_identifiers: bool = False
) -> list[Instruction]:
    """Read a JSONL of question and answer, such as MedQuAD's eye part.

    Answers are cut to their first sentences, up to `max_length` characters; lists and tables, which
    MedQuAD's answers end in, fall away. An answer that says 'you have' is paired with no picture.
    Raises InputError, with the line, if a record has neither question nor answer.
    """
    samples = []
    for number, line in enumerate(lines_of(path), start=1):
        try:
            values = json.loads(line)
            question, answer = values["question"].strip(), values["answer"].strip()
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(f"{path}, line {number} is not a JSON record ({error}).") from None
        except KeyError as error:
            raise InputError(f"{path}, line {number} lacks {error}.") from None
        topic = _MEDQUAD_TOPICS.get(values.get("qtype", "information"))
        said = first_sentences(answer, max_length)
        if not keep_identifiers:
            question, said = redact(question)[0], redact(said)[0]
        if topic is None or len(said) < 30:
            continue
        about = str(values.get("topic") or "").strip()
        samples.append(
            Instruction(
                _turns(question, said),
                _SUBSET_OF[topic],
                topic,
                "" if states_certainty(said) else _BY_NAME.get(about.lower(), ""),
                "zh" if is_chinese(question) else "en",
                values.get("url") or values.get("source") or path.name,
                f"{path.name}/{about or question}",
            )
        )
    return samples


def first_sentences(text: str, max_length: int) -> str:
    """Return the first whole sentences of a text, up to `max_length` characters."""
    said = ""
    for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z])|(?<=[。！？])", " ".join(text.split())):
        if sentence.endswith("?"):
            continue  # MedQuAD repeats the question before its answer
        if len(said) + 1 + len(sentence) > max_length or not sentence.endswith(
            (".", "!", "。", "！")
        ):
            break
        said = f"{said} {sentence}".strip()
    return said
