"""Which texts train and which are held out: the group of a text decides, by a hash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from .instructions import Instruction

_HELD_OUT = 0.2


def split_texts(
    texts: Sequence[Instruction], seed: int
) -> tuple[list[Instruction], list[Instruction]]:
    """Part texts into training and held-out ones; texts of one group stay together."""
    train: list[Instruction] = []
    held_out: list[Instruction] = []
    for text in texts:
        digest = hashlib.sha256(f"{seed}:{text.group}".encode()).digest()
        position = int.from_bytes(digest[:8], "big") / 2**64
        (held_out if position < _HELD_OUT else train).append(text)
    return train, held_out
