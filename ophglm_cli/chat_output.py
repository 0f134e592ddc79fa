"""How findings and answers look in `ophglm chat`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from ophglm_core.chat.comparison import compare
from ophglm_core.chat.own_words import LINE_STARTS
from ophglm_core.chat.report import heading, threshold_text
from ophglm_core.findings import Findings, notice
from ophglm_core.wording import eye_name, grade_text, is_chinese, message_in, percent

from .phrases import say
from .sitting import Sitting
from .terminal import draws, label_style, stdout, uninterrupted
from .waiting import Spinner

_BAR = 20
#: Of a sentence of Markdown; its groups are rich's styles.
_EMPHASIS = re.compile(
    r"(?P<open>\*\*|__)(?=\S)(?P<bold>.+?)(?<=\S)(?P=open)"
    r"|(?<![\w*])\*(?=[^\s*])(?P<italic>[^*]+?)(?<=\S)\*(?![\w*])"
    r"|`(?P<cyan>[^`]+)`"
)
#: Of a part's words, by its kind.
_STYLES = {"red_flag": "bold red", "remark": "dim"}


def show_findings(sitting: Sitting, eye: str | None = None) -> None:
    """Print the probabilities of each photograph; a star marks what is flagged.

    eye: 'left' or 'right', to show that eye's alone.
    """
    language = sitting.language
    shown = [f for f in sitting.chat.findings if eye in (None, f.laterality)]
    for finding in shown:
        ok = finding.status == "ok"
        facts = [Path(finding.image).name, eye_name(finding, language)]
        facts.append(say("gradable", language) if ok else "")
        stdout.print(Text(" · ".join(filter(None, facts)), style="bold"))
        if not ok:
            stdout.print(Text(f"  {message_in(finding, language)}", style="yellow"))
            continue
        _show_probabilities(sitting, finding)
        if finding.message:
            stdout.print(Text(f"  {message_in(finding, language)}"))
        if finding.grade is not None:
            grade = say("grade", language) + grade_text(finding, language)
            grade += say("referable", language) if finding.referable else ""
            stdout.print(Text(f"  {grade}"))
    if any(f.status == "ok" for f in shown) and sitting.chat.thresholds:
        stdout.print(Text(f"  {say('bar' if _bar_width(sitting) else 'star', language)}", "dim"))
    stdout.print()


def _name_width(sitting: Sitting) -> int:
    labels = sitting.chat.labels
    return max(cell_len(labels[label].name_in(sitting.language)) for label in labels)


def _bar_width(sitting: Sitting) -> int:
    """Return how long the bars may be; 0 off a terminal and where the terminal is narrow."""
    room = stdout.width - _name_width(sitting) - 16
    return min(_BAR, room) if stdout.is_terminal and room >= 8 else 0


def _show_probabilities(sitting: Sitting, finding: Findings) -> None:
    chat, language = sitting.chat, sitting.language
    width = _bar_width(sitting)
    for label in chat.labels:
        probability, threshold = finding.probabilities[label], chat.thresholds.get(label)
        positive = label in finding.positive
        name = set_cell_size(chat.labels[label].name_in(language), _name_width(sitting))
        said = percent(probability, language)
        said = " " * (9 - cell_len(said)) + said
        line = Text(f"  {name}{said} {'*' if positive else ' '} ")
        if width:
            line.append(_bar(probability, threshold, width))
        elif threshold is not None:
            line.append(f"({threshold_text(threshold)})")
        line.rstrip()
        line.stylize(label_style(label, positive))
        stdout.print(line)


def _bar(probability: float, threshold: float | None, width: int) -> str:
    """Return a bar with a mark where the threshold is."""
    cells = list(("━" * round(probability * width)).ljust(width))
    if threshold is not None:
        cells[min(width - 1, round(threshold * width))] = "│"
    return "".join(cells).rstrip()


def show_comparison(sitting: Sitting) -> None:
    """Print what two photographs have in common and where they differ."""
    chat, language = sitting.chat, sitting.language
    first, second = chat.findings
    if first.status == second.status == "ok":
        names = [eye_name(f, language) or Path(f.image).name for f in (first, second)]
        for number, name in enumerate(names, 1):
            stdout.print(Text(f"  {number}: {name}", style="bold"))
        for label in chat.labels:
            name = set_cell_size(chat.labels[label].name_in(language), _name_width(sitting))
            line = Text(f"  {name}")
            for finding in (first, second):
                star = "*" if label in finding.positive else " "
                line.append(f"{percent(finding.probabilities[label], language):>9}{star}")
            stdout.print(line)
    for sentence in compare(chat.findings, chat.labels, language):
        stdout.print(Text(sentence))


def show_answer(sitting: Sitting, question: str) -> None:
    """Print an answer as it comes, its parts under their headings, and keep it."""
    sitting.asked = question
    chat, language = sitting.chat, "zh" if is_chinese(question) else "en"
    flow, kind = _Flow(), ""
    spinner = Spinner(say("step_think", sitting.language))

    def step(name: str) -> None:
        spinner.text = say(f"step_{name}", sitting.language)

    chat.on_step = step
    try:
        with spinner, closing(chat.ask(question)) as parts:
            for part in parts:
                spinner.hide()
                if part.kind != kind:
                    flow.end_line()
                    title = heading(part.kind, language) if part.kind != "red_flag" else ""
                    colon = "：" if language == "zh" else ":" if part.kind == "knowledge" else ": "
                    flow.write(f"{title}{colon}" if title else "", "bold")
                elif part.kind == "explanation" and part.text.startswith(LINE_STARTS):
                    flow.end_line()
                elif part.kind != "knowledge" and language == "en":
                    flow.write(" ")
                if part.kind in ("knowledge", "source"):  # a line each, with its source
                    flow.end_line()
                    flow.write("- " if part.kind == "knowledge" else "")
                kind = part.kind
                for number, line in enumerate(part.text.split("\n")):
                    if number:
                        flow.end_line()
                    for text, style in marked(line) if kind == "explanation" else [(line, "")]:
                        flow.write(text, style or _STYLES.get(kind, ""))
                if part.source:
                    flow.write(f" [{part.source}]", "dim")
                spinner.show(flow.column)
    finally:
        flow.end_line()
        sitting.keep()


def marked(text: str) -> Iterator[tuple[str, str]]:
    """Yield a sentence of Markdown in pieces with their styles, as a terminal can show it.

    Elsewhere its marks stay, as in any file of Markdown.
    """
    end = 0
    for mark in _EMPHASIS.finditer(text) if draws(stdout) and not stdout.no_color else ():
        yield text[end : mark.start()], ""
        name = str(mark.lastgroup)
        yield mark[name], name
        end = mark.end()
    yield text[end:], ""


class _Flow:
    """Writes text in pieces and breaks lines between words, which rich does only within one print.

    Off a terminal no line is broken.
    """

    def __init__(self) -> None:
        self._width = stdout.width if stdout.is_terminal else None
        self.column = 0

    def write(self, text: str, style: str = "") -> None:
        """Write a piece; a word is a run without blanks, or one wide (Chinese) character."""
        with uninterrupted():
            for word in re.findall(r"\s+|[\u2e80-\uffef]|[^\s\u2e80-\uffef]+", text):
                cells = cell_len(word)
                if self._width is not None and self.column + cells > self._width:
                    self.end_line()
                if self.column or not word.isspace():
                    stdout.print(Text(word, style=style), end="", soft_wrap=True)
                    self.column += cells

    def end_line(self) -> None:
        """End the line, if anything is on it."""
        if self.column:
            stdout.print()
        self.column = 0


def show_notice(sitting: Sitting) -> None:
    """Print the notice that every output carries once."""
    stdout.print(Text(notice(sitting.language), style="dim"))


def show_dim(text: str) -> None:
    """Print a line that is about the program and not about the photograph."""
    stdout.print(Text(text, style="dim"))
