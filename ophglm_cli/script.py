"""Questions that were given beforehand, answered without a person at the keyboard."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import typer

from ophglm_core.chat.report import turn_json
from ophglm_core.errors import InputError, OphglmError, UsageError
from ophglm_core.files import read_text

from .chat_output import show_answer, show_dim, show_notice
from .sitting import Sitting
from .terminal import stdout


def read_questions(path: Path) -> list[str]:
    """Return a file's lines that are not blank. Raises InputError, UsageError if there are none."""
    questions = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not questions:
        raise UsageError(f"{path} holds no question; write one a line.")
    return questions


def answer_all(sitting: Sitting, questions: Sequence[str], as_json: bool) -> int:
    """Answer questions as the turns of one conversation and return the exit code.

    One that cannot be answered is named on stderr, and the next is asked all the same.
    """
    code = 0
    try:
        for number, question in enumerate(questions, 1):
            if len(questions) > 1 and not as_json:
                show_dim(f"> {question}")
            try:
                (_print_json if as_json else show_answer)(sitting, question)
            except OphglmError as error:
                code = code or (1 if isinstance(error, InputError) else 2)
                which = f"question {number}: " if len(questions) > 1 else ""
                typer.echo(f"ophglm: {which}{error}", err=True)
                if as_json:
                    typer.echo(json.dumps({"question": question, "error": str(error)}))
            if number < len(questions) and not as_json:
                stdout.print()
    finally:  # also beneath what had been said before Ctrl-C
        if not as_json:
            show_notice(sitting)
    return code


def _print_json(sitting: Sitting, question: str) -> None:
    sitting.asked = question
    for _ in sitting.chat.ask(question):
        pass
    values = turn_json(sitting.chat, sitting.chat.exchanges[-1])
    typer.echo(json.dumps(values, ensure_ascii=False))
    sitting.keep()
