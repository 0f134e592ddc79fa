"""An answer without the language model: a pure function of question, findings and knowledge.

Its parts are told apart by kind: what is urgent, what the photograph gave (worded by the program
from the encoder's calibrated output), what is generally known (with its source), and what to do
next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .. import knowledge as knowledge_base
from ..conditions import NORMAL, LabelSet
from ..findings import Findings
from ..safety.red_flags import red_flags
from ..wording import describe, percent
from .question import Question

KINDS = (
    "red_flag",
    "finding",
    "visual_answer",
    "knowledge",
    "explanation",
    "recommendation",
)


@dataclass(frozen=True)
class AnswerPart:
    """A piece of an answer.

    kind: one of KINDS. 'finding' is what the photograph gave; 'visual_answer' what the language
    model read off it through the fusion module; 'knowledge' holds in general, with its source;
    'explanation' is the language model's; 'recommendation' says what to do next, with its source.
    """

    kind: str
    text: str
    source: str | None = None


@dataclass(frozen=True)
class Answer:
    """What is said without the language model, by kind, and the statements it rests on."""

    red_flag: AnswerPart | None = None
    findings: tuple[AnswerPart, ...] = ()
    knowledge: tuple[AnswerPart, ...] = ()
    recommendation: tuple[AnswerPart, ...] = ()
    facts: tuple[knowledge_base.Statement, ...] = ()


def found_in(findings: Sequence[Findings]) -> list[str]:
    """Return the diseases that any of the photographs gave, the most probable first."""
    best: dict[str, float] = {}
    for finding in findings:
        for label in finding.diseases:
            best[label] = max(best.get(label, 0.0), finding.probabilities[label])
    return sorted(best, key=lambda label: -best[label])


def describe_all(findings: Sequence[Findings], labels: LabelSet, language: str) -> list[str]:
    """Return a sentence or two for each photograph."""
    return [
        describe(finding, labels, language, _photograph_name(findings, index, language))
        for index, finding in enumerate(findings)
    ]


def _photograph_name(findings: Sequence[Findings], index: int, language: str) -> str | None:
    if len(findings) == 1:
        return None
    zh = language == "zh"
    number = f"第{index + 1}张照片" if zh else f"photograph {index + 1}"
    laterality = findings[index].laterality
    if laterality is None:
        return number
    if zh:
        return f"{number}（据文件名为{'左眼' if laterality == 'left' else '右眼'}）"
    return f"{number} ({laterality} eye by its file name)"


def compose(
    question: Question,
    findings: Sequence[Findings],
    labels: LabelSet,
    first: bool = False,
    explained: bool = True,
) -> Answer:
    """Compose an answer.

    labels: of the model that gave the findings. first: whether it is the conversation's first
    answer, which begins with the findings and ends with what to do next. explained: whether a
    language model goes on from here; if none does, something is said all the same.
    """
    language = question.language
    flag = red_flags(question.text, language)
    if flag:
        # Nothing else: whoever reads this should be on the way and not read on.
        return Answer(red_flag=AnswerPart("red_flag", flag))
    found = found_in(findings)
    parts: list[AnswerPart] = []
    if first or question.about_photograph:
        sentences = describe_all(findings, labels, language)
        sentences += _not_found(question, findings, labels, found)
        parts = [AnswerPart("finding", sentence) for sentence in sentences]
    asked = sorted(question.conditions, key=labels.index)
    conditions = [*question.beyond, *asked] or found or [NORMAL]
    facts = knowledge_base.relevant(question.topics, conditions)
    if not facts and parts and not explained:
        facts = knowledge_base.relevant(["definition"], conditions, 1)
    known = [AnswerPart("knowledge", fact.text(language), fact.source) for fact in facts]
    if not explained and not parts and not known:
        known = [out_of_scope(language)]
    next_step = _recommendation(findings, found, known, language) if first else []
    return Answer(None, tuple(parts), tuple(known), tuple(next_step), tuple(facts))


def out_of_scope(language: str) -> AnswerPart:
    """Return the answer to what nothing checked is known of."""
    scope = knowledge_base.general("scope")
    return AnswerPart("knowledge", scope.text(language), scope.source)


def _recommendation(
    findings: Sequence[Findings], found: list[str], known: list[AnswerPart], language: str
) -> list[AnswerPart]:
    """Say what to do about what was found first, unless that has been said."""
    if all(finding.status != "ok" for finding in findings):
        return []
    said = {part.text for part in known}
    return [
        AnswerPart("recommendation", fact.text(language), fact.source)
        for fact in knowledge_base.statements(found[0] if found else NORMAL)
        if fact.topic == "urgency" and fact.text(language) not in said
    ]


def _not_found(
    question: Question, findings: Sequence[Findings], labels: LabelSet, found: list[str]
) -> list[str]:
    """Say of a condition that was asked about and not found that it was not found."""
    gradable = [f for f in findings if f.status == "ok"]
    if not gradable:
        return []
    sentences = []
    for label in labels.diseases:
        if label not in question.conditions or label in found:
            continue
        highest = max(f.probabilities[label] for f in gradable)
        if question.language == "zh":
            sentences.append(
                f"{labels[label].name_zh}未达到阈值（模型概率{percent(highest, 'zh')}），"
                "但仅凭照片不能排除。"
            )
        else:
            sentences.append(
                f"The classifier's probability of {labels[label].name} ({percent(highest)}) is "
                "below its threshold, which does not exclude it."
            )
    return sentences
