"""What two photographs have in common and where they differ, by their findings alone."""

from __future__ import annotations

from collections.abc import Sequence

from ..conditions import LabelSet
from ..findings import Findings
from ..wording import joined, message_in, percent, sentence_case
from .parts import photograph_name


def compare(findings: Sequence[Findings], labels: LabelSet, language: str = "en") -> list[str]:
    """Return sentences that compare two photographs, in 'en' or 'zh'.

    Raises ValueError unless there are two.
    """
    first, second = findings
    zh = language == "zh"
    names = [photograph_name(findings, i, language) or "" for i in (0, 1)]
    unusable = [(n, f) for n, f in zip(names, findings, strict=True) if f.status != "ok"]
    if unusable:
        return [
            f"{name}：{message_in(f, 'zh')}无法比较。"
            if zh
            else f"{sentence_case(name)}: {message_in(f, 'en')} Nothing is compared with it."
            for name, f in unusable
        ]
    sentences = []
    both = [d for d in first.diseases if d in second.diseases]
    if both:
        listed = labels.names(both, language)
        sentences.append(
            f"两张照片均提示：{'、'.join(listed)}。"
            if zh
            else f"Both are flagged for {joined(listed)}."
        )
    for one, other, name in ((first, second, names[0]), (second, first, names[1])):
        alone = [d for d in one.diseases if d not in other.diseases]
        parts = [
            f"{labels[d].name_in(language)}{'（' if zh else ' ('}"
            f"{percent(one.probabilities[d], language)}{'，另一张' if zh else ' against '}"
            f"{percent(other.probabilities[d], language)}{'）' if zh else ')'}"
            for d in alone
        ]
        if parts and zh:
            sentences.append(f"仅{name}提示：{'、'.join(parts)}。")
        elif parts:
            sentences.append(f"Only {name} is flagged for {joined(parts)}.")
    if not sentences:
        sentences.append("两张照片均未提示疾病。" if zh else "Neither is flagged for a disease.")
    if first.grade is not None and second.grade is not None:
        sentences.append(
            f"糖尿病视网膜病变分级建议（ICDR）：{first.grade}级，{second.grade}级。"
            if zh
            else f"The suggested retinopathy grades (ICDR) are {first.grade} and {second.grade}."
        )
    return sentences
