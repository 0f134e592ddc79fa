"""The three training stages, from Python as from the command line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .config import Callbacks, EncoderConfig, FusionConfig, SftConfig

__all__ = ["Callbacks", "fine_tune", "train_encoder", "train_fusion"]


def train_encoder(
    data: str | Path | Iterable[str | Path],
    out: str | Path,
    callbacks: Callbacks | None = None,
    **options: Any,
) -> Path | None:
    """Train an image encoder on labelled photographs and write it as a model folder.

    data: one or several labelled sets (see data.records.read_records). options: fields of
    training.config.EncoderConfig. A training that was stopped goes on when called again. Returns
    the folder, or None in all but the first of several processes. Raises InputError, UsageError.

    Example: `train_encoder("DATA", "models/mine", epochs=3)`.
    """
    sets = (data,) if isinstance(data, str | Path) else data
    config = EncoderConfig(data=tuple(map(Path, sets)), out=Path(out), **options)
    from .encoder import EncoderStage
    from .trainer import fit

    return fit(EncoderStage(config), config, callbacks)


def train_fusion(
    model: str | Path, vqa: str | Path, callbacks: Callbacks | None = None, **options: Any
) -> Path | None:
    """Train a fusion module on questions about photographs and write it into a model folder.

    vqa: what build-vqa wrote. options: fields of training.config.FusionConfig. Else as
    train_encoder.
    """
    if options.get("out") is not None:
        options["out"] = Path(options["out"])
    config = FusionConfig(model=model, vqa=Path(vqa), **options)
    from .fusion import FusionStage
    from .trainer import fit

    return fit(FusionStage(config), config, callbacks)


def fine_tune(
    model: str | Path, data: str | Path, callbacks: Callbacks | None = None, **options: Any
) -> Path | None:
    """Fine-tune the language model by an adapter and write it into a model folder.

    data: what build-instructions wrote. options: fields of training.config.SftConfig. Else as
    train_encoder.
    """
    if options.get("out") is not None:
        options["out"] = Path(options["out"])
    config = SftConfig(model=model, data=Path(data), **options)
    from .sft import SftStage
    from .trainer import fit

    return fit(SftStage(config), config, callbacks)
