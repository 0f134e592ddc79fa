"""The conversation's prompt: line editing, history, and a few commands."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.history import InMemoryHistory
from rich.text import Text

from ophglm_core.assistant import Conversation
from ophglm_core.errors import OphglmError, UsageError
from ophglm_core.heatmap import overlay
from ophglm_core.labels import BY_KEY, LABELS
from ophglm_core.modelfolder import ModelFolder

from .chat_view import classify_images, show_answer, show_findings, show_notice
from .heatmap_view import show_picture
from .terminal import stderr, stdout

_HELP = """\
/image FILE [FILE]  talk about another photograph, or two
/findings           show the findings again
/heatmap [LABEL]    show where the classifier looked (normal, dr, amd, glaucoma, myopia, cataract)
/clear              forget the conversation, keep the photograph
/exit               leave (Ctrl-D too); Ctrl-C stops an answer"""


def run(conversation: Conversation, folder: ModelFolder) -> None:
    """Read questions and answer them until the user leaves.

    The history is kept in memory only: what is typed here may name a patient.
    """
    show_notice()
    stdout.print(Text("Ask a question; /help shows the commands, Ctrl-D leaves.", style="dim"))
    session: PromptSession[str] = PromptSession(history=InMemoryHistory())
    while True:
        try:
            line = session.prompt("> ").strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if not line:
            continue
        if line in ("/exit", "/quit"):
            return
        try:
            if line.startswith("/"):
                conversation = _command(line, conversation, folder)
            else:
                show_answer(conversation, line)
                stdout.print()
        except KeyboardInterrupt:
            stdout.print(Text("(stopped)", style="dim"))
        except OphglmError as error:
            stderr.print(str(error), markup=False, style="yellow")


def _command(line: str, conversation: Conversation, folder: ModelFolder) -> Conversation:
    name, _, rest = line.partition(" ")
    if name == "/findings":
        show_findings(conversation.findings)
    elif name == "/clear":
        conversation.clear()
        stdout.print(Text("The conversation is forgotten.", style="dim"))
    elif name == "/heatmap":
        _show_heatmaps(conversation, rest.strip())
    elif name == "/image" and rest.strip():
        paths = [Path(p).expanduser() for p in _words(rest)]
        findings = classify_images(folder, paths)
        conversation.clear()
        conversation = replace(conversation, findings=findings)
        show_findings(findings)
    else:
        stdout.print(_HELP, markup=False)
    return conversation


def _show_heatmaps(conversation: Conversation, wanted: str) -> None:
    """Show the map of a label, or of the most probable finding, for each photograph."""
    label = wanted or next(iter(conversation.found), "normal")
    if label not in LABELS:
        raise UsageError(f"'{label}' is not one of {', '.join(LABELS)}.")
    for finding in conversation.findings:
        stdout.print(f"{Path(finding.image).name}: {BY_KEY[label].name}", style="bold")
        if finding.maps is None:
            stdout.print(finding.message or "", markup=False)
        else:
            show_picture(overlay(finding, label))
    stdout.print("What moved the classifier is not always a lesion.", style="dim")


def _words(text: str) -> list[str]:
    # A path with a blank in it can be given bare, as it is dragged into some terminals.
    if Path(text.strip()).expanduser().exists():
        return [text.strip()]
    try:
        return shlex.split(text)
    except ValueError:
        return [text.strip()]
