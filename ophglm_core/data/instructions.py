"""The fine-tuning set: what a sample of text is, and how a set is read.

The shape is that of OphGLM's FundusTuning-CN (arXiv 2306.12174). Texts are not tied to pictures:
each carries the label it speaks of, and `pairing` brings both together as training runs.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import read_text

SUBSETS = (
    "visual_diagnosis",
    "causes_symptoms",
    "diagnosis_examination",
    "treatment_prevention",
    "prognosis_lifestyle",
    "conversations",
)


#: The label of what may be said before any photograph: it speaks of none.
ANY = "any"


@dataclass(frozen=True)
class Instruction:
    """One sample of text: an instruction with its answer, or a conversation.

    messages: of roles user and assistant, in turn. topic: what is asked ('treatment', ...), or the
    kind of conversation. label: the condition it speaks of, as a key, and it is paired with
    photographs of that condition only; ANY, and it is paired with all; or '', and it is plain text.
    group: of the statement, texts of one group never fall on both sides of a split; of dialogues
    the patient; '' is a text that always trains, since no statement stands behind it. named:
    whether the question is of this condition and could not be asked of several at once. facts,
    plain: the statement that the answer rests on, and its explanation in plain words, which a small
    model learns. question: the first one, where its message holds passages besides.
    """

    messages: tuple[dict[str, str], ...]
    subset: str
    topic: str
    label: str
    language: str
    source: str
    group: str
    named: bool = True
    facts: str = ""
    plain: str = ""
    question: str = ""

    @property
    def asked(self) -> str:
        """The first question, without passages."""
        return self.question or self.messages[0]["content"]

    @property
    def is_grounded(self) -> bool:
        """Whether the passages that answer it stand in the prompt."""
        return bool(self.question)

    @property
    def needs_photograph(self) -> bool:
        """Whether it tells what a photograph shows, and without one would be an invention."""
        return not self.group and self.label != ANY

    def to_json(self) -> dict[str, Any]:
        """Return the sample as a JSON line's values; 'messages' is what TRL and LLaMA-Factory
        read."""
        return {**asdict(self), "messages": list(self.messages)}


_FIELDS = frozenset(field.name for field in fields(Instruction))


def lines_of(path: Path) -> list[str]:
    """Return the lines of a text file that are not blank. Raises InputError."""
    return [line for line in read_text(path).splitlines() if line.strip()]


def read_instructions(folder: Path) -> list[Instruction]:
    """Read what `ophglm build-instructions` wrote. Raises InputError if a record cannot be used."""
    files = sorted(folder.glob("*.jsonl")) if folder.is_dir() else [folder]
    if not files:
        raise InputError(f"{folder} holds no .jsonl file; run ophglm build-instructions.")
    samples = []
    for path in files:
        for number, line in enumerate(lines_of(path), start=1):
            try:
                values = json.loads(line)
                messages = tuple(values["messages"])
                roles = [m["role"] for m in messages]
                if not messages or not all(isinstance(m["content"], str) for m in messages):
                    raise TypeError("no messages")
            except (ValueError, TypeError) as error:
                raise InputError(f"{path}, line {number} is not a sample ({error}).") from None
            except KeyError as error:
                raise InputError(f"{path}, line {number} lacks {error}.") from None
            if roles != [("user", "assistant")[i % 2] for i in range(len(roles))] or len(roles) % 2:
                raise InputError(
                    f"{path}, line {number}: turns must go user, assistant, user, assistant."
                )
            plain = Instruction(
                messages, path.stem, "", "", "en", path.name, f"{path.name}/{number}"
            )
            known = {k: v for k, v in values.items() if k in _FIELDS and k != "messages"}
            samples.append(replace(plain, **known))
    return samples
