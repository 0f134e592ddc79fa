"""`ophglm train-encoder`: stage 1, the image encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ophglm_core.training.config import EncoderConfig

from .common_options import Log


def train_encoder(
    data: Annotated[
        list[Path],
        typer.Argument(
            help="Labelled photographs: a folder with labels.csv, ODIR-5K's table or its folder, "
            "or a folder of folders named for conditions. Several sets are trained on together."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The model folder to write.")],
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            help="A condition to learn, by its name or column; may be repeated. Default: those of "
            "the bundled model where the data have them, else all that the data have.",
        ),
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(
            help="A timm network by its name. Default: that of --from, else convnext_atto."
        ),
    ] = EncoderConfig.architecture,
    size: Annotated[int, typer.Option(min=32, help="Input size in pixels.")] = EncoderConfig.size,
    first_size: Annotated[
        int | None,
        typer.Option(min=32, help="Input size of the first three quarters of the epochs."),
    ] = None,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Start from ImageNet weights.")
    ] = False,
    weights: Annotated[
        Path | None,
        typer.Option(help="Start from a .safetensors or .pth of the network (timm's, RETFound's)."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--from", help="A model folder whose encoder to go on training."),
    ] = None,
    freeze: Annotated[
        int,
        typer.Option(
            min=0, help="First stages of the network that keep the weights they start with."
        ),
    ] = EncoderConfig.freeze,
    heads_only: Annotated[
        bool,
        typer.Option(
            "--heads-only",
            help="With --from: learn the heads alone, in minutes, and keep all before them.",
        ),
    ] = EncoderConfig.heads_only,
    beside: Annotated[
        Path | None,
        typer.Option(
            help="With --heads-only: a model folder whose network stands beside that of --from, "
            "before heads on both, which begin as the mean of theirs."
        ),
    ] = None,
    views: Annotated[
        int,
        typer.Option(
            min=1,
            max=2,
            help="How often the model looks at a picture: 2 averages it with its mirror image, in "
            "twice the time.",
        ),
    ] = EncoderConfig.views,
    teacher: Annotated[
        Path | None, typer.Option(help="A model folder whose encoder the new one learns from.")
    ] = None,
    measured: Annotated[
        Path | None,
        typer.Option(
            help="A model folder that was trained and measured in this way on a part of these "
            "patients: train on all of them, and take its thresholds and metrics."
        ),
    ] = None,
    epochs: Annotated[
        int,
        typer.Option(
            min=0, help="0 with --heads-only: learn nothing, set calibration and thresholds anew."
        ),
    ] = EncoderConfig.epochs,
    batch_size: Annotated[
        int,
        typer.Option(min=1, help="Photographs a step, over all processes."),
    ] = EncoderConfig.batch_size,
    learning_rate: Annotated[float, typer.Option(min=0.0)] = EncoderConfig.learning_rate,
    patience: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many epochs without a better one.")
    ] = EncoderConfig.patience,
    validation: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="Share of the patients that choose the epoch.")
    ] = EncoderConfig.validation,
    test: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Share of the patients kept for measuring.")
    ] = EncoderConfig.test,
    operating_point: Annotated[
        float, typer.Option(min=0.05, max=1.0, help="Sensitivity at which thresholds are set.")
    ] = EncoderConfig.operating_point,
    precision: Annotated[
        str, typer.Option(help="auto, bf16 or no (fp32).")
    ] = EncoderConfig.precision,
    gradient_accumulation_steps: Annotated[
        int,
        typer.Option(
            min=1,
            help="Parts a batch is computed in.",
        ),
    ] = EncoderConfig.gradient_accumulation_steps,
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
    seed: Annotated[int, typer.Option()] = EncoderConfig.seed,
    log: Log = None,
) -> None:
    """Train the image encoder on photographs with labels and write a model folder.

    A run that was stopped goes on when the same command is given again.
    """
    from .packages import need_packages
    from .training_output import command_line, run

    need_packages("torch", "timm", "accelerate", "safetensors", "onnx", "sklearn", extra="train")
    import ophglm_core as ophglm

    run(
        lambda callbacks: ophglm.train_encoder(
            data,
            out,
            callbacks,
            labels=tuple(label or ()),
            architecture=architecture,
            size=size,
            first_size=first_size,
            pretrained=pretrained,
            weights=weights,
            start=start,
            freeze=freeze,
            heads_only=heads_only,
            beside=beside,
            views=views,
            teacher=teacher,
            measured=measured,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            patience=patience,
            validation=validation,
            test=test,
            operating_point=operating_point,
            precision=precision,
            gradient_accumulation_steps=gradient_accumulation_steps,
            gradient_checkpointing=gradient_checkpointing,
            compiled=compiled,
            seed=seed,
            log=log,
            command=command_line(),
        )
    )
