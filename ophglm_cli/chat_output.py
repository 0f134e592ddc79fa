"""How findings and answers look in `ophglm chat`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.text import Text

from ophglm_core.assistant import Conversation
from ophglm_core.classify import Classifier, collect
from ophglm_core.errors import InputError, UsageError
from ophglm_core.findings import NOTICE, NOTICE_ZH, Findings, is_chinese, percent
from ophglm_core.labels import BY_KEY, LABELS
from ophglm_core.modelfolder import ModelFolder

from .terminal import label_style, stdout

_HEADINGS = {
    "seen": ("From the photograph: ", "照片所见："),
    "read": ("Read independently: ", "独立阅片："),
    "known": ("Known in general:", "一般知识："),
    "explained": ("In other words: ", "解释："),
    "next": ("What to do next: ", "下一步："),
}


def classify_images(folder: ModelFolder, paths: Sequence[Path]) -> list[Findings]:
    """Classify the one or two photographs of a conversation.

    Raises InputError if one cannot be read or is a folder, UsageError if there are more than two.
    """
    if len(paths) > 2:
        raise UsageError("A conversation is about one photograph or two, one of each eye.")
    for path in paths:
        if path.is_dir():
            raise InputError(f"{path} is a folder; name one photograph, or use ophglm classify.")
    images, unusable = collect(paths)
    findings = [*unusable, *Classifier(folder).classify(images, keep_outputs=True)]
    for finding in findings:
        if finding.status == "error":
            raise InputError(finding.message or f"{finding.image} cannot be read.")
    return findings


def show_findings(findings: Sequence[Findings]) -> None:
    """Print the probabilities of each photograph; a star marks what reached its threshold."""
    for finding in findings:
        eye = f", {finding.eye} eye by its file name" if finding.eye else ""
        stdout.print(Text(f"{Path(finding.image).name}{eye}", style="bold"))
        if finding.status != "ok":
            stdout.print(Text(f"  {finding.message}", style="yellow"))
            continue
        for label in LABELS:
            probability = finding.probabilities[label]
            positive = label in finding.positive
            bar = "━" * round(probability * 14) if stdout.is_terminal else ""
            line = f"  {BY_KEY[label].name:<33}{percent(probability):>9} {'*' if positive else ' '}"
            stdout.print(Text(f"{line} {bar}".rstrip(), style=label_style(label, positive)))
    stdout.print()


def show_answer(conversation: Conversation, question: str) -> None:
    """Print an answer as it comes, its parts under their headings."""
    chinese = is_chinese(question)
    flow = _Flow()
    kind = ""
    try:
        for part in conversation.ask(question):
            if part.kind != kind:
                flow.end_line()
                flow.write(_HEADINGS[part.kind][chinese] if part.kind in _HEADINGS else "", "bold")
            elif part.kind != "known" and not chinese:
                flow.write(" ")
            if part.kind == "known":  # a line each, with its source
                flow.end_line()
                flow.write("- ")
            kind = part.kind
            flow.write(part.text, "bold red" if kind == "urgent" else "")
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
