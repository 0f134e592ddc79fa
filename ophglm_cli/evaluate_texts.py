"""`ophglm evaluate --texts`: what the adapter changes."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from .terminal import counter, stderr, stdout


def evaluate_texts(model: str, data: list[Path], limit: int, keep: bool, as_json: bool) -> None:
    """Answer held-out questions without and with the adapter and show how both fare."""
    from ophglm_core.data.instructions import read_instructions
    from ophglm_core.data.text_split import split_texts
    from ophglm_core.errors import UsageError
    from ophglm_core.findings import NOTICE
    from ophglm_core.llm.source import resolve_llm
    from ophglm_core.modelcard import keep_figures
    from ophglm_core.modelfolder import ADAPTER_GGUF, open_model
    from ophglm_core.text_evaluation import WHEN
    from ophglm_core.text_evaluation import evaluate_texts as run

    folder = open_model(model)
    adapter = folder.manifest.adapter
    if adapter is None or not (folder.path / ADAPTER_GGUF).is_file():
        raise UsageError(f"{folder.path} has no {ADAPTER_GGUF}; run ophglm sft.")
    training = adapter["training"]
    texts = [text for path in data for text in read_instructions(path)]
    _, held_out = split_texts(texts, training.get("seed", 0))
    held_out = [t for t in held_out if t.language in training["languages"]]
    with counter("asking", min(limit, len(held_out))) as tick:
        figures = run(folder, resolve_llm(training["llm"]), held_out, limit, 0, lambda *_: tick(1))
    if keep:
        adapter["metrics"] = figures
        keep_figures(folder)
    if as_json:
        typer.echo(json.dumps(figures, indent=2, ensure_ascii=False))
    else:
        stdout.print(f"{figures['prompts']} held-out questions, before and after:")
        for name in figures["before"]:
            before, after = (figures[when][name] for when in WHEN)
            stdout.print(f"  {name:<12} {before:>7.2f} {after:>7.2f}")
    stderr.print(NOTICE, style="dim")
