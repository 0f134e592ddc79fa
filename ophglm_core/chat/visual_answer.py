"""What the language model reads off the photograph itself, through the fusion module.

It comes by another way than the findings do, so agreement is worth saying and a difference even
more. It is quoted as the language model's, never as a finding, and only asked what the fusion
module was trained on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ..conditions import named_conditions
from ..data.vqa import is_answer
from ..findings import Findings
from ..safety.guard import overclaims
from .question import Question

_YES_NO = re.compile(r"\W*(yes\b|no\b(?! sign)|是|否)", re.IGNORECASE)
_COMPARED = {
    True: ", as the classifier does.",
    False: ", which differs from the classifier; let a clinician compare them.",
    None: ".",
}
_COMPARED_ZH = {True: "，与分类器一致。", False: "，与分类器不一致，请由医生核对。", None: "。"}
#: Kinds of questions that "Yes." and "No." are no answer to.
_NO_YES_OR_NO = frozenset({"which", "severity", "eye"})
_NOTHING = re.compile(r"no sign of disease|未见异常", re.IGNORECASE)


class PhotographReader(Protocol):
    """What is needed of runtime.vqa.VqaRuntime."""

    conditions: tuple[str, ...]

    def load(self) -> None: ...
    def in_vocabulary(self, question: str) -> bool: ...
    def soft_tokens(self, question: str, features: Sequence[np.ndarray]) -> np.ndarray: ...
    def answer(
        self, question: str, language: str, features: Sequence[np.ndarray] | None
    ) -> str: ...


class VisualAnswers:
    """Answers read off the photographs of `findings`.

    found: the diseases that reached their threshold.
    """

    def __init__(self, reader: PhotographReader, findings: Sequence[Findings], found: list[str]):
        self.reader, self.found = reader, found
        self._features = [f.features for f in findings if f.features is not None]

    def alone(self, question: Question) -> str:
        """Return what the language model reads, with nothing beside it."""
        zh = question.language == "zh"
        text = self._ask(question)
        if text is None:
            if zh:
                return (
                    "无法就此问题从照片读取答案：照片不可用、问题不属于可读取的类型，"
                    "或未得到有效答案。"
                )
            return (
                "Nothing can be read off the photograph for this question: the photograph cannot "
                "be graded, the question is none of the kinds that can be read off one, or the "
                "answer was no answer."
            )
        if zh:
            return f"语言模型从照片读到：“{text}”（未与分类器核对）"
        return f"The language model reads off the photograph: “{text}” (not checked otherwise)"

    def beside_findings(self, question: Question) -> str | None:
        """Return the answer and whether it agrees with what was found; None if there is none."""
        text = self._ask(question)
        if text is None:
            return None
        zh = question.language == "zh"
        if set(named_conditions(text)) - set(self.found) - set(question.conditions):
            # Quoted, it would name a disease that the findings do not have.
            if zh:
                return "语言模型自行阅片的结果与分类器不一致，请由医生核对。"
            return (
                "The language model's own reading of the photograph differs from the classifier's; "
                "let a clinician compare them."
            )
        agrees = _agrees(text, set(self.found), set(question.conditions))
        if zh:
            return f"语言模型未看分类结果，自行阅片回答：“{text}”{_COMPARED_ZH[agrees]}"
        return f"Not told the findings, the language model answers “{text}”{_COMPARED[agrees]}"

    def soft_tokens(self, question: str) -> np.ndarray | None:
        """Return the photographs' soft tokens [K, H] for a question; None if none is gradable."""
        return self.reader.soft_tokens(question, self._features) if self._features else None

    def _ask(self, question: Question) -> str | None:
        kind = question.vqa_kind
        if kind is None or not self._features or (kind == "compare") != (len(self._features) > 1):
            return None
        if not set(question.conditions) <= set(self.reader.conditions):
            return None
        if kind == "severity" and not set(question.conditions) & set(self.found):
            return None
        if not self.reader.in_vocabulary(question.looked_up):
            return None
        text = self.reader.answer(question.looked_up, question.language, self._features)
        if kind in _NO_YES_OR_NO and _YES_NO.match(text):
            return None
        return text if is_answer(text) and not overclaims(text) else None


def _agrees(text: str, found: set[str], asked: set[str]) -> bool | None:
    """Whether an answer says what was found; None if it says nothing that was looked for."""
    closed = _YES_NO.match(text)
    if closed:
        if not asked:
            return None
        yes = closed[1].lower() in ("yes", "是")
        return yes == bool(asked & found)
    if _NOTHING.search(text):
        return not found
    named = set(named_conditions(text))
    return named <= found | asked if named else None
