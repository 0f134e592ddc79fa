"""`ophglm sft`: stage 3, an adapter for the language model."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer


def sft(
    model: Annotated[str, typer.Argument(help="A model folder.")],
    data: Annotated[Path, typer.Argument(help="Texts, as ophglm build-instructions writes them.")],
    photographs: Annotated[
        list[Path] | None,
        typer.Option(
            help="Labelled photographs to pair with texts of their labels; needs a fusion module. "
            "May be given several times."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write a copy of the model here; else into MODEL itself.")
    ] = None,
    llm: Annotated[
        str | None, typer.Option(help="A GGUF file, a folder or a hub id; else the embedded one.")
    ] = None,
    four_bit: Annotated[
        bool, typer.Option("--4bit", help="QLoRA: the language model in 4 bits (bitsandbytes).")
    ] = False,
    rank: Annotated[int, typer.Option(min=1, help="Rank of the adapter.")] = 16,
    alpha: Annotated[int, typer.Option(min=1, help="Its scale is alpha over rank.")] = 32,
    text_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of samples without a photograph.")
    ] = 0.3,
    samples: Annotated[
        int, typer.Option(min=0, help="Samples an epoch draws; 0: as many as there are texts.")
    ] = 0,
    language: Annotated[
        list[str] | None, typer.Option(help="en, zh, or both by giving it twice.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1)] = 3,
    batch: Annotated[int, typer.Option(min=1, help="Samples a step, over all processes.")] = 16,
    learning_rate: Annotated[float, typer.Option(min=0.0)] = 5e-4,
    precision: Annotated[str, typer.Option(help="auto, bf16 or no (fp32).")] = "auto",
    accumulate: Annotated[int, typer.Option(min=1, help="Parts a batch is computed in.")] = 1,
    gradient_checkpointing: Annotated[
        bool,
        typer.Option("--gradient-checkpointing", help="Compute more and hold less in memory."),
    ] = False,
    longest: Annotated[int, typer.Option(min=64, help="Tokens of a sample at most.")] = 320,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Fine-tune the language model by an adapter (LoRA); encoder and fusion stay frozen.

    A run that was stopped goes on when the same command is given again. The loss of every step is
    written to OUT.loss.jsonl.
    """
    from .packages import need_packages
    from .training_view import check_precision, run

    need_packages("torch", "transformers", "peft", "gguf", "accelerate", extra="train")
    languages = tuple(dict.fromkeys(language or ["en"]))
    if set(languages) - {"en", "zh"}:
        raise typer.BadParameter("use en or zh", param_hint="--language")
    check_precision(precision)
    from ophglm_core.training.loop import Schedule
    from ophglm_core.training.sft_run import SftOptions
    from ophglm_core.training.sft_run import sft as train

    options = SftOptions(
        model,
        data,
        tuple(photographs or ()),
        out,
        llm,
        four_bit,
        gradient_checkpointing,
        rank,
        alpha,
        text_share,
        samples,
        longest,
        languages,
        shlex.join(["ophglm", *sys.argv[1:]]),
    )
    schedule = Schedule(
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        weight_decay=0.0,
        average=0.98,
        patience=2,
        seed=seed,
        accumulate=accumulate,
        precision=precision,
    )
    curve = Path(f"{out or model}".rstrip("/") + ".loss.jsonl")
    run(lambda listener: train(options, schedule, listener), curve)
