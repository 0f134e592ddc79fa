"""`train-fusion` as a function: a model folder and questions in, the folder with a fusion out."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..data.split import Split
from ..data.vqa import read_vqa, vqa_parts
from ..errors import InputError
from ..fusion.export import load_fusion
from ..fusion.network import Fusion, FusionInfo, make_fusion
from ..llm.source import identify_llm
from ..llm.torch_llm import TorchLLM
from ..modelfolder import (
    FUSION_WEIGHTS,
    ModelFolder,
    file_sha256,
    folder_to_write,
    open_model,
)
from ..text_encoder.bert import TextEncoder
from ..text_encoder.source import EMBEDDED
from .encoder_run import Listener
from .fusion import FusionStage, QuestionTokens
from .image_tokens import ImageTokens
from .loop import Schedule, Trainer, make_accelerator


@dataclass(frozen=True)
class FusionOptions:
    """What `train-fusion` can be told. out: None writes into the model folder itself."""

    model: Path | str
    vqa: Path
    out: Path | None = None
    kind: str = "queries"
    text_encoder: str = EMBEDDED
    llm: str | None = None
    four_bit: bool = False
    samples: int = 0
    head_epochs: int = 5
    command: str = ""


def train_fusion(options: FusionOptions, schedule: Schedule, listener: Listener) -> Path | None:
    """Train a fusion module and write it into a model folder, which is returned.

    Encoder, text encoder and language model stay as they are. Where the folder has a fusion module
    of the same dimensions, training goes on from it. A run that was stopped goes on when called
    again with the same options. Where several processes train, all but the first return None.
    Raises InputError and UsageError.
    """
    model = open_model(options.model)
    out = folder_to_write(model, options.out, "a fusion module" if model.manifest.fusion else None)
    accelerator = make_accelerator(schedule.precision, schedule.accumulate)
    if not accelerator.is_main_process:
        listener = Listener(lambda *_: None, lambda _: None, lambda _: None)
    text_encoder = TextEncoder(options.text_encoder)
    parts = vqa_parts(read_vqa(options.vqa), Split(**model.manifest.training.get("split", {})))
    folder = out.with_name(out.name + ".fusion-training")
    used = [p for part in ("train", "validation") for p in parts[part]]
    unknown = {p.question for p in used if not text_encoder.knows(p.question)}
    if unknown:
        listener.remark(
            f"Left out: {len(unknown)} wordings, most of whose words {options.text_encoder} does "
            f"not know (such as “{min(unknown)}”)."
        )
    used = [p for p in used if p.question not in unknown]
    with accelerator.main_process_first():  # the others find the tokens computed
        images = ImageTokens(folder, model, [path for p in used for path in p.image])
        broken = images.fill(listener.decoding)
    for sentence in broken.values():
        listener.remark(f"Left out: {sentence}")
    usable = {
        part: [
            p for p in parts[part] if p.question not in unknown and not broken.keys() & {*p.image}
        ]
        for part in ("train", "validation")
    }
    if not usable["train"] or not usable["validation"]:
        raise InputError(
            f"{options.vqa} has {len(usable['train'])} questions to train on and "
            f"{len(usable['validation'])} to validate with; both are needed."
        )
    half = accelerator.mixed_precision == "bf16"
    llm = TorchLLM(options.llm, accelerator.device, options.four_bit, half)
    torch.manual_seed(schedule.seed)
    info = FusionInfo(
        options.kind, images.width, images.places, text_encoder.width, llm.width, llm.scale
    )
    stage = FusionStage(
        _first_weights(model, info),
        llm,
        images,
        QuestionTokens(text_encoder, accelerator.device),
        usable["train"],
        usable["validation"],
        options.samples or len(usable["train"]),
        options.head_epochs,
        schedule.seed,
    )
    fingerprint = {
        "vqa": str(options.vqa.resolve()),
        "questions": len(used),
        "encoder": model.manifest.encoder.sha256,
        "network": info.to_json(),
        "start": _sha256(model),
        "text_encoder": options.text_encoder,
        "llm": options.llm,
        "samples": stage.samples,
        "head_epochs": options.head_epochs,
    }
    trainer = Trainer(stage, schedule, folder, fingerprint, accelerator, listener.training)
    history = trainer.run()
    if not accelerator.is_main_process:
        return None
    from .fusion_finish import finish

    best = make_fusion(info)
    best.load_state_dict(trainer.best_state)
    training: dict[str, Any] = {
        "vqa": options.vqa.name,
        "command": options.command,
        "llm": options.llm,
        "questions": {part: len(pairs) for part, pairs in usable.items()},
        "kinds": dict(Counter(p.kind for p in usable["train"])),
        "languages": dict(Counter(p.language for p in usable["train"])),
        "samples": stage.samples,
        "head_epochs": options.head_epochs,
        "before": _before(model, info),
        "epochs": schedule.epochs,
        "batch": schedule.batch,
        "learning_rate": schedule.learning_rate,
        "best_epoch": trainer.best_epoch + 1,
        "seconds": round(trainer.seconds),
        "history": [{k: v for k, v in h.items() if k != "score"} for h in history],
    }
    llm_identity = identify_llm(options.llm)
    finish(best, text_encoder, model, out, llm_identity, training)
    shutil.rmtree(folder, ignore_errors=True)
    return out


def _goes_on(model: ModelFolder, info: FusionInfo) -> bool:
    """Whether a folder's fusion module has these dimensions, so that training goes on from it."""
    held = model.manifest.fusion
    alike = replace(info, scale=0.0)
    return held is not None and replace(FusionInfo(**held["network"]), scale=0.0) == alike


def _first_weights(model: ModelFolder, info: FusionInfo) -> Fusion:
    return load_fusion(model).train() if _goes_on(model, info) else make_fusion(info)


def _sha256(model: ModelFolder) -> str | None:
    path = model.path / FUSION_WEIGHTS
    return file_sha256(path) if path.is_file() else None


def _before(model: ModelFolder, info: FusionInfo) -> list[dict[str, Any]]:
    """Return the trainings that the first weights come from, the earliest first."""
    if not _goes_on(model, info) or model.manifest.fusion is None:
        return []
    earlier = model.manifest.fusion["training"]
    kept = {k: v for k, v in earlier.items() if k not in ("before", "history")}
    return [*earlier.get("before", []), kept]
