"""Batches for a frozen language model: words, rows from the fusion module, and the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..fusion.prompt import PLACEHOLDER
from ..llm.torch_llm import TorchLLM

#: Marks a position whose token is no target.
_IGNORED = -100


@dataclass(frozen=True)
class Sequences:
    """ids, int64 [B, T]; targets, int64 [B, T], -100 where nothing is to be learned; rows, bool
    [B, T], where rows go; mask, int64 [B, T], 0 where padding is."""

    ids: Tensor
    targets: Tensor
    rows: Tensor
    mask: Tensor

    def after(self, position: int) -> Sequences:
        """Return the sequences from a position on."""
        ids, targets = self.ids[:, position:], self.targets[:, position:]
        return Sequences(ids, targets, self.rows[:, position:], self.mask[:, position:])


def encode_turns(
    llm: TorchLLM, messages: list[dict[str, str]], rows: int
) -> tuple[list[int], list[int], list[bool]]:
    """Return ids, targets and places of rows of a conversation.

    Only what the assistant says is a target, with the mark that ends its turn. A placeholder in the
    text becomes `rows` positions.
    """
    ids: list[int] = []
    targets: list[int] = []
    places: list[bool] = []

    def add(text: str, learned: bool) -> None:
        for number, piece in enumerate(text.split(PLACEHOLDER)):
            if number:
                ids.extend([0] * rows)
                targets.extend([_IGNORED] * rows)
                places.extend([True] * rows)
            tokens = llm.tokenize(piece)
            ids.extend(tokens)
            targets.extend(tokens if learned else [_IGNORED] * len(tokens))
            places.extend([False] * len(tokens))

    said = ""
    for number, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before = llm.render(messages[:number], answer_next=True)
        after = llm.render(messages[: number + 1], answer_next=False)
        add(before[len(said) :], learned=False)
        add(after[len(before) :].rstrip("\n"), learned=True)
        said = before + after[len(before) :].rstrip("\n")
    return ids, targets, places


def pad(samples: Sequence[tuple[list[int], list[int], list[bool]]]) -> Sequences:
    """Pad conversations to one length."""
    longest = max(len(ids) for ids, _, _ in samples)

    def fill(index: int, value: int) -> Tensor:
        rows = [[*s[index], *[value] * (longest - len(s[index]))] for s in samples]
        return torch.tensor(rows)

    mask = torch.tensor([[1] * len(s[0]) + [0] * (longest - len(s[0])) for s in samples])
    return Sequences(fill(0, 0), fill(1, _IGNORED), fill(2, 0).bool(), mask)


def token_losses(
    llm: TorchLLM, batch: Sequences, rows: Tensor | None, frozen: bool = False
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each target token [N], and the number of the sample it belongs to [N].

    rows: [R, K, H] for the samples that have places for them, in order; None if none has. frozen:
    nothing in the language model is trained, so what all samples begin with is computed once.
    """
    device = llm.device
    whole = batch.mask.to(device)
    prefix: tuple[int, ...] = ()
    if frozen:
        prefix = _common_beginning(batch)
        batch = batch.after(len(prefix))
    embedded = llm.embed(batch.ids.to(device))  # [B, T, H]
    if rows is not None:
        places = batch.rows.to(device)[:, :, None].expand_as(embedded)
        embedded = embedded.masked_scatter(places, rows.to(embedded.dtype).reshape(-1))
    states = llm.hidden(embedded, whole, prefix)
    targets = batch.targets[:, 1:].to(device)
    learned = targets != _IGNORED
    # The vocabulary is a fifth of a small model's work: only where something is to be learned.
    logits = llm.logits(states[:, :-1][learned]).float()  # [N, V]
    losses = functional.cross_entropy(logits, targets[learned], reduction="none")
    return losses, learned.nonzero()[:, 0]


def _common_beginning(batch: Sequences) -> tuple[int, ...]:
    """Return the tokens that all samples begin with, up to the first row or target."""
    same = (batch.ids == batch.ids[:1]).all(dim=0) & (batch.mask == 1).all(dim=0)
    same &= ~batch.rows.any(dim=0) & (batch.targets == _IGNORED).all(dim=0)
    length = int(same.long().cumprod(dim=0).sum())
    # One position before the first target has to be computed, or there is nothing to learn from.
    return tuple(batch.ids[0, : max(0, length - 1)].tolist())


def answer_loss(llm: TorchLLM, batch: Sequences, rows: Tensor | None) -> Tensor:
    """Return the mean negative log-likelihood of a whole answer; nothing in the language model is
    trained.

    Not the mean over an answer's tokens: it would give the one word that depends on the photograph
    a tenth of the weight in a sentence of ten tokens that it has alone.
    """
    losses, _ = token_losses(llm, batch, rows, frozen=True)
    return losses.sum() / len(batch.ids)
