"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[str | None, typer.Option(help="A model folder, or the name of a bundled one.")]
Log = Annotated[
    str | None,
    typer.Option(help="A tracker to tell of each step: tensorboard, wandb, mlflow, ..."),
]
