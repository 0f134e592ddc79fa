"""A question with what was answered, as a conversation keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..knowledge.library import Entry
from .parts import AnswerPart
from .question import Question


@dataclass
class Exchange:
    """One turn of a conversation.

    question: as much of what was asked as fitted. task: what `tasks.task_in` made of it. parts: all
    that was shown, also of an answer that was stopped. entries: of the library among them; further:
    those that came after them. complete: False where the answer was stopped. first_part and
    seconds: from the question to the first part and to the end of the answer; None where there was
    neither. asked: all that was asked, where that was longer. subject: what "it" means after it.
    """

    question: Question
    task: str | None = None
    parts: list[AnswerPart] = field(default_factory=list)
    entries: tuple[Entry, ...] = ()
    further: tuple[Entry, ...] = ()
    complete: bool = False
    first_part: float | None = None
    seconds: float | None = None
    asked: str | None = None
    subject: tuple[str, ...] = ()

    def tells(self, kind: str) -> bool:
        """Whether a part of this kind was shown."""
        return any(part.kind == kind for part in self.parts)

    @property
    def text(self) -> str:
        """The question, as it was understood."""
        return self.question.text

    @property
    def whole_text(self) -> str:
        """The question, as it was asked."""
        return self.text if self.asked is None else self.asked

    @property
    def answer(self) -> str:
        """All that was answered, as one text."""
        return " ".join(part.text for part in self.parts)

    @property
    def red_flag(self) -> str | None:
        """What was said of an emergency, or None."""
        return next((part.text for part in self.parts if part.kind == "red_flag"), None)

    @property
    def intent(self) -> str:
        """What was understood, in a word: a task, a kind of question about the photograph, what was
        asked of the reading, 'dose', or 'knowledge'."""
        asked = self.question
        dose = "dose" if asked.asks_dose else None
        return self.task or asked.vqa_kind or asked.about_reading or dose or "knowledge"
