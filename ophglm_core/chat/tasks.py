"""Tasks that a conversation does besides answering: a letter, a summary, plainer or other words.

They are put together from the findings and from checked entries, never by the language model, so
that nothing stands in a letter that the photograph did not give.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .. import knowledge
from ..conditions import NORMAL, LabelSet
from ..findings import Findings
from ..wording import is_chinese
from .answer import AnswerPart, describe_all, found_in, what_to_do
from .exchange import Exchange

_TASKS = {
    "greeting": r"^\W*(?:hi|hello|hey|good (?:morning|evening|afternoon)"
    r"|thanks?(?: you)?(?: very much)?|ok(?:ay)?|bye)\W*$"
    r"|^\W*(?:你好|您好|谢谢|多谢|好的|再见)\W*$",
    "letter": r"\b(?:write|draft|prepare|make|compose)\b.{0,30}\b(?:letter|referral|note)\b"
    r"|\bletter (?:to|for) (?:the|my|his|her|a) (?:gp|doctor|physician|referr\w+)|写.{0,8}(?:信"
    r"|转诊单|转诊信)",
    "summary": r"\bsummar(?:y|i[sz]e)\b.{0,30}\b(?:conversation|talk|chat|discussion|so far|this"
    r"|all|everything)\b"
    r"|^\W*summar(?:y|i[sz]e)\W*$|(?:总结|小结|概括).{0,6}(?:对话|谈话|以上|一下|内容)",
    "patient": r"\b(?:explain|say|put|tell|describe)\b.{0,40}\b(?:to (?:a|the|my|this) patient"
    r"|in (?:plain|simple|lay) "
    r"(?:words|english|language|terms)|for a (?:patient|lay\w*))|向(?:患者|病人|家属)(?:解释"
    r"|说明)|用(?:通俗|简单|大白).{0,4}话",
    "colleague": r"\b(?:explain|present|describe|say|report)\b.{0,40}\bto (?:a|my"
    r"|the) (?:colleague|ophthalmologist|consultant|registrar)"
    r"|向(?:同事|同行|上级医师|专科医生)(?:汇报|说明|解释)",
    "shorter": r"^\W*(?:please )?(?:in (?:one|a|a single) sentence|(?:make it )?short(?:er)?"
    r"|briefly|tl;?dr)\W*$"
    r"|^\W*(?:请)?(?:用)?一句话(?:说|概括|总结)?\W*$|^\W*(?:短|简短)(?:一)?点\W*$",
    "more": r"^\W*(?:please )?(?:tell me |say |and )?more(?: (?:about (?:it|this|that)|please"
    r"|detail\w*))?\W*$|^\W*go on\W*$"
    r"|^\W*(?:再|多)(?:详细)?(?:说|讲)(?:一)?(?:点|些)\W*$|^\W*(?:更多|详细(?:一)?点|继续)\W*$",
    "translate": r"^\W*(?:please )?(?:(?:say|repeat|translate) (?:that|it|this) )?(?:in|into"
    r"|to) (?:chinese|mandarin|english)(?: please)?\W*$"
    r"|^\W*(?:请)?(?:用|翻译成)?(?:中文|英文|英语|汉语)(?:说|回答|再说一遍)?\W*$",
}  # fmt: skip
#: How a letter is asked for, by language.
LETTER_REQUEST = {"en": "Write a letter to a colleague", "zh": "给同道写一封信"}
_COMPILED = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _TASKS.items()}


def task_in(text: str) -> str | None:
    """Return the task that a text asks for: 'letter', 'summary', 'patient', 'colleague', 'shorter',
    'more', 'translate' or 'greeting'; None for a question.

    Example: `task_in("Write a letter to the GP")` is 'letter'.
    """
    return next((name for name, pattern in _COMPILED.items() if pattern.search(text)), None)


def do_task(
    task: str, text: str, findings: Sequence[Findings], labels: LabelSet, turns: Sequence[Exchange]
) -> list[AnswerPart]:
    """Do a task; see task_in. turns: of the conversation so far."""
    zh = is_chinese(text)
    if task == "translate":
        zh = not re.search(r"english|英", text, re.IGNORECASE)
    language = "zh" if zh else "en"
    if task == "letter":
        return [AnswerPart("document", _letter(findings, labels, language))]
    if task == "summary":
        return [AnswerPart("document", _summary(findings, labels, turns, language))]
    if task in ("patient", "colleague"):
        return _explanation(task, findings, labels, language)
    if task == "greeting":
        return [AnswerPart("document", _GREETING[zh])]
    last = next((turn for turn in reversed(turns) if turn.entries), None)
    entries = () if last is None else last.further if task == "more" else last.entries
    if not entries:
        return [AnswerPart("knowledge", _NOTHING_BEFORE[zh])]
    parts = [AnswerPart("knowledge", e.text(language), e.source) for e in entries]
    if task == "shorter":
        first = re.split(r"(?<=[.。!?！？])\s*", entries[0].text(language))[0]
        return [AnswerPart("knowledge", first, entries[0].source)]
    return parts


_GREETING = (
    "Ask about the photograph or about the eye, or for a letter, a summary, or plainer words.",
    "可以询问照片或眼病，也可以要求写信、总结或用通俗的话解释。",
)
_NOTHING_BEFORE = (
    "There is nothing further that was checked; ask a question first, or another one.",
    "没有更多经过核对的内容，请先提问或换一个问题。",
)


def _read(findings: Sequence[Findings], labels: LabelSet, language: str) -> str:
    return ("" if language == "zh" else " ").join(describe_all(findings, labels, language))


def _advice(findings: Sequence[Findings], language: str) -> str:
    fact = what_to_do(findings)
    return "" if fact is None else f"{fact.text(language)} [{fact.source}]"


def _letter(findings: Sequence[Findings], labels: LabelSet, language: str) -> str:
    zh = language == "zh"
    if not findings:
        return "没有照片，无法写信。" if zh else "There is no photograph to write about."
    names = ", ".join(Path(f.image).name for f in findings)
    read, advice = _read(findings, labels, language), _advice(findings, language)
    if zh:
        return (
            f"尊敬的同道：\n彩色眼底照片（{names}）由科研辅助程序（{findings[0].model}）阅读。{read}"
            f"\n{advice}\n该程序仅检测上述疾病；结果不构成诊断，请结合病史与检查判断。"
            "\n[姓名、日期、病史由书写者填写]"
        )
    return (
        f"Dear colleague,\nA colour fundus photograph ({names}) was read by a research program "
        f"({findings[0].model}). {read}\n{advice}\nThe program looks for these conditions only, "
        "and its reading is no diagnosis; please judge it with history and examination."
        "\n[name, date and history: to be filled in by the writer]"
    )


def _summary(
    findings: Sequence[Findings], labels: LabelSet, turns: Sequence[Exchange], language: str
) -> str:
    zh = language == "zh"
    lines = [_read(findings, labels, language)] if findings else []
    for turn in turns:
        entries = turn.entries[:1]
        answered = [p.text for p in turn.parts if p.kind != "remark"]
        said = [e.text(language) for e in entries] or answered[:1]
        source = f" [{entries[0].source}]" if entries else ""
        lines.append(f"- {turn.text}{'：' if zh else ': '}{' '.join(said)}{source}")
    return "\n".join(lines) or ("尚无对话。" if zh else "Nothing has been said yet.")


def _explanation(
    task: str, findings: Sequence[Findings], labels: LabelSet, language: str
) -> list[AnswerPart]:
    """Explain the findings: to a patient in plain words, to a colleague with signs and urgency."""
    parts = [AnswerPart("finding", _read(findings, labels, language))] if findings else []
    subject = next(iter(found_in(findings)), NORMAL)
    topics = ("definition", "urgency") if task == "patient" else ("signs", "grades", "urgency")
    for topic in topics:
        fact = knowledge.on(subject, topic)
        if fact is not None:
            plain = fact.plain if task == "patient" and language == "en" else ""
            parts.append(AnswerPart("knowledge", plain or fact.text(language), fact.source))
    return parts
