"""`ophglm data stats` and `ophglm data validate`: what a fine-tuning set holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

data = typer.Typer(no_args_is_help=True, help="Look at a fine-tuning set.")
Folder = Annotated[
    Path, typer.Argument(help="A folder of build-instructions, or a JSONL of chat messages.")
]


@data.command()
def stats(
    folder: Folder,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Show counts, lengths, languages, topics and duplicates of a fine-tuning set."""
    from rich.table import Table

    from ophglm_core.data.instructions import read_instructions
    from ophglm_core.data.statistics import statistics

    from .terminal import stdout

    counts = statistics(read_instructions(folder))
    if as_json:
        typer.echo(json.dumps(counts, indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for column in ("subset", "n", "en", "zh", "grounded", "turns", "characters"):
        table.add_column(column, justify="left" if column == "subset" else "right")
    for subset, row in counts["subsets"].items():
        grounded, turns = f"{row['grounded']:.0%}", f"{row['turns']:.1f}"
        cells = (row["count"], row["en"], row["zh"], grounded, turns, row["characters"])
        table.add_row(subset, *map(str, cells))
    stdout.print(table)
    stdout.print(
        f"{counts['count']} samples; {counts['duplicates']} said twice; "
        f"{counts['repeated_answers']} answers stand under several questions; "
        f"{counts['grounded']:.0%} with passages, {counts['held_out']:.0%} held out"
    )
    for kind in ("languages", "topics", "labels"):
        stdout.print(f"{kind}: " + ", ".join(f"{k} {v}" for k, v in counts[kind].items()))


@data.command()
def validate(folder: Folder) -> None:
    """Look for what must not be in a fine-tuning set; exit code 1 if something is found.

    Empty turns, an answer that states a disease as certain, traces of persons, and answers that
    stand on both sides of the split that sft makes, word for word or nearly.
    """
    from ophglm_core.data.instructions import read_instructions
    from ophglm_core.data.statistics import validate as problems_of

    samples = read_instructions(folder)
    found = problems_of(samples)
    for problem in found:
        typer.echo(problem)
    if found:
        raise typer.Exit(1)
    typer.echo(f"{len(samples)} samples, nothing wrong.")
