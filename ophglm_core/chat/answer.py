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
from ..knowledge import Statement
from ..knowledge.library import Entry, subjects
from ..knowledge.retrieval import Match
from ..wording import describe, eye_name, joined, percent, word_count
from .question import Question

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

#: By language; chosen on wordings of the library that were held out, of which these keep 98 %, and
#: on questions about other things, of which they leave out three in four.
_CONFIDENT = {"en": 0.37, "zh": 0.29}
#: Scores that differ by no more are level.
_LEVEL = 0.02
_MARGIN, _MOST_ENTRIES, _MOST_WORDS = 0.35, 3, 120

NO_DOSE = (
    "It gives no doses: how much of a drug this patient takes, and how often, is decided by the "
    "prescribing doctor; ask them or a pharmacist.",
    "本程序不提供剂量：用多少、用几次须由开药医生决定，请询问医生或药师。",
)
_ABILITIES = (
    "It is a program and no doctor. It reads a fundus photograph for {}, shows where it looked, "
    "answers questions about the eye from checked statements, and writes letters and summaries.",
    "这是程序，不是医生。它在眼底照片上检测{}，显示依据的区域，"
    "依据经过核对的资料回答眼科问题，并可写信和总结。",
)
_NO_PHOTOGRAPH = (
    "No photograph was given, so there is nothing to read; name one with --image.",
    "没有给出照片，无法读片；请用 --image 指定照片。",
)
_NOTHING_KNOWN = (
    "No checked statement was found that answers this.",
    "没有找到经过核对、能回答这个问题的资料。",
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


@dataclass(frozen=True)
class Answer:
    """What is said without the language model, by kind, and what it rests on.

    facts: statements on the same, which the small language model was taught to put plainly.
    entries: of the library.
    """

    findings: tuple[AnswerPart, ...] = ()
    knowledge: tuple[AnswerPart, ...] = ()
    recommendation: tuple[AnswerPart, ...] = ()
    facts: tuple[Statement, ...] = ()
    entries: tuple[Entry, ...] = ()


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


def compose(
    question: Question,
    findings: Sequence[Findings],
    labels: LabelSet,
    matches: Sequence[Match] = (),
    advise: bool = False,
) -> Answer:
    """Compose an answer.

    labels: of the model that gave the findings. matches: what the library has on the question, the
    nearest first. advise: whether it ends with what to do next, which is said once.
    """
    language = question.language
    found = found_in(findings)
    seen = question.vqa_kind is not None
    sentences = _not_looked_for(question, findings)
    if findings and (seen or (question.about_photograph and not question.beyond)):
        sentences += describe_all(findings, labels, language)
        sentences += _not_found(question, findings, labels, found)
    parts = [AnswerPart("finding", sentence) for sentence in sentences]
    facts: list[Statement] = []
    chosen: list[Entry] = []
    if seen:
        # What the photograph shows has been answered; beside it stands what such signs are.
        subject = next(iter(question.conditions), found[0] if found else NORMAL)
        facts = [fact for fact in [knowledge_base.on(subject, "signs")] if fact is not None]
        known = [AnswerPart("knowledge", f.text(language), f.source) for f in facts]
    elif question.about_reading is not None:
        parts = [AnswerPart("finding", s) for s in describe_all(findings, labels, language)]
        known = _about_reading(question.about_reading, findings, labels, language)
    elif question.asks_dose:
        known = [AnswerPart("knowledge", NO_DOSE[language == "zh"])]
    else:
        chosen = choose(matches, question)
        fact = knowledge_base.on(chosen[0].subject, chosen[0].topic) if chosen else None
        facts = [fact] if fact is not None else []
        known = [AnswerPart("knowledge", e.text(language), e.source) for e in chosen]
        if not known:
            known = [nothing_known(matches, language)]
    if seen and not findings:
        known = [AnswerPart("knowledge", _NO_PHOTOGRAPH[language == "zh"])]
    next_step = (
        _recommendation(findings, found, chosen, language) if advise and (seen or chosen) else []
    )
    return Answer(
        tuple(parts),
        tuple(known),
        tuple(next_step),
        tuple(facts),
        tuple(chosen),
    )


def _about_reading(
    asked: str,
    findings: Sequence[Findings],
    labels: LabelSet,
    language: str,
) -> list[AnswerPart]:
    """Answer what is asked of this reading, or of the program."""
    if asked == "abilities":
        names = [labels[d].name_in(language) for d in labels.diseases]
        listed = "、".join(names) if language == "zh" else joined(names)
        return [AnswerPart("knowledge", _ABILITIES[language == "zh"].format(listed))]
    if asked == "urgency":
        if not any(finding.status == "ok" for finding in findings):
            return [AnswerPart("knowledge", _NO_PHOTOGRAPH[language == "zh"])]
        fact = what_to_do(findings)
    else:
        fact = knowledge_base.general(asked)
    return [] if fact is None else [AnswerPart("knowledge", fact.text(language), fact.source)]


def choose(matches: Sequence[Match], question: Question) -> list[Entry]:
    """Return the entries to answer with: the nearest, and those that come close to it.

    None if the nearest, or one level with it, is not near enough: then nothing checked is known.
    """
    level = _CONFIDENT[question.language]
    nearest = [m for m in matches if matches[0].score - m.score <= _LEVEL]
    best = next((m for m in nearest if m.confidence >= level), None)
    if best is None:
        return []
    words = word_count(best.entry.text(question.language))
    chosen = [best.entry]
    for match in matches:
        if match is best:
            continue
        more = word_count(match.entry.text(question.language))
        near = best.score - match.score <= _MARGIN and match.entry.subject == best.entry.subject
        if near and words + more <= _MOST_WORDS and len(chosen) < _MOST_ENTRIES:
            chosen.append(match.entry)
            words += more
    return chosen


def nothing_known(matches: Sequence[Match], language: str) -> AnswerPart:
    """Say that no checked statement answers the question, and name the nearest topic."""
    text = _NOTHING_KNOWN[language == "zh"]
    if matches and matches[0].confidence > 0.6 * _CONFIDENT[language]:
        wording = matches[0].entry.questions[language][0]
        text += (
            f"最接近的已知问题：“{wording}”"
            if language == "zh"
            else (f" The nearest question that it can answer: “{wording}”")
        )
    return AnswerPart("knowledge", text)


def _not_looked_for(question: Question, findings: Sequence[Findings]) -> list[str]:
    """Say of a disease that was asked about that the classifier does not look for it."""
    if not findings:
        return []
    zh = question.language == "zh"
    names = [subjects()[key].name_in(question.language) for key in question.beyond]
    if not names:
        return []
    if zh:
        return [f"分类器不检测{'、'.join(names)}，照片结果既不能提示也不能排除。"]
    return [
        f"The classifier does not look for {joined(names)}, so this reading neither suggests nor "
        "excludes it."
    ]


def what_to_do(findings: Sequence[Findings]) -> Statement | None:
    """Return the statement on how soon what was found first is seen; None if nothing was read."""
    if all(finding.status != "ok" for finding in findings):
        return None
    return knowledge_base.on(next(iter(found_in(findings)), NORMAL), "urgency")


def _recommendation(
    findings: Sequence[Findings], found: list[str], chosen: list[Entry], language: str
) -> list[AnswerPart]:
    """Say what to do about what was found first, unless how soon is what was answered."""
    subject = found[0] if found else NORMAL
    said = any(e.subject == subject and e.topic in ("urgency", "follow_up") for e in chosen)
    fact = None if said else what_to_do(findings)
    return [] if fact is None else [AnswerPart("recommendation", fact.text(language), fact.source)]


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
