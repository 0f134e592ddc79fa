"""Splits that need no list: a hash of the patient's id, or of a text's group, decides."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .instructions import Instruction
from .records import Record

_HELD_OUT_TEXTS = 0.2
#: With this seed about a fifth of each subset and of each condition's texts is held out.
_TEXT_SEED = 29


def _position(seed: int, name: str) -> float:
    """Return a number in 0..1 that follows from seed and name."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


@dataclass(frozen=True)
class Split:
    """How a set is parted into train, validation and test.

    A patient's part follows from a hash of seed and id, so both eyes fall on the same side, the
    split needs no file, and adding patients moves none of the others.

    Example: `Split(seed=1).part("patient 17")` is 'train', 'validation' or 'test'.
    """

    validation: float = 0.1
    test: float = 0.2
    seed: int = 0

    def part(self, patient: str) -> str:
        """Return 'train', 'validation' or 'test' for a patient."""
        position = _position(self.seed, patient)
        if position < self.test:
            return "test"
        return "validation" if position < self.test + self.validation else "train"

    def parts(self, records: Sequence[Record], labels: Iterable[str]) -> dict[str, list[Record]]:
        """Part records by patient.

        Pictures of which neither all of `labels` nor the grade is known can train a network but
        would flatter or blur a measurement, so they train, unless no others are there.
        """
        labels = tuple(labels)
        complete = [r.can_judge(labels) for r in records]
        judge_all = not any(complete)
        result: dict[str, list[Record]] = {"train": [], "validation": [], "test": []}
        for record, known in zip(records, complete, strict=True):
            part = self.part(record.patient) if known or judge_all else "train"
            result[part].append(record)
        return result

    def to_json(self) -> dict[str, Any]:
        """Return the split as plain values for a manifest."""
        return asdict(self)


def is_held_out(group: str) -> bool:
    """Whether the texts of a group are held out of a training; the same for each training, so that
    no model is measured on what another seed has taught it."""
    return bool(group) and _position(_TEXT_SEED, group) < _HELD_OUT_TEXTS


def split_texts(texts: Sequence[Instruction]) -> tuple[list[Instruction], list[Instruction]]:
    """Part texts into training and held-out ones; texts of one group stay together."""
    train: list[Instruction] = []
    held_out: list[Instruction] = []
    for text in texts:
        (held_out if is_held_out(text.group) else train).append(text)
    return train, held_out
