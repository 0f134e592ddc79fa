"""One use of `ophglm chat`: the conversation, and how the user wants to have it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ophglm_core.assistant import Assistant
from ophglm_core.chat.conversation import Chat
from ophglm_core.chat.report import write_report
from ophglm_core.wording import is_chinese

from .phrases import locale_language


@dataclass
class Sitting:
    """A conversation with its assistant.

    lang: of the interface: 'en', 'zh' or 'auto'. transcript: a file that gets what was said after
    each turn. preview: whether photographs are drawn. asked: the last question.
    first_transcript: the file that the user named, where a later conversation has another.
    """

    assistant: Assistant
    chat: Chat
    lang: str = "auto"
    transcript: Path | None = None
    preview: bool = True
    asked: str = ""
    first_transcript: Path | None = None

    @property
    def language(self) -> str:
        """The language of the interface: 'auto' is that of the last question, else the locale's."""
        if self.lang != "auto":
            return self.lang
        if self.asked:
            return "zh" if is_chinese(self.asked) else "en"
        return locale_language()

    def start_over(self) -> None:
        """Let the transcript of what was said be, as the next conversation gets a file of its own.

        To be called before a conversation is forgotten.
        """
        if self.transcript is None or not self.chat.exchanges:
            return
        first = self.first_transcript = self.first_transcript or self.transcript
        number = 2
        while self.transcript.exists():
            self.transcript = first.with_stem(f"{first.stem}-{number}")
            number += 1

    def keep(self) -> None:
        """Write the transcript, if one is wanted. Raises InputError if it cannot be written."""
        if self.transcript is not None:
            write_report(
                self.chat, self.transcript, self.language, datetime.now(), with_pictures=False
            )
