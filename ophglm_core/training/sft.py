"""Stage 3: the language model learns to speak of photographs, by an adapter."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..data.instructions import Instruction
from ..data.pairing import Pairing, drawn_findings, picture_labels
from ..data.records import Record
from ..findings import describe
from ..fusion.network import Fusion
from ..fusion.prompt import PLACEHOLDER
from ..llm.adapter import adapter_parameters
from ..llm.torch_llm import TorchLLM
from ..prompts import ask_with_facts, system_prompt
from .fusion import QuestionTokens
from .image_tokens import ImageTokens
from .loop import random_order
from .soft_prompt import Sequences, encode_turns, pad, token_losses

#: Held-out texts whose loss is computed after an epoch.
_JUDGED = 128
_BATCH = 8
#: Batches over which samples of like length are gathered.
_BUCKET = 16
#: How often a photograph is told of by its findings alone, as for `chat --evidence findings`.
_TOLD_SHARE = 0.3
#: How often a sample has its facts in the prompt, as a conversation has them.
_FACTS_SHARE = 0.6


@dataclass(frozen=True)
class Sample:
    """One conversation as it is trained on: messages, and the photographs that rows are made of."""

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

    def __init__(self, llm: TorchLLM):
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

    def forward(self, batch: Sequences, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        """See soft_prompt.token_losses."""
        return token_losses(self._llm[0], batch, rows)

    @torch.no_grad()
    def load_into_llm(self) -> list[Tensor]:
        """Give these weights to the language model; return those that it had."""
        live = adapter_parameters(self._llm[0].model)
        before = [p.detach().clone() for p in live.values()]
        for parameter, weight in zip(live.values(), self.weights, strict=True):
            parameter.copy_(weight)
        return before


class SftStage:
    """The loss and the evaluation of the adapter.

    train, held_out: texts. records: photographs that are paired with texts of their labels, anew
    each epoch; images, fusion, questions: how they become rows, or None for texts alone.
    text_share: the share of samples without a picture. samples: how many an epoch draws.
    """

    def __init__(
        self,
        llm: TorchLLM,
        train: list[Instruction],
        held_out: list[Instruction],
        records: list[Record],
        images: ImageTokens | None,
        fusion: Fusion | None,
        questions: QuestionTokens | None,
        text_share: float,
        samples: int,
        longest: int,
        languages: tuple[str, ...],
        seed: int,
    ):
        self.llm, self.longest, self.languages, self.seed = llm, longest, languages, seed
        self.module: nn.Module = AdapterModule(llm)
        self.texts = [t for t in train if t.language in languages]
        self.images, self.questions = images, questions
        self.fusion = fusion.to(llm.device).eval().requires_grad_(False) if fusion else None
        self.pairing = Pairing(self.texts, seed)
        self.pictures = [(r, picture_labels(r)) for r in records] if images else []
        self.pictures = [(r, labels) for r, labels in self.pictures if labels]
        self.text_share = text_share if self.pictures else 1.0
        self.samples = samples
        judged = [t for t in held_out if t.language in languages]
        random.Random(seed).shuffle(judged)
        self.judged = judged[:_JUDGED]
        self.tokens = 0
        self._epoch = (-1, [Sample([], "")])

    def order(self, seed: int, epoch: int, batch: int) -> list[int]:
        """Return a random order in which samples of like length share a batch, so that little is
        padded."""
        samples = self.epoch_samples(epoch)
        order = random_order(self.samples, seed, epoch)
        batches: list[list[int]] = []
        for start in range(0, len(order), _BUCKET * batch):
            bucket = sorted(order[start : start + _BUCKET * batch], key=lambda i: samples[i].length)
            batches += [bucket[i : i + batch] for i in range(0, len(bucket), batch)]
        # The last batch may be short; it stays where the loop expects it.
        last = [b for b in batches if len(b) < batch]
        full = [b for b in batches if len(b) == batch]
        random.Random(f"{seed}:{epoch}").shuffle(full)
        return [i for b in full + last for i in b]

    def loss(
        self, model: nn.Module, indices: list[int], epoch: int, generator: torch.Generator
    ) -> Tensor:
        """Cross-entropy of the assistant's words, each sample's mean, over the batch."""
        samples = self.epoch_samples(epoch)
        batch, rows = self.encode([samples[i] for i in indices])
        self.tokens += int(batch.mask.sum())
        losses, owners = model(batch, rows)
        count = torch.bincount(owners, minlength=len(indices)).clamp_min(1)
        result: Tensor = (losses / count[owners]).sum() / len(indices)
        return result

    def epoch_samples(self, epoch: int) -> list[Sample]:
        """Return an epoch's samples, in the order drawn."""
        if self._epoch[0] != epoch:
            draw = random.Random(f"{self.seed}:{epoch}")
            self._epoch = (epoch, [self._draw(draw, epoch, n) for n in range(self.samples)])
        return self._epoch[1]

    def _draw(self, draw: random.Random, epoch: int, number: int) -> Sample:
        if draw.random() >= self.text_share:
            record, labels = draw.choice(self.pictures)
            language = draw.choice(self.languages)
            text = self.pairing.draw(labels, epoch, number, language)
            if text is not None:
                return with_picture(text, str(record.image), labels, draw)
        return alone(draw.choice(self.texts), draw)

    def encode(self, samples: list[Sample]) -> tuple[Sequences, Tensor | None]:
        """Return a padded batch and the rows [R, K, H] of its pictures."""
        rows, count = self._rows(samples)
        encoded = []
        for sample in samples:
            ids, targets, places = encode_turns(self.llm, sample.messages, count)
            # What is too long loses its end; the photograph and the question stand before it.
            encoded.append((ids[: self.longest], targets[: self.longest], places[: self.longest]))
        return pad(encoded), rows

    @torch.no_grad()
    def _rows(self, samples: list[Sample]) -> tuple[Tensor | None, int]:
        shown = [s for s in samples if s.image is not None]
        if not shown or self.images is None or self.fusion is None or self.questions is None:
            return None, 0
        device = self.llm.device
        images, mask = self.images.batch([(str(s.image),) for s in shown])
        text, words = self.questions.batch([s.question for s in shown])
        rows, _ = self.fusion(images.to(device), text.to(device), words.to(device), mask.to(device))
        return rows, int(rows.shape[1])

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
        return {
            "score": -loss,
            "held_out_loss": loss,
            "perplexity": math.exp(loss),
        }

    @torch.no_grad()
    def held_out_loss(self) -> float:
        """Mean loss a token of the held-out texts, as they are asked in a conversation."""
        total, count = 0.0, 0
        for start in range(0, len(self.judged), _BATCH):
            texts = self.judged[start : start + _BATCH]
            batch, _ = self.encode([alone(t, random.Random(t.group)) for t in texts])
            losses, _ = token_losses(self.llm, batch, None)
            total, count = total + float(losses.sum()), count + len(losses)
        return total / max(1, count)


