"""Patient-wise splits that need no list: the patient's id decides."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .records import Record


@dataclass(frozen=True)
class Split:
    """How a set is parted into train, validation and test.

    A patient's part follows from a hash of seed and id, so both eyes fall on the same side, the
    split needs no file, and adding patients moves none of the others.
    """

    validation: float = 0.1
    test: float = 0.2
    seed: int = 0

    def part(self, patient: str) -> str:
        """Return 'train', 'validation' or 'test' for a patient."""
        digest = hashlib.sha256(f"{self.seed}:{patient}".encode()).digest()
        position = int.from_bytes(digest[:8], "big") / 2**64
        if position < self.test:
            return "test"
        return "validation" if position < self.test + self.validation else "train"

    def parts(self, records: Sequence[Record]) -> dict[str, list[Record]]:
        """Part records by patient.

        Pictures of which not every label is known can train a network but would flatter or blur a
        measurement, so they train, unless no picture with complete labels is there.
        """
        judge_all = not any(r.complete for r in records)
        result: dict[str, list[Record]] = {"train": [], "validation": [], "test": []}
        for record in records:
            part = self.part(record.patient) if record.complete or judge_all else "train"
            result[part].append(record)
        return result

    def to_json(self) -> dict[str, Any]:
        """Return the split as plain values for a manifest."""
        return asdict(self)
