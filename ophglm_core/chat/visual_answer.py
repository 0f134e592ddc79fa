"""A second reading: what the language model says when it looks at the photograph itself.

It comes by another way than the findings do, so agreement is worth saying and a difference even
more. It is quoted as the language model's, never as a finding.
"""

from __future__ import annotations

import re
from typing import Protocol

import numpy as np

from .data.vqa import is_answer
from .findings import Findings
from .fusion.photograph import Photograph
from .safety import named_conditions, overclaims

_YES_NO = re.compile(r"\W*(yes\b|no\b(?! sign)|是|否)", re.IGNORECASE)
_COMPARED = {
    True: ", as the classifier does.",
    False: ", which differs from the classifier; let a clinician compare them.",
    None: ".",
}
_COMPARED_ZH = {True: "，与分类器一致。", False: "，与分类器不一致，请由医生核对。", None: "。"}
_NOTHING = re.compile(r"no sign of disease|未见异常", re.IGNORECASE)


class PhotographReader(Protocol):
    """What a reading needs of fusion.reader.Reader."""

    def knows(self, question: str) -> bool: ...
    def rows(self, question: str, photographs: list[Photograph]) -> np.ndarray: ...
    def answer(self, question: str, language: str, photographs: list[Photograph] | None) -> str: ...


class Reading:
    """Readings of the photographs of `findings`."""

    def __init__(self, reader: PhotographReader, findings: list[Findings]):
        self.reader = reader
        self._photographs = [
            Photograph(f.image, f.features) for f in findings if f.features is not None
        ]

    def alone(self, question: str, language: str) -> str:
        """Return what the language model reads, with nothing beside it."""
        zh = language == "zh"
        text = self._ask(question, language)
        if text is None:
            if zh:
                return "无法就此问题从照片读取答案：照片不可用、问题用词不识别，或未得到有效答案。"
            return (
                "Nothing can be read off the photograph for this question: it cannot be graded, "
                "the text encoder does not know the words, or the answer was no answer."
            )
        if zh:
            return f"语言模型从照片读到：“{text}”（未与分类器核对）"
        return f"The language model reads off the photograph: “{text}” (not checked otherwise)"

    def beside(self, question: str, language: str, found: list[str], asked: set[str]) -> str | None:
        """Return the reading and whether it agrees with what was found; None if there is none.

        found: the labels that reached their threshold. asked: those that the question names.
        """
        text = self._ask(question, language)
        if text is None:
            return None
        zh = language == "zh"
        if named_conditions(text) - set(found) - asked:
            # Quoted, it would name a disease that the findings do not have.
            if zh:
                return "语言模型自行阅片的结果与分类器不一致，请由医生核对。"
            return (
                "The language model's own reading of the photograph differs from the classifier's; "
                "let a clinician compare them."
            )
        same = _agrees(text, found, asked)
        if zh:
            return f"语言模型未看分类结果，自行阅片回答：“{text}”{_COMPARED_ZH[same]}"
        return f"Not told the findings, the language model answers “{text}”{_COMPARED[same]}"

    def rows(self, question: str) -> np.ndarray | None:
        """Return the photographs' rows [K, H] for a question; None if none can be graded."""
        return self.reader.rows(question, self._photographs) if self._photographs else None

    def _ask(self, question: str, language: str) -> str | None:
        if not self._photographs or not self.reader.knows(question):
            return None
        text = self.reader.answer(question, language, self._photographs)
        return text if is_answer(text) and not overclaims(text) else None


def _agrees(text: str, found: list[str], asked: set[str]) -> bool | None:
    """Whether a reading says what was found; None if it says nothing that was looked for."""
    closed = _YES_NO.match(text)
    if closed:
        if not asked:
            return None
        yes = closed[1].lower() in ("yes", "是")
        return yes == bool(asked & set(found))
    if _NOTHING.search(text):
        return not found
    named = named_conditions(text)
    return named <= set(found) | asked if named else None
