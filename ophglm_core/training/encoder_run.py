"""`train-encoder` as a function: data in, model folder out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..data.records import Record, count_labels, read_records
from ..data.split import Split
from ..encoder.export import load_encoder
from ..encoder.network import ImageEncoder
from ..encoder.pretrained import load_imagenet_weights
from ..errors import InputError, UsageError
from ..labels import LABELS
from ..modelfolder import MANIFEST, open_model
from .distillation import Teacher
from .encoder import EncoderStage, FirstEpochs
from .loop import Progress, Schedule, Trainer, make_accelerator

#: The share of the epochs that see the size of `EncoderOptions.first_size`.
_FIRST_SHARE = 0.75


@dataclass(frozen=True)
class EncoderOptions:
    """What `train-encoder` can be told."""

    data: tuple[Path, ...]
    out: Path
    architecture: str = "convnext_atto"
    size: int = 224
    first_size: int | None = None
    pretrained: bool = False
    start: Path | None = None
    teacher: Path | None = None
    split: Split = field(default_factory=Split)
    operating_point: float = 0.85
    gradient_checkpointing: bool = False
    compiled: bool = False
    command: str = ""


@dataclass(frozen=True)
class Listener:
    """What a caller wants to hear: (done, total) of decoding, the loop's progress, and remarks."""

    decoding: Callable[[int, int], None]
    training: Callable[[Progress], None]
    remark: Callable[[str], None]


def state_folder(out: Path) -> Path:
    """Return where a training that is to become `out` keeps its state."""
    return out.with_name(out.name + ".training")


def train_encoder(options: EncoderOptions, schedule: Schedule, listener: Listener) -> Path | None:
    """Train an image encoder and write it as a model folder, which is returned.

    A run that was stopped goes on when called again with the same options. Where several processes
    train, all but the first return None. Raises InputError and UsageError.
    """
    if (options.out / MANIFEST).exists():
        raise UsageError(f"{options.out} already holds a model; name another --out or remove it.")
    sets = {data: read_records(data) for data in options.data}
    records = [record for data in sets.values() for record in data]
    parts = options.split.parts(records)
    if not parts["train"] or not parts["validation"]:
        raise InputError(
            f"{len(records)} photographs of {len({r.patient for r in records})} patients are too "
            "few to part into training and validation; add some or raise --validation."
        )
    accelerator = make_accelerator(schedule.precision, schedule.accumulate, options.compiled)
    encoder, origin = _make_encoder(options, parts["train"], schedule.seed)
    if options.gradient_checkpointing:
        encoder.backbone.set_grad_checkpointing()
    folder = state_folder(options.out)
    teacher = None
    if options.teacher is not None:
        source = open_model(options.teacher)
        teacher = Teacher(
            load_encoder(source), source.manifest.encoder.input_size, accelerator.device
        )
    if not accelerator.is_main_process:
        listener = Listener(lambda *_: None, lambda _: None, lambda _: None)
    with accelerator.main_process_first():  # the others find the crops decoded
        stage = EncoderStage(
            encoder,
            parts["train"],
            parts["validation"],
            options.size,
            folder,
            accelerator.device,
            _first_epochs(options, schedule),
            teacher,
        )
        for path, sentence in stage.prepare(listener.decoding).items():
            listener.remark(f"Left out: {sentence or path}")
    if not stage.samples:
        raise InputError("No training photograph could be read.")
    fingerprint = {
        "data": [str(d.resolve()) for d in options.data],
        "photographs": len(records),
        "architecture": options.architecture,
        "size": options.size,
        "first_size": options.first_size,
        "pretrained": options.pretrained,
        "start": str(options.start) if options.start else None,
        "teacher": str(options.teacher) if options.teacher else None,
        "split": options.split.to_json(),
    }
    trainer = Trainer(stage, schedule, folder, fingerprint, accelerator, listener.training)
    try:
        history = trainer.run()
    except RuntimeError as error:
        if not options.compiled or not isinstance(error, torch._dynamo.exc.TorchDynamoException):
            raise
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"The network cannot be compiled ({reason}); omit --compile.") from error
    if not accelerator.is_main_process:
        return None
    from .encoder_finish import finish

    training: dict[str, Any] = {
        "stage": "encoder",
        "data": [{"name": d.name, **_describe(found)} for d, found in sets.items()],
        "command": options.command,
        "initialisation": origin,
        "teacher": options.teacher.name if options.teacher else None,
        "split": options.split.to_json(),
        "schedule": {
            "epochs": schedule.epochs,
            "batch": schedule.batch,
            "learning_rate": schedule.learning_rate,
            "weight_decay": schedule.weight_decay,
            "weight_average": schedule.average,
            "seed": schedule.seed,
            "precision": str(accelerator.mixed_precision),
        },
        "best_epoch": trainer.best_epoch + 1,
        "seconds": round(trainer.seconds),
        "history": [{k: h[k] for k in ("epoch", "loss", "macro_auc", "auc")} for h in history],
    }
    # A fresh module: accelerate has wrapped the trained one's forward in mixed precision.
    best = ImageEncoder(options.architecture)
    prefix = "encoder." if teacher else ""
    state = {k: v for k, v in trainer.best_state.items() if k.startswith(prefix)}
    best.load_state_dict({k.removeprefix(prefix): v for k, v in state.items()})
    finish(best, options, parts, training)
    shutil.rmtree(folder, ignore_errors=True)
    return options.out


def _make_encoder(
    options: EncoderOptions, train: list[Record], seed: int
) -> tuple[ImageEncoder, str]:
    """Return the network as training starts from it, and where its weights come from."""
    if options.start is not None:
        encoder = load_encoder(open_model(options.start))
        if encoder.architecture != options.architecture:
            raise UsageError(
                f"{options.start} holds a {encoder.architecture}; give --architecture "
                f"{encoder.architecture} to go on from it."
            )
        return encoder, options.start.name
    torch.manual_seed(seed)
    encoder = ImageEncoder(options.architecture)
    origin = load_imagenet_weights(encoder) if options.pretrained else "random"
    if not options.pretrained:
        _open_layer_scale(encoder)
    _start_head(encoder, train)
    return encoder, origin


def _open_layer_scale(encoder: ImageEncoder) -> None:
    """Let ConvNeXt's blocks take part from the start.

    Their layer scale begins at 1e-6, made for hundreds of epochs; in a dozen it keeps them shut.
    """
    for name, parameter in encoder.backbone.named_parameters():
        if name.endswith(".gamma"):
            nn.init.ones_(parameter)


def _first_epochs(options: EncoderOptions, schedule: Schedule) -> FirstEpochs | None:
    if options.first_size is None:
        return None
    return FirstEpochs(options.first_size, int(schedule.epochs * _FIRST_SHARE))


def _describe(records: list[Record]) -> dict[str, Any]:
    return {
        "photographs": len(records),
        "patients": len({r.patient for r in records}),
        "labels": count_labels(records),
    }


def _start_head(encoder: ImageEncoder, records: list[Record]) -> None:
    """Start each label's bias at its frequency, so that the first steps need not learn it."""
    with torch.no_grad():
        for index, label in enumerate(LABELS):
            known = [r.labels[label] for r in records if label in r.labels]
            share = (sum(known) + 1) / (len(known) + 2)
            encoder.classifier.bias[index] = float(np.log(share / (1 - share)))
