"""The five instruction subsets and the conversations, made from knowledge and from texts."""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from .. import knowledge
from ..conditions import CONDITIONS, default_labels
from ..errors import InputError
from ..knowledge.library import Entry, entries, subjects
from ..prompts import prompt_with_passages
from ..safety.guard import states_certainty
from ..safety.red_flags import red_flags
from ..wording import is_chinese, sentences
from .deidentify import redact
from .instructions import ANY, Instruction, lines_of
from .splits import is_held_out

LANGUAGES = ("en", "zh")
_SUBSETS = {
    "visual_diagnosis": ("visual", "signs"),
    "causes_symptoms": ("definition", "causes", "risk", "heredity", "symptoms", "complications"),
    "diagnosis_examination": (
        "examination", "grades", "differential", "screening", "limits", "follow_up",
    ),
    "treatment_prevention": ("treatment", "drugs", "surgery", "prevention", "urgency"),
    "prognosis_lifestyle": (
        "prognosis", "lifestyle", "driving", "work", "sport", "pregnancy", "children", "fasting",
        "travel", "diet", "aids", "family",
    ),
}  # fmt: skip
_SUBSET_OF = {topic: subset for subset, topics in _SUBSETS.items() for topic in topics}
#: Named otherwise in a question than as a finding.
_NAMES = {
    "normal": ("a normal fundus", "正常眼底"),
    "other": ("another disease of the retina", "其他视网膜疾病"),
}
_THIS = {"en": "this", "zh": "这种情况"}
_FOLLOW_UPS = 2
#: Passages in a prompt at most, of which one answers; a conversation has fewer a turn.
_PASSAGES, _PASSAGES_A_TURN = 3, 2
#: One does not ask how to prevent a normal eye.
_NOT_ASKED = {("normal", "prevention")}
#: Where a question's subject may become "it"; {name} is the subject's pattern.
_REFERS_BACK = {
    "en": (
        r"\b(?:with|of|for|from|about|have|has|get|against|cause|causes|prevent|treat|to|by) "
        r"(?P<name>{name})(?=\?$)"
        r"|^(?:Is|Does|Can|Will|How is|How does|Why is|When is) (?P<first>{name})"
        r"(?= (?!surg|drop|pati|treat|oper|laser|inj|med|screen)[a-z])"
    ),
    "zh": r"^(?:得了|有|患)?(?P<name>{name})(?=会|能|可以|是|怎么|如何|要|需要|有|为什么|多久|应)",
}
_IT = {"en": "it", "zh": "这个病"}
#: Words that lose their capital inside a sentence.
_FIRST_WORD = re.compile(
    r"^(?:Is|Are|Do|Does|Did|Can|Could|Will|Would|Should|May|Must|How|What|Which|Who|Why|When"
    r"|Where|Has|Have|At)\b"
)


@cache
def _wordings() -> dict[str, Any]:
    text = (resources.files(__package__) / "instruction_wordings.json").read_text("utf-8")
    wordings: dict[str, Any] = json.loads(text)
    return wordings


def build_instructions(seed: int = 0) -> list[Instruction]:
    """Make the set from the knowledge base, in English and Chinese; the same for one seed.

    From the library each wording of an entry's question, every second one with numbered passages
    in the prompt of which the answer cites the one that it is from; and a conversation that each
    entry opens. From the statements their explanation in plain words.
    """
    samples: list[Instruction] = []
    for language in LANGUAGES:
        rng = random.Random(f"{seed}:{language}")
        for condition in default_labels():
            samples += _statements(condition, language)
            samples += _visual(condition, language)
        samples += _library(language, rng)
        samples += _conversations(language, rng)
        for condition in default_labels():
            samples += _before_a_picture(condition, language, rng)
        samples += _whatever_the_picture(language)
    return samples


def group_of(statement: Entry | knowledge.Statement) -> str:
    """Return what a split keeps together: all that is known of a subject's topic, since old
    statements and entries say the same there in other words."""
    subject = statement.subject if isinstance(statement, Entry) else statement.condition
    return f"{subject}/{statement.topic}"


