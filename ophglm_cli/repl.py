"""The conversation's prompt: line editing, history, and a few commands."""

from __future__ import annotations

import shlex
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.history import InMemoryHistory
from rich.text import Text

from ophglm_core.assistant import Assistant
from ophglm_core.chat.conversation import Chat
from ophglm_core.errors import OphglmError, UsageError
from ophglm_core.heatmaps import overlay

from .chat_output import show_answer, show_findings, show_notice
from .heatmap_output import show_picture
from .terminal import stderr, stdout

_HELP = """\
/image FILE [FILE]  talk about another photograph, or two
/findings           show the findings again
/heatmap [LABEL]    show where the classifier looked ({labels})
/clear              forget the conversation, keep the photograph
/exit               leave (Ctrl-D too); Ctrl-C stops an answer"""


def run(conversation: Chat, assistant: Assistant) -> None:
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
                _command(line, conversation, assistant)
            else:
                show_answer(conversation, line)
                stdout.print()
        except KeyboardInterrupt:
            stdout.print(Text("(stopped)", style="dim"))
        except OphglmError as error:
            stderr.print(str(error), markup=False, style="yellow")


def _command(line: str, conversation: Chat, assistant: Assistant) -> None:
    name, _, rest = line.partition(" ")
    if name == "/findings":
        show_findings(conversation)
    elif name == "/clear":
        conversation.clear()
        stdout.print(Text("The conversation is forgotten.", style="dim"))
    elif name == "/heatmap":
        _show_heatmaps(conversation, rest.strip())
    elif name == "/image" and rest.strip():
        paths = [Path(p).expanduser() for p in _words(rest)]
        conversation.look_at(assistant.look(*paths))
        show_findings(conversation)
    else:
        stdout.print(_HELP.format(labels=", ".join(conversation.labels)), markup=False)


def _show_heatmaps(conversation: Chat, wanted: str) -> None:
    """Show the map of a label, or of the most probable finding, for each photograph."""
    labels = conversation.labels
    label = wanted or next(iter(conversation.found), labels.keys[0])
    if label not in labels:
        raise UsageError(f"'{label}' is not one of {', '.join(labels)}.")
    for finding in conversation.findings:
        stdout.print(f"{Path(finding.image).name}: {labels[label].name}", style="bold")
        if finding.cams is None:
            stdout.print(finding.message or "", markup=False)
        else:
            show_picture(overlay(finding, labels, label))
    stdout.print("What moved the classifier is not always a lesion.", style="dim")


def _words(text: str) -> list[str]:
    # A path with a blank in it can be given bare, as it is dragged into some terminals.
    if Path(text.strip()).expanduser().exists():
        return [text.strip()]
    try:
        return shlex.split(text)
    except ValueError:
        return [text.strip()]
