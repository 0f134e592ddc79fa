"""The console script `ophglm`: its commands, and what becomes of an error."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ophglm_core import __version__
from ophglm_core.errors import InputError, OphglmError

from .lazy import LazyCommand

#: Each command's summary; its function stands in the module of its name.
_SUMMARIES = {
    "classify": "Say which fundus diseases photographs show, and how sure it is.",
    "watch": "Classify pictures as they come into a folder, and append their rows to a file.",
    "listen": "Take photographs sent by DICOM, classify them, and append their rows to a file.",
    "chat": "Show what a fundus photograph gives and talk about it, in English or Chinese.",
    "serve": "Show photographs, heat maps, findings and the conversation in a browser.",
    "evaluate": (
        "Measure a model on labelled photographs, each metric with its interval over patients."
    ),
    "calibrate": (
        "Set temperature, offset and thresholds on a clinic's own photographs, into a new model "
        "folder with the same weights."
    ),
    "train-encoder": "Train the image encoder on photographs with labels and write a model folder.",
    "train-fusion": (
        "Train the fusion module on questions about photographs; all else stays frozen."
    ),
    "sft": "Fine-tune the language model by an adapter (LoRA); encoder and fusion stay frozen.",
    "export": (
        "Write a model folder's ONNX files again and compare the torch and the local runtime."
    ),
    "build-vqa": (
        "Make question-answer pairs about photographs from their labels, in English and Chinese."
    ),
    "build-instructions": (
        "Make five instruction subsets and a conversation set, in English and Chinese."
    ),
    "data": "Look at a fine-tuning set.",
    "models": "Language models: list, fetch, show, remove.",
}


class _Commands(TyperGroup):
    """The group of commands; turns what a command raises into a sentence and an exit code.

    Exit codes: 0 done, 1 an input failed, 2 wrong usage, 130 stopped.
    """

    def __init__(self, **attributes: Any):
        super().__init__(**attributes)
        self.commands = {name: LazyCommand(name, text) for name, text in _SUMMARIES.items()}

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


if __name__ == "__main__":  # accelerate launch -m ophglm_cli.main
    main()
