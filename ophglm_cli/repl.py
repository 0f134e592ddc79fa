"""The conversation at a terminal: read a line, do what it says, until the user leaves."""

from __future__ import annotations

from ophglm_core.errors import OphglmError

from .chat_output import show_answer, show_dim, show_notice
from .commands import Leave, understand
from .phrases import say
from .repl_input import Prompt
from .sitting import Sitting
from .terminal import stderr, stdout
from .waiting import loading, quiet_keyboard


def run(sitting: Sitting, history: bool = False) -> None:
    """Read questions and commands, and answer them.

    history: whether what is typed is kept on disk, which else is not: it may name a patient. What
    answers need is loaded meanwhile.
    """
    prompt = Prompt(sitting, history)
    with loading(sitting):
        _talk(sitting, prompt)


def _talk(sitting: Sitting, prompt: Prompt) -> None:
    show_notice(sitting)
    show_dim(say("opening", sitting.language))
    while True:
        try:
            line = prompt.read()
        except KeyboardInterrupt:
            show_dim(say("leave", sitting.language))
            continue
        except EOFError:
            return
        if not line:
            continue
        try:
            with quiet_keyboard():
                _do(sitting, line)
        except Leave:
            return
        except KeyboardInterrupt:
            show_dim(say("stopped", sitting.language))
        except OphglmError as error:
            stderr.print(str(error), markup=False, style="yellow")


def _do(sitting: Sitting, line: str) -> None:
    command, rest = understand(line)
    if command is not None:
        command.run(sitting, rest)
    else:
        show_answer(sitting, rest)
        stdout.print()
