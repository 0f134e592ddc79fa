"""`ophglm watch`: a row for each picture that comes into a folder."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from ophglm_core.errors import InputError

from .appending import Out, Quiet
from .common_options import Model


def watch(
    folder: Annotated[Path, typer.Argument(help="A folder, watched with all that is in it.")],
    out: Out,
    model: Model = None,
    poll: Annotated[
        bool,
        typer.Option(
            "--poll",
            help="Look through the folder every three seconds, for a network share; else what "
            "comes through one is found within a minute.",
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Classify pictures as they come into a folder, and append their rows to a file.

    Those that are there already come first; one that has a row is done again only if it has
    changed. Ctrl-C or SIGTERM ends it, and the same command goes on from there.
    """
    from .appending import append_rows
    from .packages import need_packages

    need_packages("watchfiles", extra="watch")
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder that can be watched.")
    append_rows(
        folder, out, model, lambda tell: nullcontext(f"Watching {folder}"), quiet, poll=poll
    )
