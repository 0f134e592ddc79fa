"""Batches for the language model: words, soft tokens from the fusion module, and the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..networks.language_model import TorchLanguageModel
from ..networks.text_encoder import TextEncoder
from ..prompts import IMAGE_PLACEHOLDER
from .turns import supervised_parts

#: Marks a position whose token is no target.
_IGNORED = -100


@dataclass(frozen=True)
class Sequences:
    """ids, int64 [B, T]; targets, int64 [B, T], -100 where nothing is to be learned; soft, bool
    [B, T], where soft tokens go; mask, int64 [B, T], 0 where padding is."""

    ids: Tensor
    targets: Tensor
    soft: Tensor
    mask: Tensor

    def after(self, position: int) -> Sequences:
        """Return the sequences from a position on."""
        ids, targets = self.ids[:, position:], self.targets[:, position:]
        return Sequences(ids, targets, self.soft[:, position:], self.mask[:, position:])


def encode_turns(
    llm: TorchLanguageModel, messages: list[dict[str, str]], soft_tokens: int
) -> tuple[list[int], list[int], list[bool]]:
    """Return ids, targets and positions of soft tokens of a conversation.

    Only what the assistant says is a target, with the mark that ends its turn. A placeholder in the
    text becomes `soft_tokens` positions. Raises UsageError as `supervised_parts`.
    """
    ids: list[int] = []
    targets: list[int] = []
    soft: list[bool] = []
    text, known = "", 0  # since the last placeholder: its text, and how many tokens it gave

    def add(piece: str, learned: bool) -> None:
        nonlocal text, known
        # The whole beginning again: what a word is split into may depend on what precedes it.
        tokens = llm.tokenize(text + piece)
        same = tokens[:known] == ids[len(ids) - known :]
        tokens = tokens[known:] if same else llm.tokenize(piece)
        ids.extend(tokens)
        targets.extend(tokens if learned else [_IGNORED] * len(tokens))
        soft.extend([False] * len(tokens))
        text, known = text + piece, known + len(tokens)

    for part, learned in supervised_parts(llm, messages):
        for number, piece in enumerate(part.split(IMAGE_PLACEHOLDER)):
            if number:
                ids.extend([0] * soft_tokens)
                targets.extend([_IGNORED] * soft_tokens)
                soft.extend([True] * soft_tokens)
                text, known = "", 0
            add(piece, learned)
    return ids, targets, soft


def pad(samples: Sequence[tuple[list[int], list[int], list[bool]]]) -> Sequences:
    """Pad conversations to one length."""
    length = max(len(ids) for ids, _, _ in samples)

    def fill(index: int, value: int) -> Tensor:
        padded = [[*s[index], *[value] * (length - len(s[index]))] for s in samples]
        return torch.tensor(padded)

    mask = torch.tensor([[1] * len(s[0]) + [0] * (length - len(s[0])) for s in samples])
    return Sequences(fill(0, 0), fill(1, _IGNORED), fill(2, 0).bool(), mask)


def token_losses(
    llm: TorchLanguageModel, batch: Sequences, soft_tokens: Tensor | None, frozen: bool = False
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each target token [N], and the number of the sample it belongs to [N].

    soft_tokens: [R, K, H] for the samples that have positions for them, in order; None if none has.
    frozen: nothing in the language model is trained, so what all samples begin with is computed
    once, unless the model is sharded: processes would then gather it at different times.
    """
    return llm.run(_token_losses, llm, batch, soft_tokens, frozen and not llm.sharded)


def _token_losses(
    llm: TorchLanguageModel, batch: Sequences, soft_tokens: Tensor | None, frozen: bool
) -> tuple[Tensor, Tensor]:
    device = llm.device
    whole = batch.mask.to(device)
    prefix: tuple[int, ...] = ()
    if frozen:
        prefix = _common_beginning(batch)
        batch = batch.after(len(prefix))
    embedded = llm.embed(batch.ids.to(device))  # [B, T, H]
    if soft_tokens is not None:
        positions = batch.soft.to(device)[:, :, None].expand_as(embedded)
        embedded = embedded.masked_scatter(positions, soft_tokens.to(embedded.dtype).reshape(-1))
    states = llm.hidden(embedded, whole, prefix)
    targets = batch.targets[:, 1:].to(device)
    learned = targets != _IGNORED
    # The vocabulary is a fifth of a small model's work: only where something is to be learned.
    logits = llm.logits(states[:, :-1][learned]).float()  # [N, V]
    losses = functional.cross_entropy(logits, targets[learned], reduction="none")
    return losses, learned.nonzero()[:, 0]


def _common_beginning(batch: Sequences) -> tuple[int, ...]:
    """Return the tokens that all samples begin with, up to the first soft token or target."""
    same = (batch.ids == batch.ids[:1]).all(dim=0) & (batch.mask == 1).all(dim=0)
    same &= ~batch.soft.any(dim=0) & (batch.targets == _IGNORED).all(dim=0)
    length = int(same.long().cumprod(dim=0).sum())
    # One position before the first target has to be computed, or there is nothing to learn from.
    return tuple(batch.ids[0, : max(0, length - 1)].tolist())


def answer_loss(llm: TorchLanguageModel, batch: Sequences, soft_tokens: Tensor | None) -> Tensor:
    """Return the mean negative log-likelihood of a whole answer; nothing in the language model is
    trained.

    Not the mean over an answer's tokens: it would give the one word that depends on the photograph
    a tenth of the weight in a sentence of ten tokens that it has alone.
    """
    losses, _ = token_losses(llm, batch, soft_tokens, frozen=True)
    return losses.sum() / len(batch.ids)


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
            for question, vector, own in zip(new, vectors, mask, strict=True):
                self._known[question] = vector[: int(own.sum())]
        found = [self._known[q] for q in questions]
        padded = nn.utils.rnn.pad_sequence(found, batch_first=True)
        mask = torch.zeros(padded.shape[:2])
        for own, vector in zip(mask, found, strict=True):
            own[: len(vector)] = 1
        return padded, mask
