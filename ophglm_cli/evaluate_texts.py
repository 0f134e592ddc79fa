"""`ophglm evaluate --texts`: what the adapter changes."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from .terminal import fraction_bar, stderr, stdout


def evaluate_texts(
    model: str,
    data: list[Path],
    limit: int | None,
    keep: bool,
    as_json: bool,
    llm: str | None = None,
    runtime: str = "auto",
    four_bit: bool = False,
) -> None:
    """Answer held-out questions without and with the adapter and show how both fare."""
    import ophglm_core as ophglm
    from ophglm_core.evaluation.text import WHEN
    from ophglm_core.findings import NOTICE

    options: dict[str, int] = {} if limit is None else {"limit": limit}
    with fraction_bar("asking") as progress:
        metrics = ophglm.evaluate_texts(
            ophglm.open_model(model),
            data,
            keep=keep,
            progress=progress,
            llm=llm,
            runtime=runtime,
            four_bit=four_bit,
            **options,
        )
    if as_json:
        typer.echo(json.dumps(metrics, indent=2, ensure_ascii=False))
    else:
        stdout.print(f"{metrics['prompts']} held-out questions, before and after:")
        for name in metrics["before"]:
            before, after = (metrics[when][name] for when in WHEN)
            stdout.print(f"  {name:<12} {before:>7.2f} {after:>7.2f}")
    stderr.print(NOTICE, style="dim")
