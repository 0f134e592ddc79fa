"""`ophglm train-fusion`: stage 2, the fusion module."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ophglm_core.training.config import FusionConfig

from .common_options import Log


def train_fusion(
    model: Annotated[str, typer.Argument(help="A model folder with a trained image encoder.")],
    vqa: Annotated[Path, typer.Argument(help="Questions, as ophglm build-vqa writes them.")],
    out: Annotated[
        Path | None, typer.Option(help="Write a copy of the model here; else into MODEL itself.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="A model whose fusion module to go on training."),
    ] = None,
    fusion: Annotated[
        str, typer.Option(help="queries, or mlp: OphGLM's published one.")
    ] = FusionConfig.fusion,
    text_encoder: Annotated[
        str, typer.Option(help="A BERT: a folder or a hub id.")
    ] = FusionConfig.text_encoder,
    llm: Annotated[
        str | None, typer.Option(help="A GGUF file, a folder or a hub id; else the embedded one.")
    ] = None,
    four_bit: Annotated[
        bool, typer.Option("--4bit", help="Load the language model in 4 bits (bitsandbytes).")
    ] = False,
    epochs: Annotated[
        int, typer.Option(min=1, help="Epochs that train with the language model.")
    ] = FusionConfig.epochs,
    head_epochs: Annotated[
        int, typer.Option(min=0, help="Epochs before these that train the closed answers only.")
    ] = FusionConfig.head_epochs,
    samples: Annotated[
        int, typer.Option(min=0, help="Questions an epoch draws; 0: all.")
    ] = FusionConfig.samples,
    batch_size: Annotated[
        int,
        typer.Option(min=1, help="Questions a step, over all processes."),
    ] = FusionConfig.batch_size,
    learning_rate: Annotated[float, typer.Option(min=0.0)] = FusionConfig.learning_rate,
    precision: Annotated[
        str, typer.Option(help="auto, bf16 or no (fp32).")
    ] = FusionConfig.precision,
    gradient_accumulation_steps: Annotated[
        int,
        typer.Option(
            min=1,
            help="Parts a batch is computed in.",
        ),
    ] = FusionConfig.gradient_accumulation_steps,
    seed: Annotated[int, typer.Option()] = FusionConfig.seed,
    log: Log = None,
) -> None:
    """Train the fusion module on questions about photographs; all else stays frozen.

    A run that was stopped goes on when the same command is given again.
    """
    from .packages import need_packages
    from .training_output import command_line, run

    need_packages(
        "torch", "timm", "transformers", "gguf", "accelerate", "safetensors", "onnx", extra="train"
    )
    import ophglm_core as ophglm

    run(
        lambda callbacks: ophglm.train_fusion(
            model,
            vqa,
            callbacks,
            out=out,
            start=start,
            fusion=fusion,
            text_encoder=text_encoder,
            llm=llm,
            four_bit=four_bit,
            epochs=epochs,
            head_epochs=head_epochs,
            samples=samples,
            batch_size=batch_size,
            learning_rate=learning_rate,
            precision=precision,
            gradient_accumulation_steps=gradient_accumulation_steps,
            seed=seed,
            log=log,
            command=command_line(),
        )
    )
