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
from ..wording import is_chinese, joined, sentences
from .answer import nothing_known
from .exchange import Exchange
from .parts import NO_PHOTOGRAPH, AnswerPart, describe_all, found_in, what_to_do

_TASKS = {
    "hello": r"^\W*(?:hi|hello|hey|good (?:morning|evening|afternoon)|ok(?:ay)?)(?: there)?\W*$"
    r"|^\W*(?:你好|您好|好的)\W*$",
    "thanks": r"^\W*(?:ok(?:ay)?|great|perfect|good|fine|super|lovely)?\W*"
    r"(?:thanks?(?: you)?(?: (?:very|so) much| a lot| mate)?|thx|ty|cheers(?: mate)?|ta)\W*$"
    r"|^\W*(?:(?:好|好的|好嘞|行|嗯|明白|知道)(?:了|吧)?\W*)?(?:谢谢|多谢|感谢|谢)(?:你|您|了|啦)*\W*$",
    "bye": r"^\W*(?:(?:ok(?:ay)?|great|thanks?(?: you)?|thx|ty|cheers|mate)\W+)*"
    r"(?:(?:good)?bye(?: bye)?|cya|see you)\W*$"
    r"|^\W*(?:(?:谢谢|谢啦|谢了|多谢|辛苦了|好的)\W*)*(?:再见|拜拜)\W*$",
    "letter": r"\b(?:write|draft|prepare|make|compose)\b.{0,30}\b(?:letter|referral|note)\b"
    r"|\bletter (?:to|for) (?:(?:the|my|his|her|a) )?(?:gp|doctor|physician|referr\w+)"
    r"|写.{0,8}(?:信|转诊单|转诊信)",
    "summary": r"\bsummar(?:y|i[sz]e)\b.{0,30}\b(?:conversation|talk|chat|discussion|so far|this"
    r"|all|everything)\b"
    r"|^\W*(?:a )?summar(?:y|i[sz]e)(?: it)?(?:,? (?:please|pls))?\W*$"
    r"|^\W*sum (?:(?:it|this|that|all) )*up(?: in (?:one|a|two) (?:line|sentence)s?)?"
    r"(?:,? (?:please|pls))?\W*$"
    r"|(?:总结|小结|概括).{0,6}(?:对话|谈话|以上|一下|内容)",
    "patient": r"\b(?:explain|say|put|tell|describe)\b.{0,40}\b(?:"
    r"(?:to|for) (?:a|the|my|this) patient|in (?:plain|simple|lay) "
    r"(?:words|english|language|terms)|for a (?:patient|lay\w*))"
    r"|^\W*what (?:should|do|can|would|shall) (?:i|we) (?:say to|tell) "
    r"(?:(?:the|my|this) patient|her|him)"
    r"(?: (?:about|of) (?:it|this|that|the (?:result|finding|photograph)s?))?"
    r"(?:,? in (?:one|a) sentence)?\W*$"
    r"|^\W*(?:(?:ta|thanks|thx|ok(?:ay)?|now|and|then)\W+)*(?:the )?(?:same )?for (?:a|the|my) "
    r"patient\b|(?:写成|改成|翻译成)?给(?:患者|病人|家属)看|(?:讲|说|解释)给.{1,6}听"
    r"|(?:怎么|如何)(?:跟|和|对|向)?(?:患者|病人|家属)(?:说|讲|交代|解释)|向(?:患者|病人|家属)(?:解释"
    r"|说明)|用(?:通俗|简单|大白).{0,4}话",
    "colleague": r"\b(?:explain|present|describe|say|report)\b.{0,40}\bto (?:a|my"
    r"|the) (?:colleague|ophthalmologist|consultant|registrar)"
    r"|向(?:同事|同行|上级医师|专科医生)(?:汇报|说明|解释)",
    "shorter": r"^\W*(?:please )?(?:in (?:one|a|a single) sentence|(?:make it )?short(?:er)?"
    r"|briefly|tl;?dr)(?:,? (?:please|pls))?\W*$"
    r"|^\W*(?:请)?(?:用)?一句话(?:说|概括|总结)?\W*$|^\W*(?:短|简短)(?:一)?点\W*$",
    "more": r"^\W*(?:please )?(?:tell me |say |and )?more(?: (?:about (?:it|this|that)|please"
    r"|detail\w*))?\W*$|^\W*go on\W*$"
    r"|^\W*(?:再|多)(?:详细)?(?:说|讲)(?:一)?(?:点|些)\W*$|^\W*(?:更多|详细(?:一)?点|继续)\W*$",
    "points": r"^\W*(?:please )?(?:(?:can|could) you )?(?:(?:make|put|give|show|turn|write) )?"
    r"(?:that|it|this|them|me)?(?: (?:in|into|as))? ?(?:a )?(?:bullet(?:ed)?(?: ?points?| ?list)?"
    r"|list|points)"
    r"(?:,? (?:please|pls))?\W*$"
    r"|^\W*(?:请)?(?:分点|分条|列点|逐条)(?:说|列(?:出|一下)?|回答|写)?\W*$",
    "translate": r"^\W*(?:please )?(?:(?:say|repeat|translate) (?:that|it|this) )?(?:in|into"
    r"|to) (?:chinese|mandarin|english)(?:,? (?:please|pls))?\W*$"
    r"|^\W*(?:请)?(?:用|翻译成)?(?:中文|英文|英语|汉语)(?:说|回答|再说一遍)?\W*$",
}  # fmt: skip
#: How a letter is asked for, by language.
LETTER_REQUEST = {"en": "Write a letter to a colleague", "zh": "给同道写一封信"}
#: What `task_in` returns.
TASKS = frozenset(_TASKS)
_COMPILED = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _TASKS.items()}


