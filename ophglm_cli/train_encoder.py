"""`ophglm train-encoder`: stage 1, the image encoder."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer


def train_encoder(
    data: Annotated[
        list[Path],
        typer.Argument(
            help="Labelled photographs: a folder with labels.csv, ODIR-5K's table or its folder, "
            "or a folder of folders named for conditions. Several sets are trained on together."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The model folder to write.")],
    architecture: Annotated[
        str, typer.Option(help="A timm network: any ConvNeXt, or another by name.")
    ] = "convnext_atto",
    size: Annotated[int, typer.Option(min=32, help="Input size in pixels.")] = 224,
    first_size: Annotated[
        int | None,
        typer.Option(min=32, help="Input size of the first three quarters of the epochs."),
    ] = None,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Start from ImageNet weights.")
    ] = False,
    start: Annotated[
        Path | None,
        typer.Option("--from", help="A model folder whose encoder to go on training."),
    ] = None,
    teacher: Annotated[
        Path | None, typer.Option(help="A model folder whose encoder the new one learns from.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1)] = 12,
    batch: Annotated[int, typer.Option(min=1, help="Photographs a step, over all processes.")] = 32,
    learning_rate: Annotated[float, typer.Option(min=0.0)] = 1e-3,
    patience: Annotated[
        int, typer.Option(min=1, help="Stop after so many epochs without a better one.")
    ] = 5,
    validation: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="Share of the patients that choose the epoch.")
    ] = 0.1,
    test: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Share of the patients kept for measuring.")
    ] = 0.2,
    operating_point: Annotated[
        float, typer.Option(min=0.05, max=1.0, help="Sensitivity at which thresholds are set.")
    ] = 0.85,
    precision: Annotated[str, typer.Option(help="auto, bf16 or no (fp32).")] = "auto",
    accumulate: Annotated[int, typer.Option(min=1, help="Parts a batch is computed in.")] = 1,
    gradient_checkpointing: Annotated[
        bool,
        typer.Option("--gradient-checkpointing", help="Compute more and hold less in memory."),
    ] = False,
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile", help="Compile the network: minutes at the start, faster steps on a GPU."
        ),
    ] = False,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Train the image encoder on photographs with labels and write a model folder.

    A run that was stopped goes on when the same command is given again.
    """
    from .packages import need_packages
    from .training_view import check_precision, run

    need_packages("torch", "timm", "accelerate", "safetensors", "onnx", "sklearn", extra="train")
    check_precision(precision)
    from ophglm_core.data.split import Split
    from ophglm_core.training.encoder_run import EncoderOptions
    from ophglm_core.training.encoder_run import train_encoder as train
    from ophglm_core.training.loop import Schedule

    options = EncoderOptions(
        tuple(data),
        out,
        architecture,
        size,
        first_size,
        pretrained,
        start,
        teacher,
        Split(validation, test, seed),
        operating_point,
        gradient_checkpointing,
        compiled,
        shlex.join(["ophglm", *sys.argv[1:]]),
    )
    schedule = Schedule(
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        patience=patience,
        seed=seed,
        accumulate=accumulate,
        precision=precision,
    )
    run(lambda listener: train(options, schedule, listener))