def _name(condition: str, language: str) -> str:
    if condition in _NAMES:
        return _NAMES[condition][language == "zh"]
    return CONDITIONS[condition].name_in(language)


def _turns(*texts: str) -> tuple[dict[str, str], ...]:
    roles = ("user", "assistant")
    return tuple({"role": roles[i % 2], "content": text} for i, text in enumerate(texts))


def _joined(*texts: str, language: str) -> str:
    return ("" if language == "zh" else " ").join(t for t in texts if t)


def _statements(condition: str, language: str) -> Iterator[Instruction]:
    """Yield each statement of a condition that has plain words, under each wording of its
    question."""
    for statement in knowledge.statements(condition):
        wordings = _wordings().get(statement.topic)
        if wordings is None or not statement.plain or (condition, statement.topic) in _NOT_ASKED:
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
                    group_of(statement),
                    named,
                    facts,
                    plain,
                )


def _visual(condition: str, language: str) -> Iterator[Instruction]:
    for wording in _wordings()["visual"][language]:
        said = visual_answer([condition], language)
        yield Instruction(
            _turns(wording, said),
            "visual_diagnosis",
            "visual",
            condition,
            language,
            "labels of the photograph",
            "",
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


def _label(told: Iterable[Entry]) -> str:
    """Return the photographs that entries of one subject may stand beside, or '' for none.

    Beside a photograph no answer states anything as certain or holds a dose, be it ever so true in
    general: the guard drops such sentences.
    """
    told = list(told)
    subject = told[0].subject
    certain = any(states_certainty(e.text(language)) for e in told for language in LANGUAGES)
    return subject if subject in default_labels() and not certain else ""


def cited(text: str, number: int, language: str) -> str:
    """Return a text with the number of its passage at the end of each sentence."""
    end = r"(?=[。！？])" if language == "zh" else r'(?=[.!?]["”]?(?:\s+[A-Z"“]|$))'
    return re.sub(end, f"[{number}]" if language == "zh" else f" [{number}]", text)


def _beside() -> dict[tuple[str, bool], list[Entry]]:
    """Return the entries by subject and side of the split: no training prompt holds a passage that
    is held out."""
    beside: dict[tuple[str, bool], list[Entry]] = defaultdict(list)
    for entry in entries():
        beside[entry.subject, is_held_out(group_of(entry))].append(entry)
    return beside


def _grounded(
    question: str,
    entry: Entry,
    others: Sequence[Entry],
    most: int,
    language: str,
    rng: random.Random,
) -> tuple[str, str, str]:
    """Return a prompt with passages, as a conversation gives them, the answer that cites the one
    that says it, and the sources of all."""
    further = [e for e in others if e is not entry]
    shown = [entry, *rng.sample(further, min(rng.randrange(most), len(further)))]
    rng.shuffle(shown)
    passages = [e.text(language) for e in shown]
    answer = cited(entry.text(language), shown.index(entry) + 1, language)
    sources = "; ".join(f"[{i}] {e.source}" for i, e in enumerate(shown, start=1))
    return prompt_with_passages(question, passages, language), answer, sources


def _library(language: str, rng: random.Random) -> Iterator[Instruction]:
    """Yield each entry under each wording of its question, every second one with passages."""
    for others in _beside().values():
        for entry in others:
            for number, question in enumerate(entry.questions[language]):
                asked, answer, source = question, entry.text(language), entry.source
                if number % 2:
                    asked, answer, source = _grounded(
                        question, entry, others, _PASSAGES, language, rng
                    )
                yield Instruction(
                    _turns(asked, answer),
                    _SUBSET_OF[entry.topic],
                    entry.topic,
                    _label([entry]),
                    language,
                    source,
                    group_of(entry),
                    question=question if number % 2 else "",
                )


@cache
def _follow_ups(language: str) -> dict[str, list[str]]:
    """Return the follow-up questions of every entry that has any, by its id."""
    found = {entry.id: follow_ups(entry, language) for entry in entries()}
    return {key: questions for key, questions in found.items() if questions}


def follow_ups(entry: Entry, language: str) -> list[str]:
    """Return an entry's questions with "it" for their subject, where the grammar allows it."""
    subject = subjects()[entry.subject]
    if not subject.pattern:  # what any question may be about: nothing to refer back to
        return list(entry.questions[language])
    pattern = _REFERS_BACK[language].replace("{name}", subject.pattern)
    found = []
    for question in entry.questions[language]:
        match = re.search(pattern, question, re.IGNORECASE)
        if match and len(re.findall(subject.pattern, question, re.IGNORECASE)) == 1:
            group = "name" if match["name"] else "first"
            start, end = match.span(group)
            found.append(question[:start] + _IT[language] + question[end:])
    return found


def _follow_up(entry: Entry, language: str, rng: random.Random) -> str:
    """Return a follow-up question that an entry answers: as one goes on asking, or as the next
    thing that comes to mind."""
    question = rng.choice(_follow_ups(language)[entry.id])
    short = _FIRST_WORD.sub(lambda word: word[0].lower(), question)
    return rng.choice(_wordings()["going_on"][language]).format(question=question, short=short)


def _chosen(
    others: Sequence[Entry], told: Sequence[Entry], language: str, rng: random.Random
) -> list[Entry]:
    """Choose entries that follow on those that were told, each of another topic."""
    possible = [e for e in others if e.id in _follow_ups(language)]
    topics = {e.topic for e in told}
    chosen: list[Entry] = []
    for entry in rng.sample(possible, len(possible)):
        if len(chosen) < _FOLLOW_UPS and entry.topic not in topics:
            chosen.append(entry)
            topics.add(entry.topic)
    return chosen


def _conversations(language: str, rng: random.Random) -> Iterator[Instruction]:
    """Yield a conversation that each entry opens, with follow-ups on its subject; every second one
    with passages in each turn."""
    for others in _beside().values():
        for number, entry in enumerate(others):
            following = _chosen(others, [entry], language, rng)
            if not following:
                continue
            told = [entry, *following]
            opening = rng.choice(entry.questions[language])
            asked = [opening, *(_follow_up(e, language, rng) for e in following)]
            turns: list[str] = []
            sources: list[str] = []
            for question, said in zip(asked, told, strict=True):
                if number % 2:
                    turn = _grounded(question, said, others, _PASSAGES_A_TURN, language, rng)
                else:
                    turn = (question, said.text(language), said.source)
                turns += turn[:2]
                sources.append(turn[2])
            yield Instruction(
                _turns(*turns),
                "conversations",
                "conversation",
                _label(told),
                language,
                " | ".join(sources),
                # All of them are on its side of the split.
                group_of(entry),
                question=opening if number % 2 else "",
            )


def _before_a_picture(condition: str, language: str, rng: random.Random) -> Iterator[Instruction]:
    """Yield conversations that begin with the picture and go on with follow-ups that refer back.

    Of statements that train, since what is said of a picture is never held out.
    """
    others = [e for e in _beside()[condition, False] if _label([e])]
    for number, opening in enumerate(_wordings()["visual"][language]):
        told = _chosen(others, [], language, rng)
        turns = [opening, visual_answer([condition], language)]
        for entry in told:
            turns += [_follow_up(entry, language, rng), entry.text(language)]
        if number % 2:
            certainty = knowledge.general("certainty")
            turns += [rng.choice(_wordings()["certainty"][language]), certainty.text(language)]
        if len(turns) == 2:
            continue
        yield Instruction(
            _turns(*turns),
            "conversations",
            "conversation",
            condition,
            language,
            "; ".join(["labels of the photograph", *(e.source for e in told)]),
            "",
            named=False,
        )


def _whatever_the_picture(language: str) -> Iterator[Instruction]:
    """Yield red flags, questions from outside of the field, and questions for certainty."""
    for kind in ("red_flag", "outside", "certainty"):
        for question in _wordings()[kind][language]:
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
                ANY,
                language,
                source,
                "",
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
    for sentence in sentences(" ".join(text.split())):
        if sentence.endswith("?"):
            continue  # MedQuAD repeats the question before its answer
        if len(said) + 1 + len(sentence) > max_length or not sentence.endswith(
            (".", "!", "。", "！")
        ):
            break
        said = f"{said} {sentence}".strip()
    return said
