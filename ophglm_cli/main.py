"""The console script `ophglm`: its commands, and what becomes of an error."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ophglm_core import __version__
from ophglm_core.errors import InputError, OphglmError

from .build_instructions import build_instructions
from .build_vqa import build_vqa
from .chat import chat
from .classify import classify
from .data import data
from .evaluate import evaluate
from .export import export
from .serve import serve
from .sft import sft
from .train_encoder import train_encoder
from .train_fusion import train_fusion


class _Commands(TyperGroup):
    """The group of commands; turns what a command raises into a sentence and an exit code.

    Exit codes: 0 done, 1 an input failed, 2 wrong usage, 130 stopped.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except OphglmError as error:
            if ctx.params.get("debug"):
                raise
            typer.echo(f"ophglm: {error}", err=True)
            sys.exit(1 if isinstance(error, InputError) else 2)
        except KeyboardInterrupt:
            sys.exit(130)
        except BrokenPipeError:
            # The reader (head, less) has what it wanted; Python must not complain at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)


app = typer.Typer(
    name="ophglm",
    cls=_Commands,
    help="A research assistant for colour fundus photographs. Decision support, not a diagnosis.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _help(command: Callable[..., None]) -> str:
    """Return a command's docstring with a line for each paragraph: typer keeps line breaks."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


for _command in (
    classify,
    chat,
    serve,
    evaluate,
    train_encoder,
    train_fusion,
    sft,
    export,
    build_vqa,
    build_instructions,
):
    app.command(_command.__name__.replace("_", "-"), help=_help(_command))(_command)
app.add_typer(data, name="data")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ophglm {__version__}")
        raise typer.Exit


@app.callback()
def common(
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback on an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """A research assistant for colour fundus photographs. Decision support, not a diagnosis."""


def main() -> None:
    """Run the command line."""
    app()