def task_in(text: str) -> str | None:
    """Return the task that a text asks for: 'letter', 'summary', 'patient', 'colleague', 'shorter',
    'more', 'points' or 'translate', or 'hello', 'thanks' or 'bye'; None for a question.

    Example: `task_in("Write a letter to the GP")` is 'letter'.
    """
    return next((name for name, pattern in _COMPILED.items() if pattern.search(text)), None)


_OTHER_LANGUAGE = re.compile(r"chinese|mandarin|english|中文|英文|英语", re.IGNORECASE)


def do_task(
    task: str, text: str, findings: Sequence[Findings], labels: LabelSet, turns: Sequence[Exchange]
) -> list[AnswerPart]:
    """Do a task; see task_in. turns: of the conversation so far."""
    zh = is_chinese(text)
    if task == "translate" or (task == "shorter" and _OTHER_LANGUAGE.search(text)):
        zh = not re.search(r"english|英", text, re.IGNORECASE)
    language = "zh" if zh else "en"
    if task in _OF_COURTESY:
        return [AnswerPart("document", _OF_COURTESY[task][zh])]
    if task in ("patient", "colleague") and not findings:
        told = next((turn for turn in reversed(turns) if turn.entries), None)
        if told is None:
            return [AnswerPart("knowledge", NO_PHOTOGRAPH[zh])]
        return _again(told, findings, labels, language)
    if task in _OF_FINDINGS:
        return _of_findings(task, text, findings, labels, turns, language)
    # "In Chinese" and "shorter" are asked of what was said before both.
    said = [turn for turn in turns if turn.task not in _OF_COURTESY]
    short = task == "shorter"
    while said and said[-1].task in ("shorter", "translate", "more", "points"):
        short |= said.pop().task == "shorter"
    last = said[-1] if said else None
    if last is not None and last.task in _OF_FINDINGS:
        if task == "more":
            return _explanation("colleague", findings, labels, language)
        if short:
            return _shortened(str(last.task), findings, labels, language)
        return _of_findings(str(last.task), last.text, findings, labels, said[:-1], language)
    if last is not None and not last.entries and task == "translate":
        return _again(last, findings, labels, language)
    last = next((turn for turn in reversed(said) if turn.entries), None)
    entries = () if last is None else last.further if task == "more" else last.entries
    if not entries:
        return [AnswerPart("knowledge", _NOTHING_BEFORE[zh])]
    if short:
        first = sentences(entries[0].text(language))[0]
        return [AnswerPart("knowledge", first, entries[0].source)]
    if task == "points":
        return [
            AnswerPart("knowledge", sentence, entry.source)
            for entry in entries
            for sentence in sentences(entry.text(language))
        ]
    if task == "translate" and last is not None:
        return _again(last, findings, labels, language)
    return [AnswerPart("knowledge", e.text(language), e.source) for e in entries]


