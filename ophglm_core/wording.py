"""How findings are said, in English and Chinese, without false precision or certainty."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .conditions import NORMAL, LabelSet
from .findings import LIKELY, Findings
from .grading import GRADE_NAMES
from .quality import BLURRED

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def is_chinese(text: str) -> bool:
    """Whether a text has Chinese characters."""
    return re.search(r"[\u4e00-\u9fff]", text) is not None


def percent(probability: float, language: str = "en") -> str:
    """Word a probability without false precision or certainty."""
    if probability >= 0.99:
        return "超过99%" if language == "zh" else "over 99%"
    if probability < 0.01:
        return "不足1%" if language == "zh" else "under 1%"
    return f"{probability * 100:.0f}%"


def counted(number: int) -> str:
    """Return a small number as a word."""
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


def word_count(text: str) -> float:
    """Return a text's length in words; a Chinese character is two thirds of one."""
    chinese = len(re.findall(r"[\u4e00-\u9fff]", text))
    return len(re.findall(r"[A-Za-z0-9'-]+", text)) + chinese / 1.5


_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|(?<=[。！？])")


def sentences(text: str) -> list[str]:
    """Return the sentences of a written text; an abbreviation before a small letter ends none."""
    return list(filter(None, _SENTENCE_END.split(text)))


