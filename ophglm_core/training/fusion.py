"""Stage 2: the fusion module on visual question answering, everything else frozen."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..data.vqa import VqaPair, closed_answer
from ..fusion.network import ANSWERS, Fusion
from ..fusion.prompt import messages
from ..labels import LABELS
from ..llm.torch_llm import TorchLLM
from ..text_encoder.bert import TextEncoder
from .image_tokens import ImageTokens
from .loop import random_order
from .soft_prompt import answer_loss, encode_turns, pad

#: Validation questions whose language loss is computed after an epoch.
_JUDGED = 192
_BATCH = 32
#: The weight of the conditions that a photograph shows beside the answer to a question about it.
_SHOWN_SHARE = 0.3


class FusionStage:
    """The loss and the evaluation of the fusion module.

    In the first `head_epochs` only the closed-answer head learns, which takes a hundredth of the
    time and gives the language model rows that already tell pictures apart; then both learn.
    samples: questions an epoch draws from `train`, anew each time and none twice, those of rare
    kinds with a higher chance.
    """

    def __init__(
        self,
        fusion: Fusion,
        llm: TorchLLM,
        images: ImageTokens,
        questions: QuestionTokens,
        train: list[VqaPair],
        validation: list[VqaPair],
        samples: int,
        head_epochs: int,
        seed: int,
    ):
        self.module: nn.Module = fusion.to(llm.device)
        self.rows = fusion.info.rows if fusion.info.kind == "queries" else 1
        self.llm, self.images, self.questions = llm, images, questions
        self.train, self.head_epochs, self.seed = train, head_epochs, seed
        self.samples = min(samples, len(train))
        self.kinds = Counter(pair.kind for pair in train)
        closed = [p for p in validation if closed_answer(p) in ANSWERS]
        self.closed = random.Random(seed).sample(closed, min(len(closed), 8 * _JUDGED))
        self.judged = random.Random(seed).sample(validation, min(len(validation), _JUDGED))

    def order(self, seed: int, epoch: int, batch: int) -> list[int]:
        """Return the numbers in `train` of the questions that an epoch draws, in random order."""
        draw = random.Random(self.seed * 1009 + epoch)
        # Weighted and without replacement: Efraimidis and Spirakis 2006. The weight of a kind is
        # then the square root of its number.
        keys = [draw.random() ** math.sqrt(self.kinds[p.kind]) for p in self.train]
        drawn = sorted(range(len(keys)), key=keys.__getitem__, reverse=True)[: self.samples]
        return [drawn[i] for i in random_order(self.samples, seed, epoch)]

    def loss(
        self, model: nn.Module, indices: list[int], epoch: int, generator: torch.Generator
    ) -> Tensor:
        """The head's loss, and the cross-entropy of the answer's words given the rows."""
        pairs = [self.train[i] for i in indices]
        rows, logits = self._fuse(model, pairs)
        loss = head_loss(logits, pairs)
        if epoch >= self.head_epochs:
            return loss + self._language_loss(rows, pairs)
        # Several processes wait for the gradient of every weight, those of the rows too.
        return loss + 0 * rows.sum()

    def _fuse(self, model: nn.Module, pairs: list[VqaPair]) -> tuple[Tensor, Tensor]:
        device = self.llm.device
        images, shown = self.images.batch([p.image for p in pairs])
        text, mask = self.questions.batch([p.question for p in pairs])
        fused: tuple[Tensor, Tensor] = model(
            images.to(device), text.to(device), mask.to(device), shown.to(device)
        )
        return fused

    def _language_loss(self, rows: Tensor, pairs: list[VqaPair]) -> Tensor:
        return answer_loss(self.llm, pad([self._turns(p) for p in pairs]), rows)

    def _turns(self, pair: VqaPair) -> tuple[list[int], list[int], list[bool]]:
        said = [
            *messages(pair.question, pair.language),
            {"role": "assistant", "content": pair.answer},
        ]
        return encode_turns(self.llm, said, self.rows)

    def evaluate(self, module: nn.Module, epoch: int) -> dict[str, Any]:
        """Return the head's accuracy on closed questions and the language model's loss.

        The score is the loss with its sign turned; while only the head learns, it only grows.
        """
        module.eval()
        right = 0
        for start in range(0, len(self.closed), _BATCH):
            pairs = self.closed[start : start + _BATCH]
            chosen = self._fuse(module, pairs)[1][:, : len(ANSWERS)].argmax(dim=1).tolist()
            right += sum(ANSWERS[c] == closed_answer(p) for c, p in zip(chosen, pairs, strict=True))
        accuracy = right / max(1, len(self.closed))
        if epoch < self.head_epochs:
            return {"score": epoch - 1e6, "closed_accuracy": accuracy}
        total = 0.0
        for start in range(0, len(self.judged), _BATCH):
            pairs = self.judged[start : start + _BATCH]
            total += float(self._language_loss(self._fuse(module, pairs)[0], pairs)) * len(pairs)
        loss = total / max(1, len(self.judged))
        return {"score": -loss, "closed_accuracy": accuracy, "language_loss": loss}


class QuestionTokens:
    """Text tokens of questions; each is encoded once and kept in memory."""

    def __init__(self, encoder: TextEncoder, device: torch.device):
        self.encoder = encoder.to(device)
        self.device = device
        self._known: dict[str, Tensor] = {}

    def batch(self, questions: list[str]) -> tuple[Tensor, Tensor]:
        """Return vectors float32 [B, T, D] and their mask [B, T]."""
        new = [q for q in dict.fromkeys(questions) if q not in self._known]
        if new:
            ids, mask = self.encoder.tokenize(new)
            # In fp32, as in the local runtime.
            with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
                vectors = self.encoder(ids.to(self.device), mask.to(self.device)).cpu()
            for question, vector, row in zip(new, vectors, mask, strict=True):
                self._known[question] = vector[: int(row.sum())]
        found = [self._known[q] for q in questions]
        padded = nn.utils.rnn.pad_sequence(found, batch_first=True)
        mask = torch.zeros(padded.shape[:2])
        for row, vector in zip(mask, found, strict=True):
            row[: len(vector)] = 1
        return padded, mask


def head_loss(logits: Tensor, pairs: list[VqaPair]) -> Tensor:
    """Cross-entropy of the closed answers among `pairs`, and of the conditions that the photographs
    show where all are known; 0 if there is neither.

    logits: [B, len(ANSWERS) + len(LABELS)]. A question asks about one condition; what else the
    photograph shows makes six times as much of it, and not of the wording, to learn from.
    """
    loss = logits.sum() * 0
    answers = [closed_answer(p) for p in pairs]
    rows = [i for i, answer in enumerate(answers) if answer in ANSWERS]
    if rows:
        targets = [ANSWERS.index(str(answers[i])) for i in rows]
        loss = loss + functional.cross_entropy(
            logits[rows, : len(ANSWERS)].float(),
            torch.tensor(targets, device=logits.device),
            label_smoothing=0.05,
        )
    known = [i for i, pair in enumerate(pairs) if pair.complete]
    if known:
        shown = [[float(label in pairs[i].labels) for label in LABELS] for i in known]
        entropy = functional.binary_cross_entropy_with_logits(
            logits[known, len(ANSWERS) :].float(),
            torch.tensor(shown, device=logits.device),
            reduction="sum",
        )
        loss = loss + _SHOWN_SHARE * entropy / len(known)
    return loss