#: What is put together from the findings.
_OF_FINDINGS = frozenset({"letter", "summary", "patient", "colleague"})


def _of_findings(
    task: str,
    text: str,
    findings: Sequence[Findings],
    labels: LabelSet,
    turns: Sequence[Exchange],
    language: str,
) -> list[AnswerPart]:
    if task == "letter":
        return [AnswerPart("document", _letter(findings, labels, language))]
    if task == "summary":
        return [AnswerPart("document", _summary(findings, labels, turns, language))]
    if task == "patient" and findings and _ONE_SENTENCE.search(text):
        return [AnswerPart("finding", _one_sentence(findings, labels, language))]
    return _explanation(task, findings, labels, language)


def _shortened(
    task: str, findings: Sequence[Findings], labels: LabelSet, language: str
) -> list[AnswerPart]:
    """Return a letter, a summary or an explanation of the findings in two sentences or so."""
    zh = language == "zh"
    if not findings:
        return [AnswerPart("knowledge", _NOTHING_BEFORE[zh])]
    if task == "patient":
        return [AnswerPart("finding", _one_sentence(findings, labels, language))]
    read = _read(findings, labels, language)
    if task != "letter":
        return [AnswerPart("finding", read)]
    if zh:
        return [AnswerPart("document", f"尊敬的同道：{read}此为程序读片，不是诊断，请检查判断。")]
    written = f"Dear colleague, {read[:1].lower()}{read[1:]} A program read it; please examine."
    return [AnswerPart("document", written)]


def _again(
    turn: Exchange, findings: Sequence[Findings], labels: LabelSet, language: str
) -> list[AnswerPart]:
    """Say once more, in a language, what was answered."""
    parts = [AnswerPart("knowledge", e.text(language), e.source) for e in turn.entries]
    if any(part.kind == "finding" for part in turn.parts):
        parts.insert(0, AnswerPart("finding", _read(findings, labels, language)))
    return parts or [nothing_known((), language)]


_ONE_SENTENCE = re.compile(r"(?:one|a) sentence|一句话", re.IGNORECASE)


def _one_sentence(findings: Sequence[Findings], labels: LabelSet, language: str) -> str:
    """Return what the photographs gave, for a patient, in a sentence."""
    names = [labels[label].name_in(language) for label in found_in(findings)]
    zh = language == "zh"
    if all(finding.status != "ok" for finding in findings):
        return (
            "照片无法判读，需要重新拍摄。"
            if zh
            else "The photograph could not be read and has to be taken again."
        )
    if not names:
        return (
            "程序没有在照片上发现它所检测的疾病，但这不能排除眼病，仍需由医生判断。"
            if zh
            else "The program found none of the diseases that it looks for in the photograph, "
            "which does not exclude one, so a doctor has to judge."
        )
    return (
        f"照片提示可能有{'、'.join(names)}，这只是筛查结果，需要眼科医生检查后才能确定。"
        if zh
        else f"The photograph may show signs of {joined(names)}, which is a suspicion that an eye "
        "doctor has to check."
    )


_OF_COURTESY = {
    "hello": (
        "Hello. Ask about the photograph or about the eye, or for a letter, a summary, or plainer "
        "words.",
        "您好。可以询问照片或眼病，也可以要求写信、总结或用通俗的话解释。",
    ),
    "thanks": (
        "You are welcome. Ask whatever else there is to know.",
        "不客气，还有什么想了解的可以继续问。",
    ),
    "bye": (
        "Goodbye. What was said here does not replace an examination.",
        "再见。这里所说的不能代替医生检查。",
    ),
}
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