def set_dropout(model: nn.Module, on: bool) -> None:
    """Switch drop-out on or off, and nothing else.

    eval() would do more: bitsandbytes then packs 4-bit weights on a CPU into a form that cannot be
    trained through.
    """
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.train(on)


def alone(text: Instruction, draw: random.Random) -> Sample:
    """Return a text as a sample without a picture; often with its facts, as in a conversation."""
    messages = [
        {"role": "system", "content": system_prompt(language=text.language)},
        *text.messages,
    ]
    return Sample(_with_facts(messages, text, draw), text.messages[0]["content"])


def with_picture(
    text: Instruction, image: str, labels: tuple[str, ...], draw: random.Random
) -> Sample:
    """Return a text as a sample about a picture: its findings in the prompt and, mostly, its rows
    before the first question, as a conversation has them."""
    findings = drawn_findings(image, labels, draw)
    told = system_prompt([describe(findings, text.language)], text.language)
    first, *rest = text.messages
    question = first["content"]
    shown = None if draw.random() < _TOLD_SHARE else image
    messages = [
        {"role": "system", "content": told},
        {"role": "user", "content": question if shown is None else PLACEHOLDER + question},
        *rest,
    ]
    return Sample(_with_facts(messages, text, draw), question, shown)


def _with_facts(
    messages: list[dict[str, str]], text: Instruction, draw: random.Random
) -> list[dict[str, str]]:
    if not text.plain or len(messages) != 3 or draw.random() >= _FACTS_SHARE:
        return [dict(m) for m in messages]
    system, user, _ = messages
    asked = user["content"]
    if text.topic != "visual":
        asked = ask_with_facts(asked, [text.facts], text.language)
    return [
        system,
        {"role": "user", "content": asked},
        {"role": "assistant", "content": text.plain},
    ]
