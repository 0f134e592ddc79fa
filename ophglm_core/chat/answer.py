"""An answer without the language model: a pure function of question, findings and knowledge.

Its parts are told apart by kind: what is urgent, what the photograph gave (worded by the program
from the encoder's calibrated output), what is generally known (with its source), and what to do
next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from .. import knowledge as knowledge_base
from ..conditions import NORMAL, LabelSet
from ..findings import Findings
from ..knowledge import Statement
from ..knowledge.library import Entry, subjects
from ..knowledge.retrieval import Match
from ..wording import joined, percent, word_count
from .about_reading import OF_PROGRAM, answer_about_reading
from .brief import share_said
from .parts import NO_PHOTOGRAPH, AnswerPart, describe_all, found_in, what_to_do, which_eyes
from .question import Question

#: By language; chosen on tests/benchmarks/dev_questions*.jsonl, of which these keep 98 %, and on
#: questions about other things, of which they leave out four in five (English) and nearly all.
_CONFIDENT = {"en": 0.38, "zh": 0.25}
#: A turn that names no subject is asked of what was spoken of if it can be: of that with less
#: confidence, and with more below this probability of being about eyes. Chosen on
#: tests/benchmarks/dev_conversations*.jsonl and on turns about other things in such conversations.
_FOREIGN, _OF_OTHERS, _OF_SUBJECT = 0.2, 1.6, 0.45
#: Scores that differ by no more are level.
_LEVEL = 0.02
_MARGIN, _MOST_ENTRIES, _MOST_WORDS = 0.35, 3, 120

NO_DOSE = (
    "It gives no doses: how much of a drug this patient takes, and how often, is decided by the "
    "prescribing doctor; ask them or a pharmacist.",
    "本程序不提供剂量：用多少、用几次须由开药医生决定，请询问医生或药师。",
)
_UNREAD = (
    "It does not read single signs or measurements off the photograph, so it cannot say whether "
    "this one shows that; a clinician has to look.",
    "本程序不从照片上读取单个征象或测量值，无法说明这张照片有没有，须由医生判读。",
)
_OF_THE_EYE = (
    " It answers questions about the eye and about fundus photographs.",
    "本程序只回答眼睛和眼底照片方面的问题。",
)
_ONE_EYE = (
    "Only one photograph is open, so there is nothing to compare it with; /left FILE or /right "
    "FILE opens the other eye's.",
    "只打开了一张照片，无法比较；可用 /left 文件 或 /right 文件 打开另一只眼的照片。",
)
_NOTHING_KNOWN = (
    "No checked statement was found that answers this.",
    "没有找到经过核对、能回答这个问题的资料。",
)


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


def compose(
    question: Question,
    findings: Sequence[Findings],
    labels: LabelSet,
    matches: Sequence[Match] = (),
    advise: bool = False,
    measured: Mapping[str, Mapping[str, float | None]] = MappingProxyType({}),
    before: Sequence[Entry] = (),
    about: Sequence[str] = (),
    remit: float = 0.5,
) -> Answer:
    """Compose an answer.

    labels: of the model that gave the findings. matches: what the library has on the question, the
    nearest first. advise: whether it ends with what to do next, which is said once. measured: per
    label, the model's metrics on test patients. before: what the last answer rested on. about: the
    subjects that were spoken of or found. remit: see `remit.within_remit`.
    """
    language = question.language
    found = found_in(findings)
    seen = question.vqa_kind is not None
    sentences = _not_looked_for(question, findings)
    if findings and question.asks_unread:
        sentences.append(_UNREAD[language == "zh"])
    elif findings and (seen or (question.about_photograph and not question.beyond)):
        sentences += describe_all(findings, labels, language)
        sentences += _not_found(question, findings, labels, found)
        if question.vqa_kind == "eye":
            sentences[:0] = which_eyes(findings, language)
        if question.vqa_kind == "compare" and len(findings) == 1:
            sentences[:0] = [_ONE_EYE[language == "zh"]]
    parts = [AnswerPart("finding", sentence) for sentence in sentences]
    facts: list[Statement] = []
    chosen: list[Entry] = []
    if seen:
        # What the photograph shows has been answered; beside it stands what such signs are.
        subject = next(iter(question.conditions), found[0] if found else NORMAL)
        facts = [fact for fact in [knowledge_base.on(subject, "signs")] if fact is not None]
        known = [AnswerPart("knowledge", f.text(language), f.source) for f in facts]
    elif question.about_reading is not None:
        if question.about_reading not in OF_PROGRAM:
            sentences = describe_all(findings, labels, language)
        parts = [AnswerPart("finding", s) for s in sentences]
        known = answer_about_reading(question, findings, labels, measured, before)
    elif question.asks_dose:
        known = [AnswerPart("knowledge", NO_DOSE[language == "zh"])]
    else:
        chosen = choose(matches, question, about, remit)
        fact = knowledge_base.on(chosen[0].subject, chosen[0].topic) if chosen else None
        facts = [fact] if fact is not None else []
        known = [AnswerPart("knowledge", e.text(language), e.source) for e in chosen]
        if not known:
            known = [nothing_known(() if remit < _FOREIGN else matches, language)]
    if seen and not findings:
        known = [AnswerPart("knowledge", NO_PHOTOGRAPH[language == "zh"])]
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


def choose(
    matches: Sequence[Match], question: Question, about: Sequence[str] = (), remit: float = 0.5
) -> list[Entry]:
    """Return the entries to answer with: the nearest, and those that come close to it.

    None if the nearest, or one level with it, is not near enough: then nothing checked is known.
    about, remit: see `compose`.
    """
    nearest = [m for m in matches if matches[0].score - m.score <= _LEVEL]
    best = next((m for m in nearest if m.confidence >= _needed(question, m, about, remit)), None)
    if best is None:
        return []
    words = word_count(best.entry.text(question.language))
    chosen = [best.entry]
    for match in matches:
        if match is best:
            continue
        more = word_count(match.entry.text(question.language))
        near = best.score - match.score <= _MARGIN
        if near and words + more <= _MOST_WORDS and len(chosen) < _MOST_ENTRIES:
            chosen.append(match.entry)
            words += more
    return chosen


def _needed(question: Question, match: Match, about: Sequence[str], remit: float) -> float:
    """Return the confidence from which an entry answers a question."""
    level = _CONFIDENT[question.language] * share_said(question)
    if question.conditions or question.beyond or not about:
        return level
    if remit < _FOREIGN:
        return level * _OF_OTHERS
    return level * _OF_SUBJECT if remit >= 0.5 and match.entry.subject in about else level


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
    else:
        text += _OF_THE_EYE[language == "zh"]
    return AnswerPart("knowledge", text)


def _not_looked_for(question: Question, findings: Sequence[Findings]) -> list[str]:
    """Say of a disease that was asked about that the classifier does not look for it."""
    if not findings and not question.about_photograph:
        return []
    zh = question.language == "zh"
    names = [subjects()[key].name_in(question.language) for key in question.beyond]
    if not names:
        return []
    if zh:
        return [f"分类器不检测{'、'.join(names)}，其读片结果既不能提示也不能排除。"]
    return [
        f"The classifier does not look for {joined(names)}, so its reading neither suggests nor "
        "excludes it."
    ]


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
        outweighed = any(label in f.outweighed for f in gradable)
        if question.language == "zh":
            why = "达到筛查阈值，但正常的概率更高，未予提示" if outweighed else "未达到阈值"
            sentences.append(
                f"{labels[label].name_zh}{why}（模型概率{percent(highest, 'zh')}），"
                "但仅凭照片不能排除。"
            )
        else:
            why = (
                "reaches its threshold for screening but is not flagged beside so probable a "
                "normal retina"
                if outweighed
                else "is below its threshold"
            )
            sentences.append(
                f"The classifier's probability of {labels[label].name} ({percent(highest)}) {why}, "
                "which does not exclude it."
            )
    return sentences
