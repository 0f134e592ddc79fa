"""A conversation as a file, to go on with another day.

The file holds what was asked and answered and where the photographs lie. These are read again when
it is opened, so that nothing rests on findings which a person could have changed in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..conditions import LabelSet
from ..errors import InputError
from ..files import read_text, write_text
from ..findings import Findings
from ..knowledge.library import entries
from .conversation import Chat
from .exchange import Exchange
from .parts import KINDS, AnswerPart
from .question import parse_question

_FORMAT = "ophglm-conversation-1"


@dataclass(frozen=True)
class Saved:
    """What a file holds: the photographs' paths, which eyes a person said they are, the identity of
    the model that read them, and the turns."""

    images: tuple[str, ...]
    eyes: tuple[str | None, ...]
    model: str
    exchanges: tuple[Exchange, ...]

    def with_eyes(self, findings: Sequence[Findings]) -> list[Findings]:
        """Return findings with the eyes that a person said."""
        return [
            f if eye is None else replace(f, laterality=eye, eye_given=True)
            for f, eye in zip(findings, self.eyes, strict=False)  # one named twice is one
        ]


def save(conversation: Chat, path: Path) -> None:
    """Write a conversation to a file. Raises InputError if it cannot be written."""
    values = {
        "format": _FORMAT,
        "model": conversation.about.get("model", ""),
        "images": [str(Path(f.image).resolve()) for f in conversation.findings],
        "eyes": [f.laterality if f.eye_given else None for f in conversation.findings],
        "exchanges": [
            {
                "question": e.text,
                "task": e.task,
                "parts": [{"kind": p.kind, "text": p.text, "source": p.source} for p in e.parts],
                "entries": [entry.id for entry in e.entries],
                "further": [entry.id for entry in e.further],
                "complete": e.complete,
            }
            for e in conversation.exchanges
        ],
    }
    write_text(path, json.dumps(values, ensure_ascii=False, indent=1) + "\n")


def read_saved(path: Path, labels: LabelSet) -> Saved:
    """Read what `save` wrote. labels: the model's.

    Raises InputError if it is no such file.
    """
    text = read_text(path)
    try:
        values = json.loads(text)
        if values["format"] != _FORMAT or len(values["eyes"]) != len(values["images"]):
            raise ValueError
        return Saved(
            tuple(map(str, values["images"])),
            tuple(eye if eye in ("left", "right") else None for eye in values["eyes"]),
            str(values["model"]),
            tuple(_exchange(e, labels) for e in values["exchanges"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path} is not a conversation that /save wrote.") from None


def _exchange(values: dict[str, Any], labels: LabelSet) -> Exchange:
    # An entry that a newer library no longer has is left out; what it said stands in the parts.
    library = {entry.id: entry for entry in entries()}
    parts = [AnswerPart(p["kind"], str(p["text"]), p["source"]) for p in values["parts"]]
    if any(part.kind not in KINDS for part in parts):
        raise ValueError
    return Exchange(
        parse_question(str(values["question"]), labels),
        values["task"],
        parts,
        tuple(library[i] for i in values["entries"] if i in library),
        tuple(library[i] for i in values["further"] if i in library),
        bool(values["complete"]),
    )
