"""The line that a user types at: keys, completion, history, and the status bar beneath it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.styles import Style

from ophglm_core.errors import InputError

from .commands import COMMANDS, SETTINGS, SWITCH
from .phrases import LANGUAGES, say
from .sitting import Sitting
from .terminal import draws, stderr, stdout

_STYLE = Style.from_dict({"bottom-toolbar": "noreverse fg:ansibrightblack"})


class Prompt:
    """Reads questions and commands. history: whether what is typed is kept for later ones."""

    def __init__(self, sitting: Sitting, history: bool):
        # A dumb terminal, and one whose output goes elsewhere, has the kernel's own line editing.
        self._session: PromptSession[str] | None = None
        if not draws(stdout):
            return
        self._session = PromptSession(
            history=kept_history() if history else InMemoryHistory(),
            multiline=True,  # what is pasted stays whole
            key_bindings=_keys(),
            completer=Commands(sitting),
            complete_while_typing=False,
            prompt_continuation="  ",
            bottom_toolbar=lambda: status(sitting, get_app().output.get_size().columns),
            style=_STYLE,
            reserve_space_for_menu=6,
        )

    def read(self) -> str:
        """Return what is entered, stripped; '' where Ctrl-C cleared the line.

        Raises KeyboardInterrupt on Ctrl-C where there was nothing to clear, EOFError on Ctrl-D.
        """
        if self._session is not None:
            try:
                return self._session.prompt("> ").strip()
            except KeyboardInterrupt:
                if self._session.default_buffer.text:
                    return ""
                raise
        text = self._plain("> ")
        while text.endswith("\\"):
            text = text[:-1] + "\n" + self._plain("  ")
        return text.strip()

    def _plain(self, sign: str) -> str:
        stderr.print(sign, end="")  # not into what goes elsewhere
        return input()


def kept_history() -> History:
    """Return the history of earlier conversations, in a file that only its owner can read.

    Raises InputError if it cannot be written.
    """
    path = _state_folder() / "history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
        path.chmod(0o600)  # also of one that was there
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}).") from None
    return FileHistory(str(path))


def _state_folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "ophglm"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "ophglm"


def _keys() -> KeyBindings:
    keys = KeyBindings()

    # Not while history is searched, where Enter takes what was found.
    @keys.add("enter", filter=has_focus(DEFAULT_BUFFER))
    def enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state is not None and buffer.complete_state.current_completion:
            buffer.complete_state = None
        elif buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.newline(copy_margin=False)
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter", filter=has_focus(DEFAULT_BUFFER))
    def new_line(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    return keys


class Commands(Completer):
    """Completes commands, and their arguments by what the table of commands says of them."""

    def __init__(self, sitting: Sitting):
        self._sitting = sitting
        self._paths = PathCompleter(expanduser=True)

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterator[Completion]:
        """Yield what may stand at the cursor."""
        text = document.text_before_cursor
        name, blank, rest = text.partition(" ")
        if not text.startswith("/") or "\n" in text:
            return
        if not blank:
            chinese = self._sitting.language == "zh"
            for command in COMMANDS.values():
                if command.name.startswith(name[1:].lower()):
                    yield Completion(
                        f"/{command.name}",
                        -len(name),
                        display=command.usage,
                        display_meta=command.help[chinese],
                    )
            if "/" in name[1:]:  # a path from the root, to be opened
                yield from self._paths.get_completions(document, complete_event)
            return
        completes = COMMANDS[name[1:].lower()].completes if name[1:].lower() in COMMANDS else ()
        if not completes:
            return
        *before, word = rest.split(" ")
        kind = completes[min(len(before), len(completes) - 1)]
        if kind == "path":
            yield from self._paths.get_completions(Document(word), complete_event)
            return
        if kind == "value":
            kind = {"lang": "language", "preview": "switch"}.get(before[0].lower(), "")
        for choice, meaning in self._choices(kind):
            if choice.startswith(word.lower()):
                yield Completion(choice, -len(word), display_meta=meaning)

    def _choices(self, kind: str) -> list[tuple[str, str]]:
        labels, language = self._sitting.chat.labels, self._sitting.language
        if kind == "condition":
            return [(key, labels[key].name_in(language)) for key in labels]
        if kind == "language":
            return [(name, "") for name in LANGUAGES]
        if kind == "setting":
            return [(name, "") for name in SETTINGS]
        if kind == "switch":
            return [(name, "") for name in SWITCH]
        if kind != "command":
            return []
        return [(name, command.usage) for name, command in COMMANDS.items()]


def status(sitting: Sitting, width: int) -> str:
    """Return what the status bar says: the most important first, and only what fits."""
    chat, language = sitting.chat, sitting.language
    used = len(chat.model.tokens) / chat.model.context
    parts = [
        chat.about.get("model", ""),
        chat.about.get("runtime", ""),
        say("context", language, used),
        "" if chat.speed is None else say("speed", language, chat.speed),
    ]
    line = ""
    for part in filter(None, parts):
        longer = f"{line} · {part}" if line else part
        if len(longer) <= width - 1:
            line = longer
    return line
