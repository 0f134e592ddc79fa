"""How findings and answers look in `ophglm chat`."""

from __future__ import annotations

import re
from pathlib import Path

from rich.cells import cell_len
from rich.text import Text

from ophglm_core.chat.conversation import Chat
from ophglm_core.findings import NOTICE, NOTICE_ZH
from ophglm_core.wording import is_chinese, percent

from .terminal import label_style, stdout, uninterrupted

_HEADINGS = {
    "finding": ("From the photograph: ", "照片所见："),
    "visual_answer": ("Read independently: ", "独立阅片："),
    "knowledge": ("Known in general:", "一般知识："),
    "explanation": ("In other words: ", "解释："),
    "recommendation": ("What to do next: ", "下一步："),
    "document": ("", ""),
}


def show_findings(conversation: Chat) -> None:
    """Print the probabilities of each photograph; a star marks what reached its threshold."""
    for finding in conversation.findings:
        eye = f", {finding.laterality} eye by its file name" if finding.laterality else ""
        stdout.print(Text(f"{Path(finding.image).name}{eye}", style="bold"))
        if finding.status != "ok":
            stdout.print(Text(f"  {finding.message}", style="yellow"))
            continue
        for label in conversation.labels:
            probability = finding.probabilities[label]
            positive = label in finding.positive
            bar = "━" * round(probability * 14) if stdout.is_terminal else ""
            name = conversation.labels[label].name
            line = f"  {name:<33}{percent(probability):>9} {'*' if positive else ' '}"
            stdout.print(Text(f"{line} {bar}".rstrip(), style=label_style(label, positive)))
    stdout.print()


def show_answer(conversation: Chat, question: str) -> None:
    """Print an answer as it comes, its parts under their headings."""
    chinese = is_chinese(question)
    flow = _Flow()
    kind = ""
    try:
        for part in conversation.ask(question):
            if part.kind != kind:
                flow.end_line()
                flow.write(_HEADINGS[part.kind][chinese] if part.kind in _HEADINGS else "", "bold")
            elif part.kind != "knowledge" and not chinese:
                flow.write(" ")
            if part.kind == "knowledge":  # a line each, with its source
                flow.end_line()
                flow.write("- ")
            kind = part.kind
            flow.write(part.text, "bold red" if kind == "red_flag" else "")
            if part.source:
                flow.write(f" [{part.source}]", "dim")
    finally:
        flow.end_line()


class _Flow:
    """Writes text in pieces and breaks lines between words, which rich does only within one print.

    Off a terminal no line is broken.
    """

    def __init__(self) -> None:
        self._width = stdout.width if stdout.is_terminal else None
        self._column = 0

    def write(self, text: str, style: str = "") -> None:
        """Write a piece; a word is a run without blanks, or one wide (Chinese) character."""
        with uninterrupted():
            for word in re.findall(r"\s+|[\u2e80-\uffef]|[^\s\u2e80-\uffef]+", text):
                cells = cell_len(word)
                if self._width is not None and self._column + cells > self._width:
                    self.end_line()
                if self._column or not word.isspace():
                    stdout.print(Text(word, style=style), end="", soft_wrap=True)
                    self._column += cells

    def end_line(self) -> None:
        """End the line, if anything is on it."""
        if self._column:
            stdout.print()
        self._column = 0


def show_notice(question: str = "") -> None:
    """Print the notice that every output carries once."""
    stdout.print(Text(NOTICE_ZH if is_chinese(question) else NOTICE, style="dim"))
