"""The parts of an answer, and what of them the photographs give by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .. import knowledge as knowledge_base
from ..conditions import NORMAL, LabelSet
from ..findings import Findings
from ..knowledge import Statement
from ..wording import describe, eye_name, sentence_case

KINDS = (
    "red_flag",
    "remark",
    "finding",
    "visual_answer",
    "knowledge",
    "explanation",
    "source",
    "recommendation",
    "document",
)

NO_PHOTOGRAPH = (
    "No photograph was given, so there is nothing to read; name one with --image.",
    "没有给出照片，无法读片；请用 --image 指定照片。",
)


_EYE = (
    ("{} is the {}.", "{}：{}。"),
    (
        "Which eye {} shows is not known from its name; /left or /right says it.",
        "从文件名看不出{}是哪只眼；可用 /left 或 /right 指定。",
    ),
)


@dataclass(frozen=True)
class AnswerPart:
    """A piece of an answer.

    kind: one of KINDS. 'remark' says how the question was taken; 'finding' is what the photograph
    gave; 'visual_answer' what the language model read off it through the fusion module; 'knowledge'
    holds in general, with its source; 'explanation' is the language model's; 'source' is what a
    number in brackets in it stands for; 'recommendation' says what to do next, with its source;
    'document' is a letter or a summary.
    """

    kind: str
    text: str
    source: str | None = None


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
        describe(finding, labels, language, photograph_name(findings, index, language))
        for index, finding in enumerate(findings)
    ]


def photograph_name(findings: Sequence[Findings], index: int, language: str) -> str | None:
    """Return what one of two photographs is called in a text; None where there is one."""
    if len(findings) == 1:
        return None
    zh = language == "zh"
    number = f"第{index + 1}张照片" if zh else f"photograph {index + 1}"
    eye = eye_name(findings[index], language)
    if not eye:
        return number
    return f"{number}（{eye}）" if zh else f"{number} ({eye})"


def which_eyes(findings: Sequence[Findings], language: str) -> list[str]:
    """Say of each photograph which eye it shows and how that is known, or that it is not."""
    zh = language == "zh"
    said = []
    for number, finding in enumerate(findings, 1):
        one = len(findings) == 1
        if zh:
            subject = "这张照片" if one else f"第{number}张照片"
        else:
            subject = "the photograph" if one else f"photograph {number}"
        eye = eye_name(finding, language)
        sentence = (_EYE[0] if eye else _EYE[1])[zh].format(subject, eye)
        said.append(sentence_case(sentence))
    return said


def what_to_do(findings: Sequence[Findings]) -> Statement | None:
    """Return the statement on how soon what was found first is seen; None if nothing was read."""
    if all(finding.status != "ok" for finding in findings):
        return None
    return knowledge_base.on(next(iter(found_in(findings)), NORMAL), "urgency")
