"""`sft` as a function: a model folder and texts in, the folder with an adapter out."""

from __future__ import annotations

import hashlib
import resource
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..data.instructions import read_instructions
from ..data.records import Record, read_records
from ..data.split import Split
from ..data.text_split import split_texts
from ..errors import InputError
from ..fusion.export import load_fusion
from ..llm.adapter import add_adapter
from ..llm.torch_llm import TorchLLM
from ..modelfolder import folder_to_write, open_model
from ..text_encoder.bert import TextEncoder
from .encoder_run import Listener
from .fusion import QuestionTokens
from .image_tokens import ImageTokens
from .loop import Schedule, Trainer, make_accelerator
from .sft import SftStage


@dataclass(frozen=True)
class SftOptions:
    """What `sft` can be told. out: None writes into the model folder itself.

    photographs: labelled sets whose pictures are paired with texts. text_share: the share of
    samples without a picture. longest: tokens of a sample, beyond which its end is cut.
    """

    model: Path | str
    data: Path
    photographs: tuple[Path, ...] = ()
    out: Path | None = None
    llm: str | None = None
    four_bit: bool = False
    gradient_checkpointing: bool = False
    rank: int = 16
    alpha: int = 32
    text_share: float = 0.3
    samples: int = 0
    longest: int = 320
    languages: tuple[str, ...] = ("en",)
    command: str = ""


def sft(options: SftOptions, schedule: Schedule, listener: Listener) -> Path | None:
    """Fine-tune the language model by an adapter and write that into a model folder.

    Encoder and fusion stay as they are. A run that was stopped goes on when called again with the
    same options. Where several processes train, all but the first return None. Raises InputError
    and UsageError.
    """
    model = open_model(options.model)
    out = folder_to_write(model, options.out, "an adapter" if model.manifest.adapter else None)
    texts = read_instructions(options.data)
    train, held_out = split_texts(texts, schedule.seed)
    train = [t for t in train if t.language in options.languages]
    if not train or not held_out:
        raise InputError(f"{options.data} has too few texts in {', '.join(options.languages)}.")
    accelerator = make_accelerator(schedule.precision, schedule.accumulate)
    if not accelerator.is_main_process:
        listener = Listener(lambda *_: None, lambda _: None, lambda _: None)
    half = accelerator.mixed_precision == "bf16"
    llm = TorchLLM(options.llm, accelerator.device, options.four_bit, half)
    torch.manual_seed(schedule.seed)
    llm.model = add_adapter(llm.model, options.rank, options.alpha)
    if options.gradient_checkpointing:
        llm.model.gradient_checkpointing_enable({"use_reentrant": False})
        llm.model.enable_input_require_grads()
    llm.model.train()
    folder = out.with_name(out.name + ".sft-training")
    records = _training_pictures(options, Split(**model.manifest.training.get("split", {})))
    images = fusion = questions = None
    if records:
        fusion = load_fusion(model)
        assert model.manifest.fusion is not None  # load_fusion has raised otherwise
        with accelerator.main_process_first():
            images = ImageTokens(folder, model, [str(r.image) for r in records])
            broken = images.fill(listener.decoding)
        for sentence in broken.values():
            listener.remark(f"Left out: {sentence}")
        records = [r for r in records if str(r.image) not in broken]
        encoder = TextEncoder(model.manifest.fusion["text_encoder"])
        questions = QuestionTokens(encoder, accelerator.device)
    stage = SftStage(
        llm,
        train,
        held_out,
        records,
        images,
        fusion,
        questions,
        options.text_share,
        options.samples or len(train),
        options.longest,
        options.languages,
        schedule.seed,
    )
    with accelerator.autocast():
        untrained = stage.held_out_loss()
    listener.remark(f"Held-out loss before training: {untrained:.4f}")
    digest = hashlib.sha256("".join(repr(t.messages) for t in texts).encode()).hexdigest()
    fingerprint = {
        "texts": digest,
        "pictures": len(stage.pictures),
        "encoder": model.manifest.encoder.sha256,
        **{
            name: getattr(options, name)
            for name in ("llm", "rank", "alpha", "text_share", "samples", "longest", "languages")
        },
    }
    trainer = Trainer(stage, schedule, folder, fingerprint, accelerator, listener.training)
    history = trainer.run()
    if not accelerator.is_main_process:
        return None
    stage.module.load_state_dict(trainer.best_state)
    speed = stage.tokens / max(1e-9, trainer.seconds)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / 1024
    listener.remark(f"{speed:.0f} tokens a second; at most {memory:.1f} GiB of memory.")
    from .sft_finish import finish

    training: dict[str, Any] = {
        "command": options.command,
        "llm": options.llm,
        "texts": dict(Counter(t.subset for t in train)),
        "held_out": len(stage.judged),
        "photographs": len(stage.pictures),
        "text_share": stage.text_share,
        "languages": list(options.languages),
        "samples": stage.samples,
        "epochs": schedule.epochs,
        "batch": schedule.batch,
        "learning_rate": schedule.learning_rate,
        "seed": schedule.seed,
        "best_epoch": trainer.best_epoch + 1,
        "seconds": round(trainer.seconds),
        "tokens_per_second": round(speed),
        "memory_gib": round(memory, 1),
        "held_out_loss_before": untrained,
        "history": [{k: v for k, v in h.items() if k != "score"} for h in history],
    }
    finish(llm, options, model, out, training)
    shutil.rmtree(folder, ignore_errors=True)
    return out


def _training_pictures(options: SftOptions, split: Split) -> list[Record]:
    records = [r for data in options.photographs for r in read_records(data)]
    return split.parts(records)["train"]
