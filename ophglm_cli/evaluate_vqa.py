"""`ophglm evaluate --vqa`: does the language model look at the photograph?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from .terminal import fraction_bar, stderr, stdout


def evaluate_vqa(
    model: str,
    data: list[Path],
    part: str,
    limit: int | None,
    keep: bool,
    as_json: bool,
    llm: str | None = None,
    runtime: str = "auto",
    four_bit: bool = False,
) -> None:
    """Answer questions of a part of the patients and show how well, beside the baselines."""
    import ophglm_core as ophglm
    from ophglm_core.findings import NOTICE

    options: dict[str, int] = {} if limit is None else {"limit": limit}
    with fraction_bar("asking") as progress:
        metrics = ophglm.evaluate_vqa(
            ophglm.open_model(model),
            data,
            part,
            keep=keep,
            progress=progress,
            llm=llm,
            runtime=runtime,
            four_bit=four_bit,
            **options,
        )
    if as_json:
        typer.echo(json.dumps(metrics, indent=2))
    else:
        _show(metrics)
    stderr.print(NOTICE, style="dim")


def _show(metrics: dict[str, Any]) -> None:
    from rich.table import Table

    from ophglm_core.evaluation.vqa import GIVEN

    excluded = metrics["excluded"]
    stdout.print(
        f"{metrics['model']}: {metrics['questions']} questions; {excluded['unknown_words']} "
        f"excluded for words that the text encoder does not know, {excluded['ungradable']} for "
        "photographs that cannot be graded"
    )
    stdout.print("exact match / F1, given the photograph, nothing, findings as text, another's:")
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for column in ("", "n", *GIVEN):
        table.add_column(column[:8], justify="left" if not column else "right")
    for kind, row in metrics["kinds"].items():
        cells = [_pair(row[g]["exact_match"], row[g]["f1"]) for g in GIVEN]
        table.add_row(kind, f"{row['questions']['count']:.0f}", *cells)
    stdout.print(table)
    if not metrics["presence"]:
        return
    stdout.print("presence, balanced accuracy (yes or no):")
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for column in ("", "n", *GIVEN, "encoder"):
        table.add_column(column[:6], justify="left" if not column else "right")
    for disease, row in metrics["presence"].items():
        cells = ["-" if row[g] is None else f"{row[g]:.3f}" for g in (*GIVEN, "encoder")]
        table.add_row(disease, f"{row['questions']:.0f}", *cells)
    stdout.print(table)


def _pair(exact_match: float | None, f1: float | None) -> str:
    return "-" if exact_match is None or f1 is None else f"{exact_match:.2f}/{f1:.2f}"
