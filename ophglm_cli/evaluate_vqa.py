"""`ophglm evaluate --vqa`: does the language model look at the photograph?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from .terminal import stderr, stdout


def evaluate_vqa(
    model: str, data: list[Path], part: str, limit: int, keep: bool, as_json: bool
) -> None:
    """Answer questions of a part of the patients and show how well, beside the baselines."""
    from ophglm_core.classify import Classifier
    from ophglm_core.data.split import Split
    from ophglm_core.data.vqa import read_vqa, vqa_parts
    from ophglm_core.errors import InputError, UsageError
    from ophglm_core.findings import NOTICE
    from ophglm_core.fusion.reader import Reader
    from ophglm_core.llm.source import embedded_gguf, resolve_llm
    from ophglm_core.modelcard import keep_figures
    from ophglm_core.modelfolder import open_model
    from ophglm_core.vqa_evaluation import evaluate_vqa as run

    from .terminal import counter

    folder = open_model(model)
    if folder.manifest.fusion is None:
        raise UsageError(f"{folder.path} has no fusion module; run ophglm train-fusion.")
    if "package" not in folder.manifest.llm:
        gguf = resolve_llm(folder.manifest.fusion["training"]["llm"])
    else:
        gguf = embedded_gguf()
    pairs = [pair for path in data for pair in read_vqa(path)]
    if part != "all":
        split = Split(**folder.manifest.training.get("split", {}))
        parts = vqa_parts(pairs, split)
        if part not in parts:
            raise typer.BadParameter(f"'{part}' is not one of all, train, validation, test")
        pairs = parts[part]
    if not pairs:
        raise InputError(f"No question of {', '.join(map(str, data))} is in part {part}.")
    with counter("asking", 1000) as tick:
        done = 0

        def progress(now: int, total: int) -> None:
            nonlocal done
            permille = now * 1000 // total
            tick(permille - done)
            done = permille

        figures = run(Reader(folder, gguf), Classifier(folder), pairs, limit, 0, progress)
    figures["part"] = part
    if keep:
        folder.manifest.fusion["metrics"] = figures
        keep_figures(folder)
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
    else:
        _show(figures)
    stderr.print(NOTICE, style="dim")


def _show(figures: dict[str, Any]) -> None:
    from rich.table import Table

    from ophglm_core.vqa_evaluation import CONDITIONS

    away = figures["left_out"]
    stdout.print(
        f"{figures['model']}: {figures['questions']} questions; {away['unknown_words']} left out "
        f"for words that the text encoder does not know, {away['turned_away']} for photographs "
        "that cannot be graded"
    )
    stdout.print("exact match / F1, given the photograph, nothing, findings as text, another's:")
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for column in ("", "n", *CONDITIONS):
        table.add_column(column[:8], justify="left" if not column else "right")
    for kind, rows in figures["kinds"].items():
        cells = [f"{rows[c]['exact']:.2f}/{rows[c]['f1']:.2f}" for c in CONDITIONS]
        table.add_row(kind, f"{rows['questions']['count']:.0f}", *cells)
    stdout.print(table)
    if not figures["presence"]:
        return
    stdout.print("presence, balanced accuracy (yes or no):")
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for column in ("", "n", *CONDITIONS, "encoder"):
        table.add_column(column[:6], justify="left" if not column else "right")
    for disease, row in figures["presence"].items():
        cells = [f"{row[c]:.3f}" for c in (*CONDITIONS, "encoder")]
        table.add_row(disease, f"{row['questions']:.0f}", *cells)
    stdout.print(table)