def joined(parts: Sequence[str]) -> str:
    """Return 'a, b and c'."""
    if not parts:
        return "nothing"
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def sentence_case(text: str) -> str:
    """Return a text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


#: Why a photograph cannot be judged; a reason that is not here is said in English.
_REASONS_ZH = {
    "it is too dark": "过暗",
    "it is too small": "过小",
    "it is blurred": "模糊",
    "it is washed out": "过曝",
    "too little of the retina is in the picture": "可见视网膜过少",
    "it does not look like a colour fundus photograph": "不像彩色眼底照片",
}


_BLURRED_ZH = "照片模糊，可能由白内障引起，也可能是对焦不准。"


def message_in(findings: Findings, language: str) -> str:
    """Return what is to be known of a photograph, such as why it is not graded."""
    message = findings.message or ""
    reason = message.removeprefix("Not graded: ").rstrip(".").split(" (")[0]
    if language == "zh" and message.startswith("Not graded: "):
        return f"未判读：{_REASONS_ZH.get(reason, reason)}。"
    return message.replace(BLURRED, _BLURRED_ZH) if language == "zh" else message


def eye_name(findings: Findings, language: str = "en") -> str:
    """Return which eye it is and how that is known, as in 'left eye by its file name'; '' if it is
    not known."""
    if findings.laterality is None:
        return ""
    left = findings.laterality == "left"
    if language == "zh":
        return ("" if findings.eye_given else "据文件名为") + ("左眼" if left else "右眼")
    return f"{findings.laterality} eye" + ("" if findings.eye_given else " by its file name")


def describe(
    findings: Findings, labels: LabelSet, language: str = "en", name: str | None = None
) -> str:
    """Put findings into one or two sentences that say no more than the picture gave.

    name: of the photograph, where there are two.
    """
    zh = language == "zh"
    subject = name or ("这张照片" if zh else "the photograph")
    if findings.status == "ungradable":
        reason = (findings.message or "").rstrip(".")
        if zh:
            reason = message_in(findings, "zh").rstrip("。")
            return f"{subject}无法用于判读（{reason}），因此没有从中得出任何结论。"
        capital = sentence_case(subject)
        return f"{capital} cannot be judged ({reason}), so nothing is concluded from it."
    likely = [d for d in findings.diseases if findings.probabilities[d] >= LIKELY]
    flagged = [d for d in findings.diseases if findings.probabilities[d] < LIKELY]
    write = _chinese if zh else _english
    said = write(findings, labels, sentence_case(subject), likely, flagged)
    if BLURRED not in (findings.message or ""):
        return said
    return said + (_BLURRED_ZH if zh else f" {BLURRED}")


def _english(
    findings: Findings, labels: LabelSet, subject: str, likely: list[str], flagged: list[str]
) -> str:
    probabilities = findings.probabilities
    sentences = []
    if likely:
        parts = [f"{labels[d].finding} ({percent(probabilities[d])})" for d in likely]
        sentences.append(f"{subject} shows {joined(parts)}.")
    if flagged:
        # At a sensitivity of 85 % many are flagged of whom few have the disease; say so.
        parts = [f"{labels[d].name} ({percent(probabilities[d])})" for d in flagged]
        start = "It is also" if likely else f"{subject} is"
        sentences.append(
            f"{start} flagged at the screening threshold for {joined(parts)}: more likely absent "
            "than present, but to be checked."
        )
    if not findings.diseases and findings.positive:
        sentences.append(
            f"{subject} shows {labels[NORMAL].finding} ({percent(probabilities[NORMAL])} normal)."
        )
        if findings.outweighed:
            parts = [f"{labels[d].name} ({percent(probabilities[d])})" for d in findings.outweighed]
            sentences.append(
                f"At a screening threshold too, but not flagged beside so probable a normal "
                f"retina: {joined(parts)}."
            )
    elif not findings.diseases:
        count = counted(len(labels.diseases))
        sentences.append(
            f"{subject} is uncertain: none of the {count} conditions that it looks for reaches its "
            "threshold, and it cannot be called normal either."
        )
    sentences += _grade(findings, "en")
    sentences += [labels[d].caution for d in likely if labels[d].caution]
    return " ".join(sentences)


def grade_text(findings: Findings, language: str = "en") -> str:
    """Word the suggested grade of diabetic retinopathy with its neighbours' probabilities, as in
    '2, moderate non-proliferative (54%; mild non-proliferative 21%, ...)'; '' without a grade."""
    if findings.grade is None:
        return ""
    names, zh = GRADE_NAMES[language], language == "zh"
    best, probabilities = findings.grade, findings.grade_probabilities
    beside = [g for g in (best - 1, best + 1) if 0 <= g < len(names)]
    parts = [f"{names[g]}{'' if zh else ' '}{percent(probabilities[g], language)}" for g in beside]
    first = percent(probabilities[best], language)
    if zh:
        return f"{best}级，{names[best]}（{first}；{'、'.join(parts)}）"
    return f"{best}, {names[best]} ({first}; {', '.join(parts)})"


def _grade(findings: Findings, language: str) -> list[str]:
    """Say the grade where retinopathy was found; a grade of what was not found says nothing."""
    text = grade_text(findings, language)
    if not text or "dr" not in findings.positive:
        return []
    if language == "zh":
        return [f"糖尿病视网膜病变的分级建议（ICDR分级）：{text}。"]
    return [f"The grade of diabetic retinopathy that it suggests on the ICDR scale is {text}."]


def _chinese(
    findings: Findings, labels: LabelSet, subject: str, likely: list[str], flagged: list[str]
) -> str:
    probabilities = findings.probabilities
    sentences = []
    if likely:
        parts = [f"{labels[d].finding_zh}（概率{percent(probabilities[d], 'zh')}）" for d in likely]
        sentences.append(f"从{subject}看：{'；'.join(parts)}。")
    if flagged:
        parts = [f"{labels[d].name_zh}（概率{percent(probabilities[d], 'zh')}）" for d in flagged]
        start = "另外" if likely else f"{subject}"
        sentences.append(f"{start}按筛查阈值提示复查{'、'.join(parts)}：更可能没有，但需核实。")
    if not findings.diseases and findings.positive:
        sentences.append(
            f"从{subject}看：{labels[NORMAL].finding_zh}"
            f"（概率{percent(probabilities[NORMAL], 'zh')}）。"
        )
        if findings.outweighed:
            parts = [
                f"{labels[d].name_zh}（概率{percent(probabilities[d], 'zh')}）"
                for d in findings.outweighed
            ]
            sentences.append(f"另达到筛查阈值、但因正常的概率较高而未提示：{'、'.join(parts)}。")
    elif not findings.diseases:
        count = len(labels.diseases)
        sentences.append(
            f"从{subject}看：所筛查的{count}种疾病均未达到阈值，但也不能判为正常，结果不确定。"
        )
    sentences += _grade(findings, "zh")
    sentences += [labels[d].caution_zh for d in likely if labels[d].caution_zh]
    return "".join(sentences)
