"""`ophglm sft`: stage 3, an adapter for the language model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ophglm_core.training.config import SftConfig

from .common_options import Log


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
    rank: Annotated[int, typer.Option(min=1, help="Rank of the adapter.")] = SftConfig.rank,
    alpha: Annotated[
        int, typer.Option(min=1, help="Its scale is alpha over rank.")
    ] = SftConfig.alpha,
    target_modules: Annotated[
        list[str] | None,
        typer.Option(
            help="A kind of layer that the adapter goes on, such as q_proj; else all linear ones "
            "but the head. May be given several times."
        ),
    ] = None,
    text_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of samples without a photograph.")
    ] = SftConfig.text_share,
    samples: Annotated[
        int, typer.Option(min=0, help="Samples an epoch draws; 0: as many as there are texts.")
    ] = SftConfig.samples,
    language: Annotated[
        list[str] | None, typer.Option(help="en, zh, or both by giving it twice.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1)] = SftConfig.epochs,
    batch_size: Annotated[
        int,
        typer.Option(min=1, help="Samples a step, over all processes."),
    ] = SftConfig.batch_size,
    learning_rate: Annotated[float, typer.Option(min=0.0)] = SftConfig.learning_rate,
    precision: Annotated[str, typer.Option(help="auto, bf16 or no (fp32).")] = SftConfig.precision,
    gradient_accumulation_steps: Annotated[
        int,
        typer.Option(
            min=1,
            help="Parts a batch is computed in.",
        ),
    ] = SftConfig.gradient_accumulation_steps,
    gradient_checkpointing: Annotated[
        bool,
        typer.Option("--gradient-checkpointing", help="Compute more and hold less in memory."),
    ] = False,
    max_length: Annotated[
        int, typer.Option(min=64, help="Tokens of a sample at most.")
    ] = SftConfig.max_length,
    seed: Annotated[int, typer.Option()] = SftConfig.seed,
    log: Log = None,
) -> None:
    """Fine-tune the language model by an adapter (LoRA); encoder and fusion stay frozen.

    A run that was stopped goes on when the same command is given again.
    """
    from .packages import need_packages
    from .training_output import command_line, run

    need_packages("torch", "timm", "transformers", "peft", "gguf", "accelerate", extra="train")
    import ophglm_core as ophglm

    run(
        lambda callbacks: ophglm.sft(
            model,
            data,
            callbacks,
            photographs=tuple(photographs or ()),
            out=out,
            llm=llm,
            four_bit=four_bit,
            rank=rank,
            alpha=alpha,
            target_modules=tuple(target_modules or ()),
            text_share=text_share,
            samples=samples,
            languages=tuple(dict.fromkeys(language or SftConfig.languages)),
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            precision=precision,
            gradient_accumulation_steps=gradient_accumulation_steps,
            gradient_checkpointing=gradient_checkpointing,
            max_length=max_length,
            seed=seed,
            log=log,
            command=command_line(),
        )
    )
