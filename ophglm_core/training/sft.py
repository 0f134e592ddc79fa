"""Stage 3: the language model learns to speak of photographs, by an adapter."""

from __future__ import annotations

import hashlib
import math
import random
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any

import psutil
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from ..assets import reads_gguf, resolve_llm
from ..conditions import LabelSet
from ..data.duplicates import read_sets
from ..data.instructions import Instruction, read_instructions
from ..data.pairing import EvenPool, Pairing, drawn_findings, picture_labels
from ..data.records import Record
from ..data.report import ReadReport
from ..data.splits import Split, split_texts
from ..errors import InputError, UsageError
from ..export.adapter_gguf import GgufLayout, adapter_layout, write_adapter_gguf
from ..export.parity import adapter_parity
from ..manifest import AdapterPart
from ..model_folder import (
    ADAPTER_GGUF,
    folder_to_write,
    open_model,
    save_manifest,
    write_model_folder,
)
from ..networks.fusion import Fusion, load_fusion
from ..networks.language_model import TorchLanguageModel
from ..networks.lora import adapted_layers, adapter_parameters, add_adapter, write_peft
from ..networks.sharding import launched_sharding
from ..networks.text_encoder import TextEncoder
from ..prompts import IMAGE_PLACEHOLDER, prompt_with_facts, system_prompt
from ..wording import describe, joined
from .batches import QuestionTokens, Sequences, encode_turns, pad, token_losses
from .caches import ImageTokens
from .config import LANGUAGES, Callbacks, SftConfig
from .trainer import TrainingResult, random_order
from .turns import check_template

#: Held-out texts whose loss is computed after an epoch.
_JUDGED = 128
_BATCH_SIZE = 8
#: Batches over which samples of like length are gathered.
_BUCKET = 16
#: How often a photograph is told of by its findings alone, as for `chat --evidence findings`.
_FINDINGS_ONLY_SHARE = 0.3
#: How often a sample has its facts in the prompt, as a conversation has them.
_FACTS_SHARE = 0.6


@dataclass(frozen=True)
class Sample:
    """One conversation as it is trained on.

    messages: of roles system, user and assistant. question: the first. image: the photograph that
    soft tokens are made of.
    """

    messages: list[dict[str, str]]
    question: str
    image: str | None = None

    @property
    def length(self) -> int:
        """Characters of all messages, about four a token."""
        return sum(len(m["content"]) for m in self.messages)


class AdapterModule(nn.Module):
    """The adapter's parameters as a module, with the frozen language model behind them.

    So the training loop copies, averages and saves the adapter and not the language model.
    """

    def __init__(self, llm: TorchLanguageModel):
        super().__init__()
        parameters = adapter_parameters(llm.model)
        self.names = list(parameters)
        self.weights = nn.ParameterList(parameters.values())
        self._llm = [llm]  # in a list: not a module of this one

    def __deepcopy__(self, memo: dict[int, Any]) -> AdapterModule:
        copied = AdapterModule.__new__(AdapterModule)
        nn.Module.__init__(copied)
        copied.names = self.names
        copied.weights = nn.ParameterList(nn.Parameter(w.detach().clone()) for w in self.weights)
        copied._llm = self._llm
        return copied

    def forward(self, batch: Sequences, soft_tokens: Tensor | None) -> tuple[Tensor, Tensor]:
        """See batches.token_losses."""
        return token_losses(self._llm[0], batch, soft_tokens)

    @torch.no_grad()
    def load_into_llm(self) -> list[Tensor]:
        """Give these weights to the language model; return those that it had."""
        live = adapter_parameters(self._llm[0].model)
        before = [p.detach().clone() for p in live.values()]
        for parameter, weight in zip(live.values(), self.weights, strict=True):
            parameter.copy_(weight)
        return before


