"""Answers to what is asked of this reading, or of the program: no entry of the library has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .. import knowledge
from ..conditions import NORMAL, LabelSet
from ..findings import Findings
from ..wording import joined, percent
from .parts import NO_PHOTOGRAPH, AnswerPart, found_in, what_to_do
from .question import Question

#: Of these the photograph says nothing.
OF_PROGRAM = frozenset({"abilities", "accuracy", "where", "quality"})

_ABILITIES = (
    "It is a program and no doctor. It reads a fundus photograph for {}, shows where it looked, "
    "answers questions about the eye from checked statements, and writes letters and summaries.",
    "这是程序，不是医生。它在眼底照片上检测{}，显示依据的区域，"
    "依据经过核对的资料回答眼科问题，并可写信和总结。",
)
_WHERE = (
    "The heat map of a condition shows which parts of the photograph spoke for it: /heatmap and "
    "its name at the prompt, or `ophglm classify --heatmaps FOLDER`. It is a hint and outlines no "
    "lesion.",
    "热力图显示照片的哪些部分支持某一疾病：在提示符下输入 /heatmap 和病名，"
    "或用 `ophglm classify --heatmaps 文件夹`。它只是提示，并不勾画病灶。",
)
_GRADABLE = (
    "It passed the checks of size, brightness, colour, sharpness and of how much of the retina is "
    "in the picture, so it was graded.",
    "照片的大小、亮度、颜色、清晰度和视网膜范围均通过检查，因此可以判读。",
)
_MEASURED = (
    "On photographs of test patients its AUC for {} was {:.2f}; at the threshold it found {} of "
    "those who have it and cleared {} of the others.",
    "在测试患者的照片上，{}的AUC为{:.2f}；按阈值检出患者的{}，排除非患者的{}。",
)
_NOT_MEASURED = (
    "This model's card has no figures on that.",
    "该模型的说明卡没有这方面的数据。",
)
_CARD = ("model card", "模型说明卡")
_MOST_FIGURES = 3


def answer_about_reading(
    question: Question,
    findings: Sequence[Findings],
    labels: LabelSet,
    measured: Mapping[str, Mapping[str, float | None]],
) -> list[AnswerPart]:
    """Answer a question with `about_reading`; see Question, and compose for the rest."""
    asked, language = question.about_reading, question.language
    zh = language == "zh"
    if asked == "abilities":
        names = [labels[d].name_in(language) for d in labels.diseases]
        listed = "、".join(names) if zh else joined(names)
        return [AnswerPart("knowledge", _ABILITIES[zh].format(listed))]
    if asked == "accuracy":
        return _accuracy(question, findings, labels, measured)
    if asked == "where":
        return [AnswerPart("knowledge", _WHERE[zh])]
    if not findings and asked in ("urgency", "severity", "quality"):
        return [AnswerPart("knowledge", NO_PHOTOGRAPH[zh])]
    if asked == "quality":
        said = [f.message or (_GRADABLE[zh] if f.status == "ok" else "") for f in findings]
        return [AnswerPart("finding", sentence) for sentence in said if sentence]
    if asked == "urgency":
        if not any(finding.status == "ok" for finding in findings):
            return [AnswerPart("knowledge", NO_PHOTOGRAPH[zh])]
        fact = what_to_do(findings)
    elif asked == "severity":
        fact = knowledge.on(next(iter(found_in(findings)), NORMAL), "grades")
    else:
        fact = knowledge.general(str(asked))
    return [] if fact is None else [AnswerPart("knowledge", fact.text(language), fact.source)]


def _accuracy(
    question: Question,
    findings: Sequence[Findings],
    labels: LabelSet,
    measured: Mapping[str, Mapping[str, float | None]],
) -> list[AnswerPart]:
    """Say how good the classifier was on test patients, of what is asked about or was found."""
    zh = question.language == "zh"
    wanted = question.conditions or found_in(findings) or labels.diseases
    parts = []
    for label in wanted:
        values = [measured.get(label, {}).get(k) for k in ("auc", "sensitivity", "specificity")]
        auc, found, cleared = values
        if auc is None or found is None or cleared is None:
            continue
        name, shares = labels[label].name_in(question.language), (found, cleared)
        sentence = _MEASURED[zh].format(
            name, auc, *(percent(share, question.language) for share in shares)
        )
        parts.append(AnswerPart("knowledge", sentence, _CARD[zh]))
    return parts[:_MOST_FIGURES] or [AnswerPart("knowledge", _NOT_MEASURED[zh])]
