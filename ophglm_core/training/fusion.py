"""Stage 2: the fusion module on visual question answering, everything else frozen."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import asdict, replace
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional

from ..conditions import LabelSet
from ..data.build_vqa import example_prompts
from ..data.splits import Split
from ..data.vqa import VqaPair, closed_answer, read_vqa, vqa_parts
from ..errors import InputError, UsageError
from ..export.onnx import write_fusion, write_text_encoder
from ..export.parity import measure_parity
from ..files import file_sha256
from ..manifest import CLOSED_ANSWERS, FusionInfo, FusionPart
from ..model_folder import (
    FUSION_WEIGHTS,
    folder_to_write,
    open_model,
    save_manifest,
    write_model_folder,
)
from ..networks.fusion import Fusion, load_fusion, make_fusion
from ..networks.language_model import TorchLanguageModel
from ..networks.sharding import launched_sharding
from ..networks.text_encoder import TextEncoder
from ..prompts import vqa_messages
from .batches import QuestionTokens, answer_loss, encode_turns, pad
from .caches import ImageTokens
from .config import FUSION_KINDS, Callbacks, FusionConfig
from .trainer import TrainingResult, random_order
from .turns import check_template

#: Validation questions whose language loss is computed after an epoch.
_JUDGED = 192
_BATCH_SIZE = 32
#: The weight of the conditions that a photograph shows beside the answer to a question about it.
_CONDITIONS_SHARE = 0.3
#: Prompts of the parity check: enough to see a fault; `ophglm export` asks a hundred.
_PARITY_PROMPTS = 20


class FusionStage:
    """The data, the loss, the evaluation and the model folder of the fusion module.

    Encoder, text encoder and language model stay as they are. Where the folder has a fusion module
    of the same dimensions, training goes on from it. In the first `head_epochs` only the
    closed-answer head learns, which takes a hundredth of the time and gives the language model soft
    tokens that already tell pictures apart; then both learn. An epoch draws its questions, none
    twice, those of rare kinds with a higher chance. Raises InputError and UsageError.
    """

    name = "fusion"
    module: nn.Module

    def __init__(self, config: FusionConfig):
        if config.fusion not in FUSION_KINDS:
            raise UsageError(f"'{config.fusion}' is no fusion; use {' or '.join(FUSION_KINDS)}.")
        self.config, self.model = config, open_model(config.model)
        self.start = open_model(config.start) if config.start is not None else self.model
        held = "a fusion module" if self.model.manifest.fusion else None
        self.out = folder_to_write(self.model, config.out, held)
        self.state_folder = self.out.with_name(self.out.name + ".fusion-training")
        split = Split(**self.model.manifest.split)
        self.parts = vqa_parts(read_vqa(config.vqa), split)

    def prepare(self, accelerator: Accelerator, callbacks: Callbacks) -> None:
        """Load the networks and compute image tokens; see trainer.Stage."""
        config = self.config
        text_encoder = TextEncoder(config.text_encoder)
        used = [p for part in ("train", "validation") for p in self.parts[part]]
        unknown = {p.question for p in used if not text_encoder.in_vocabulary(p.question)}
        if unknown:
            callbacks.remark(
                f"Excluded: {len(unknown)} wordings, most of whose words {config.text_encoder} "
                f"does not know (such as “{min(unknown)}”)."
            )
        paths = [path for p in used if p.question not in unknown for path in p.image]
        with accelerator.main_process_first():  # the others find the tokens computed
            self.images = ImageTokens(self.state_folder, self.model, paths)
            broken = self.images.fill(callbacks.decoding)
        for sentence in broken.values():
            callbacks.remark(f"Excluded: {sentence}")
        self.usable = {
            part: [
                p
                for p in self.parts[part]
                if p.question not in unknown and not broken.keys() & {*p.image}
            ]
            for part in ("train", "validation")
        }
        self.train, validation = self.usable["train"], self.usable["validation"]
        if not self.train or not validation:
            raise InputError(
                f"{config.vqa} has {len(self.train)} questions to train on and {len(validation)} "
                "to validate with; both are needed."
            )
        half = accelerator.mixed_precision == "bf16"
        sharding = launched_sharding(accelerator, config.four_bit)
        self.llm = TorchLanguageModel(
            config.llm, accelerator.device, config.four_bit, half, sharding
        )
        check_template(self.llm)
        torch.manual_seed(config.seed)
        self.info = FusionInfo(
            config.fusion,
            self.images.width,
            self.images.patches,
            text_encoder.width,
            self.llm.width,
            self.llm.scale,
            len(self.model.conditions),
        )
        self.module = self._first_weights().to(self.llm.device)
        self.soft_tokens = self.info.soft_tokens if config.fusion == "queries" else 1
        self.questions = QuestionTokens(text_encoder, accelerator.device)
        self.kinds = Counter(pair.kind for pair in self.train)
        closed = [p for p in validation if closed_answer(p) in CLOSED_ANSWERS]
        rng = random.Random(config.seed)
        self.closed = rng.sample(closed, min(len(closed), 8 * _JUDGED))
        rng = random.Random(config.seed)
        self.judged = rng.sample(validation, min(len(validation), _JUDGED))

    def _continues(self) -> bool:
        """Whether a fusion module of these dimensions is there: training goes on from it."""
        held = self.start.manifest.fusion
        # The conditions that its small head gives may be others.
        like = replace(self.info, scale=0.0, labels=0)
        return held is not None and replace(held.network, scale=0.0, labels=0) == like

    def _first_weights(self) -> Fusion:
        fusion = make_fusion(self.info)
        if self._continues():
            state, fresh = load_fusion(self.start).state_dict(), fusion.state_dict()
            fusion.load_state_dict(
                {k: v if v.shape == fresh[k].shape else fresh[k] for k, v in state.items()}
            )
        return fusion

    @property
    def samples(self) -> int:
        """Number of questions that an epoch draws."""
        wanted = self.config.samples or len(self.train)
        return min(wanted, len(self.train))

    def fingerprint(self) -> dict[str, Any]:
        """See trainer.Stage."""
        start = self.model.path / FUSION_WEIGHTS
        return {
            "vqa": str(self.config.vqa.resolve()),
            "questions": sum(len(pairs) for pairs in self.usable.values()),
            "encoder": self.model.manifest.encoder.sha256,
            "network": asdict(self.info),
            "start": file_sha256(start) if start.is_file() else None,
        }

    def order(self, seed: int, epoch: int, batch_size: int) -> list[int]:
        """Return the numbers in `train` of the questions that an epoch draws, in random order."""
        rng = random.Random(seed * 1009 + epoch)
        # Weighted and without replacement: Efraimidis and Spirakis 2006. The weight of a kind is
        # then the square root of its number.
        keys = [rng.random() ** math.sqrt(self.kinds[p.kind]) for p in self.train]
        drawn = sorted(range(len(keys)), key=keys.__getitem__, reverse=True)[: self.samples]
        return [drawn[i] for i in random_order(self.samples, seed, epoch)]

    def loss(
        self, model: nn.Module, indices: list[int], epoch: int, generator: torch.Generator
    ) -> Tensor:
        """The head's loss, and the cross-entropy of the answer's words given the soft tokens."""
        pairs = [self.train[i] for i in indices]
        soft_tokens, logits = self._fuse(model, pairs)
        loss = head_loss(logits, pairs, self.model.conditions)
        if epoch >= self.config.head_epochs:
            return loss + self._language_loss(soft_tokens, pairs)
        # Several processes wait for the gradient of every weight, those of the soft tokens too.
        return loss + 0 * soft_tokens.sum()

    def _fuse(self, model: nn.Module, pairs: list[VqaPair]) -> tuple[Tensor, Tensor]:
        device = self.llm.device
        images, shown = self.images.batch([p.image for p in pairs])
        text, mask = self.questions.batch([p.question for p in pairs])
        fused: tuple[Tensor, Tensor] = model(
            images.to(device), text.to(device), mask.to(device), shown.to(device)
        )
        return fused

    def _language_loss(self, soft_tokens: Tensor, pairs: list[VqaPair]) -> Tensor:
        return answer_loss(self.llm, pad([self._turns(p) for p in pairs]), soft_tokens)

    def _turns(self, pair: VqaPair) -> tuple[list[int], list[int], list[bool]]:
        messages = [
            *vqa_messages(pair.question, pair.language),
            {"role": "assistant", "content": pair.answer},
        ]
        return encode_turns(self.llm, messages, self.soft_tokens)

    def evaluate(self, module: nn.Module, epoch: int) -> dict[str, Any]:
        """Return the head's accuracy on closed questions and the language model's loss.

        The score is the loss with its sign turned; while only the head learns, it only grows.
        """
        module.eval()
        right = 0
        for start in range(0, len(self.closed), _BATCH_SIZE):
            pairs = self.closed[start : start + _BATCH_SIZE]
            chosen = self._fuse(module, pairs)[1][:, : len(CLOSED_ANSWERS)].argmax(dim=1).tolist()
            right += sum(
                CLOSED_ANSWERS[c] == closed_answer(p) for c, p in zip(chosen, pairs, strict=True)
            )
        accuracy = right / max(1, len(self.closed))
        if epoch < self.config.head_epochs:
            return {"score": epoch - 1e6, "closed_accuracy": accuracy}
        total = 0.0
        for start in range(0, len(self.judged), _BATCH_SIZE):
            pairs = self.judged[start : start + _BATCH_SIZE]
            total += float(self._language_loss(self._fuse(module, pairs)[0], pairs)) * len(pairs)
        loss = total / max(1, len(self.judged))
        return {"score": -loss, "closed_accuracy": accuracy, "language_loss": loss}

    def write_model_folder(self, result: TrainingResult, callbacks: Callbacks) -> None:
        """Write the fusion module into the folder, which starts as a copy of the model.

        The parity of the two runtimes is measured where llama.cpp can run the language model, and
        kept in the manifest; what it misses is left for `ophglm export` to refuse, so that no
        training is lost.
        """
        fusion = make_fusion(self.info)
        fusion.load_state_dict(result.best_state)
        llm = self.llm.identity()
        with write_model_folder(self.out, self.model) as folder:
            result.write_curve(folder, callbacks)
            write_fusion(fusion, folder)
            write_text_encoder(self.questions.encoder, folder)
            manifest = open_model(folder).manifest
            if manifest.adapter is not None:
                # It stays with the language model that it was trained with.
                manifest.adapter.llm = manifest.llm_of(manifest.adapter)
            manifest.name, manifest.llm = self.out.name, llm
            manifest.fusion = FusionPart(
                self.info, self.config.text_encoder, self._training(result), llm=llm
            )
            save_manifest(folder, manifest)
            if llm.file is not None:
                try:
                    prompts = example_prompts(_PARITY_PROMPTS)
                    parity = measure_parity(open_model(folder), prompts, self.config.llm)
                    manifest.fusion.parity = parity.to_json()
                except UsageError as error:
                    manifest.fusion.parity = {"error": str(error)}
            save_manifest(folder, manifest)

    def _training(self, result: TrainingResult) -> dict[str, Any]:
        config = self.config
        return {
            "vqa": config.vqa.name,
            "command": config.command,
            "llm": config.llm,
            "questions": {part: len(pairs) for part, pairs in self.usable.items()},
            "kinds": dict(self.kinds),
            "languages": dict(Counter(p.language for p in self.train)),
            "samples": self.samples,
            "head_epochs": config.head_epochs,
            "before": self._before(),
            "epochs": config.total_epochs,
            "batch_size": config.batch_size,
            "learning_rate": config.learning_rate,
            "best_epoch": result.best_epoch + 1,
            "seconds": round(result.seconds),
            "history": [{k: v for k, v in h.items() if k != "score"} for h in result.history],
        }

    def _before(self) -> list[dict[str, Any]]:
        """Return the trainings that the first weights come from, the earliest first."""
        held = self.start.manifest.fusion
        if held is None or not self._continues():
            return []
        kept = {k: v for k, v in held.training.items() if k not in ("before", "history")}
        return [*held.training.get("before", []), kept]


def head_loss(logits: Tensor, pairs: list[VqaPair], labels: LabelSet) -> Tensor:
    """Cross-entropy of the closed answers among `pairs`, and of the conditions that the photographs
    show where all are known; 0 if there is neither.

    logits: [B, len(CLOSED_ANSWERS) + len(labels)]. A question asks about one condition; what else
    the photograph shows makes six times as much of it, and not of the wording, to learn from.
    """
    loss = logits.sum() * 0
    answers = [closed_answer(p) for p in pairs]
    closed = [i for i, answer in enumerate(answers) if answer in CLOSED_ANSWERS]
    if closed:
        targets = [CLOSED_ANSWERS.index(str(answers[i])) for i in closed]
        loss = loss + functional.cross_entropy(
            logits[closed, : len(CLOSED_ANSWERS)].float(),
            torch.tensor(targets, device=logits.device),
            label_smoothing=0.05,
        )
    known = [i for i, pair in enumerate(pairs) if pair.complete]
    if known:
        shown = [[float(label in pairs[i].labels) for label in labels] for i in known]
        entropy = functional.binary_cross_entropy_with_logits(
            logits[known, len(CLOSED_ANSWERS) :].float(),
            torch.tensor(shown, device=logits.device),
            reduction="sum",
        )
        loss = loss + _CONDITIONS_SHARE * entropy / len(known)
    return loss