class SftStage:
    """The data, the loss, the evaluation and the model folder of the adapter.

    Encoder and fusion module stay as they are. Each epoch, photographs draw other texts of
    their labels. Raises InputError and UsageError.
    """

    name = "adapter"
    module: nn.Module

    def __init__(self, config: SftConfig):
        if set(config.languages) - set(LANGUAGES):
            raise UsageError(f"Languages are {' and '.join(LANGUAGES)}.")
        self.config, self.model = config, open_model(config.model)
        held = "an adapter" if self.model.manifest.adapter else None
        self.out = folder_to_write(self.model, config.out, held)
        self.state_folder = self.out.with_name(self.out.name + ".sft-training")
        self.all_texts = read_instructions(config.data)
        train, held_out = split_texts(self.all_texts)
        self.texts = [t for t in train if t.language in config.languages]
        judged = [t for t in held_out if t.language in config.languages]
        if not self.texts or not judged:
            raise InputError(f"{config.data} has too few texts in {', '.join(config.languages)}.")
        random.Random(config.seed).shuffle(judged)
        self.judged = judged[:_JUDGED]
        self.pairing = Pairing(self.texts, config.seed)
        self.alone = EvenPool(t for t in self.texts if not t.needs_photograph)
        self.tokens = 0
        self._epoch = (-1, [Sample([], "")])
        self.images: ImageTokens | None = None
        self.fusion: Fusion | None = None
        self.questions: QuestionTokens | None = None
        self.pictures: list[tuple[Record, tuple[str, ...]]] = []

    def prepare(self, accelerator: Accelerator, callbacks: Callbacks) -> None:
        """Load the networks and compute image tokens; see trainer.Stage."""
        config = self.config
        half = accelerator.mixed_precision == "bf16"
        sharding = launched_sharding(accelerator, config.four_bit)
        self.llm = TorchLanguageModel(
            config.llm, accelerator.device, config.four_bit, half, sharding
        )
        check_template(self.llm)
        self.identity = self.llm.identity()
        if config.photographs:
            self._check_fusion()
        torch.manual_seed(config.seed)
        self.llm.model = add_adapter(
            self.llm.model, config.rank, config.alpha, target_modules=config.target_modules
        )
        layers = adapted_layers(self.llm.model)
        listed = joined([f"{name} ({count})" for name, count in layers.items()])
        callbacks.remark(f"The adapter is on {listed}.")
        self.layout = self._layout(callbacks)
        if config.gradient_checkpointing or (sharding is not None and sharding.checkpointing):
            self.llm.model.gradient_checkpointing_enable({"use_reentrant": False})
            self.llm.model.enable_input_require_grads()
        self.llm.model.train()
        if config.photographs:
            self._prepare_photographs(accelerator, callbacks)
        self.module = AdapterModule(self.llm)
        with accelerator.autocast():
            self.untrained_loss = self.held_out_loss()
        callbacks.remark(f"Held-out loss before training: {self.untrained_loss:.4f}")

    def _check_fusion(self) -> None:
        """Raise UsageError if the fusion module's soft tokens are another language model's."""
        fusion = self.model.manifest.fusion
        held = None if fusion is None else self.model.manifest.llm_of(fusion)
        if held is not None and not held.same_as(self.identity):
            raise UsageError(
                f"The fusion module of {self.model.path} belongs to {held.name} and not to "
                f"{self.identity.name}; train one for it (train-fusion), or omit --photographs."
            )

    def _layout(self, callbacks: Callbacks) -> GgufLayout | None:
        """Return where llama.cpp has the adapter's layers.

        Of a GGUF it must; else the adapter is for the torch runtime alone, and that is said.
        """
        if reads_gguf(self.config.llm):
            return adapter_layout(self.llm.model, resolve_llm(self.config.llm))
        try:
            return adapter_layout(self.llm.model)
        except UsageError as error:
            callbacks.remark(f"{error} The adapter will be for the torch runtime alone.")
            return None

    def _prepare_photographs(self, accelerator: Accelerator, callbacks: Callbacks) -> None:
        model = self.model
        fusion = load_fusion(model)
        assert model.manifest.fusion is not None  # load_fusion has raised otherwise
        split = Split(**model.manifest.split)
        report = ReadReport()
        sets = read_sets(self.config.photographs, report)
        found = [record for records in sets.values() for record in records]
        for sentence in report.sentences():
            callbacks.remark(sentence)
        records = split.parts(found, model.conditions)["train"]
        with accelerator.main_process_first():
            self.images = ImageTokens(self.state_folder, model, [str(r.image) for r in records])
            broken = self.images.fill(callbacks.decoding)
        for sentence in broken.values():
            callbacks.remark(f"Excluded: {sentence}")
        labelled = [
            (r, picture_labels(r, model.labels)) for r in records if str(r.image) not in broken
        ]
        self.pictures = [(record, labels) for record, labels in labelled if labels]
        self.fusion = fusion.to(self.llm.device).eval().requires_grad_(False)
        encoder = TextEncoder(model.manifest.fusion.text_encoder)
        self.questions = QuestionTokens(encoder, accelerator.device)

    @property
    def text_share(self) -> float:
        """The share of samples without a picture."""
        return self.config.text_share if self.pictures else 1.0

    @property
    def samples(self) -> int:
        """Number of samples that an epoch draws."""
        return self.config.samples or len(self.texts)

    def fingerprint(self) -> dict[str, Any]:
        """See trainer.Stage."""
        texts = "".join(repr(t.messages) for t in self.all_texts)
        return {
            "texts": hashlib.sha256(texts.encode()).hexdigest(),
            "pictures": len(self.pictures),
            "encoder": self.model.manifest.encoder.sha256,
        }

    def order(self, seed: int, epoch: int, batch_size: int) -> list[int]:
        """Return a random order in which samples of like length share a batch, so that little is
        padded."""
        samples = self.epoch_samples(epoch)
        order = random_order(self.samples, seed, epoch)
        batches: list[list[int]] = []
        for start in range(0, len(order), _BUCKET * batch_size):
            bucket = order[start : start + _BUCKET * batch_size]
            bucket.sort(key=lambda i: samples[i].length)
            batches += [bucket[i : i + batch_size] for i in range(0, len(bucket), batch_size)]
        # The last batch may be short; it stays where the loop expects it.
        last = [b for b in batches if len(b) < batch_size]
        full = [b for b in batches if len(b) == batch_size]
        random.Random(f"{seed}:{epoch}").shuffle(full)
        return [i for b in full + last for i in b]

    def loss(
        self, model: nn.Module, indices: list[int], epoch: int, generator: torch.Generator
    ) -> Tensor:
        """Cross-entropy of the assistant's words, each sample's mean, over the batch."""
        samples = self.epoch_samples(epoch)
        batch, soft_tokens = self.encode([samples[i] for i in indices])
        self.tokens += int(batch.mask.sum())
        losses, owners = model(batch, soft_tokens)
        count = torch.bincount(owners, minlength=len(indices)).clamp_min(1)
        result: Tensor = (losses / count[owners]).sum() / len(indices)
        return result

    def epoch_samples(self, epoch: int) -> list[Sample]:
        """Return an epoch's samples, in the order drawn."""
        if self._epoch[0] != epoch:
            rng = random.Random(f"{self.config.seed}:{epoch}")
            self._epoch = (epoch, [self._draw(rng, epoch, n) for n in range(self.samples)])
        return self._epoch[1]

    def _draw(self, rng: random.Random, epoch: int, number: int) -> Sample:
        if rng.random() >= self.text_share:
            record, labels = rng.choice(self.pictures)
            language = rng.choice(self.config.languages)
            text = self.pairing.draw(labels, epoch, number, language)
            if text is not None:
                return with_picture(text, str(record.image), labels, self.model.labels, rng)
        alone = self.alone.draw(rng) or rng.choice(self.texts)
        return without_picture(alone, rng)

    def encode(self, samples: list[Sample]) -> tuple[Sequences, Tensor | None]:
        """Return a padded batch and the soft tokens [R, K, H] of its pictures."""
        soft_tokens, count = self._soft_tokens(samples)
        encoded = []
        for sample in samples:
            ids, targets, soft = encode_turns(self.llm, sample.messages, count)
            # What is too long loses its end; the photograph and the question stand before it.
            end = self.config.max_length
            encoded.append((ids[:end], targets[:end], soft[:end]))
        return pad(encoded), soft_tokens

    @torch.no_grad()
    def _soft_tokens(self, samples: list[Sample]) -> tuple[Tensor | None, int]:
        shown = [s for s in samples if s.image is not None]
        if not shown or self.images is None or self.fusion is None or self.questions is None:
            return None, 0
        device = self.llm.device
        images, mask = self.images.batch([(str(s.image),) for s in shown])
        text, words = self.questions.batch([s.question for s in shown])
        fused, _ = self.fusion(
            images.to(device), text.to(device), words.to(device), mask.to(device)
        )
        return fused, int(fused.shape[1])

    def evaluate(self, module: nn.Module, epoch: int) -> dict[str, Any]:
        """Return the loss a token of held-out texts, and its perplexity; the score is its
        negative."""
        assert isinstance(module, AdapterModule)
        before = module.load_into_llm()
        set_dropout(self.llm.model, False)
        try:
            loss = self.held_out_loss()
        finally:
            live = adapter_parameters(self.llm.model)
            for parameter, weight in zip(live.values(), before, strict=True):
                parameter.data.copy_(weight)
            set_dropout(self.llm.model, True)
        return {"score": -loss, "held_out_loss": loss, "perplexity": math.exp(loss)}

    @torch.no_grad()
    def held_out_loss(self) -> float:
        """Mean loss a token of the held-out texts, as they are asked in a conversation."""
        total, count = 0.0, 0
        for start in range(0, len(self.judged), _BATCH_SIZE):
            texts = self.judged[start : start + _BATCH_SIZE]
            batch, _ = self.encode([without_picture(t, random.Random(t.group)) for t in texts])
            losses, _ = token_losses(self.llm, batch, None)
            total, count = total + float(losses.sum()), count + len(losses)
        return total / max(1, count)

    def write_model_folder(self, result: TrainingResult, callbacks: Callbacks) -> None:
        """Write the adapter into the folder, which starts as a copy of the model."""
        config = self.config
        assert isinstance(self.module, AdapterModule)
        self.module.load_state_dict(result.best_state)
        speed = self.tokens / max(1e-9, result.seconds)
        memory = peak_memory()
        callbacks.remark(f"{speed:.0f} tokens a second; at most {memory:.1f} GiB of memory.")
        with write_model_folder(self.out, self.model) as folder:
            result.write_curve(folder, callbacks)
            write_peft(self.llm.model, folder)
            manifest = open_model(folder).manifest
            manifest.name = self.out.name
            manifest.adapter = AdapterPart(
                config.rank,
                config.alpha,
                bool(self.pictures),
                self._training(result, round(speed), round(memory, 1)),
                llm=self.identity,
            )
            if manifest.fusion is None:
                manifest.llm = self.identity
            if self.layout is not None:
                write_adapter_gguf(folder, self.layout)
            else:
                (folder / ADAPTER_GGUF).unlink(missing_ok=True)  # of the adapter before
            if reads_gguf(config.llm):
                manifest.adapter.parity = adapter_parity(folder, config.llm)
            save_manifest(folder, manifest)

    def _training(self, result: TrainingResult, speed: int, memory: float) -> dict[str, Any]:
        config = self.config
        return {
            "command": config.command,
            "llm": config.llm,
            "texts": dict(Counter(t.subset for t in self.texts)),
            "held_out": len(self.judged),
            "photographs": len(self.pictures),
            "text_share": self.text_share,
            "languages": list(config.languages),
            "samples": self.samples,
            "epochs": config.epochs,
            "batch_size": config.batch_size,
            "learning_rate": config.learning_rate,
            "seed": config.seed,
            "best_epoch": result.best_epoch + 1,
            "seconds": round(result.seconds),
            "tokens_per_second": speed,
            "memory_gib": memory,
            "held_out_loss_before": self.untrained_loss,
            "history": [{k: v for k, v in h.items() if k != "score"} for h in result.history],
        }


def peak_memory() -> float:
    """Return the most memory that this process has held so far, in GiB."""
    try:
        import resource
    except ImportError:  # Windows
        return float(psutil.Process().memory_info().peak_wset) / 2**30
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)  # bytes there, KiB elsewhere


def set_dropout(model: nn.Module, on: bool) -> None:
    """Switch drop-out on or off, and nothing else.

    eval() would do more: bitsandbytes then packs 4-bit weights on a CPU into a form that cannot be
    trained through.
    """
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.train(on)


def without_picture(text: Instruction, rng: random.Random) -> Sample:
    """Return a text as a sample without a picture; often with its facts, as in a conversation."""
    messages = [
        {"role": "system", "content": system_prompt(language=text.language)},
        *text.messages,
    ]
    return Sample(_with_facts(messages, text, rng), text.asked)


def with_picture(
    text: Instruction,
    image: str,
    labels: tuple[str, ...],
    label_set: LabelSet,
    rng: random.Random,
) -> Sample:
    """Return a text as a sample about a picture: its findings in the prompt and, mostly, its soft
    tokens before the first question, as a conversation has them.

    labels: of the picture; label_set: of the model.
    """
    findings = drawn_findings(labels, label_set, rng)
    told = system_prompt([describe(findings, label_set, text.language)], text.language)
    first, *rest = text.messages
    content = first["content"]
    shown = None if rng.random() < _FINDINGS_ONLY_SHARE else image
    messages = [
        {"role": "system", "content": told},
        {"role": "user", "content": content if shown is None else IMAGE_PLACEHOLDER + content},
        *rest,
    ]
    return Sample(_with_facts(messages, text, rng), text.asked, shown)


def _with_facts(
    messages: list[dict[str, str]], text: Instruction, rng: random.Random
) -> list[dict[str, str]]:
    if not text.plain or len(messages) != 3 or rng.random() >= _FACTS_SHARE:
        return [dict(m) for m in messages]
    system, user, _ = messages
    asked = user["content"]
    if text.topic != "visual":
        asked = prompt_with_facts(asked, [text.facts], text.language)
    return [
        system,
        {"role": "user", "content": asked},
        {"role": "assistant", "content": text.plain},
    ]
