"""What is known, in English and Chinese, each statement with its source.

The statements here are a few on each condition that is looked for, with what they mean in plain
words: the assistant says unasked what to do about a finding, and the language model learns from
them. What is asked is answered from the library (`library.py`, found by `retrieval.py`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

from ..conditions import CONDITIONS

#: Statements about the assistant itself rather than a condition.
GENERAL = "general"


@dataclass(frozen=True)
class Statement:
    """One statement about a condition, with its source.

    plain: what it means for a patient, in plain English; the language model learns to speak so.
    """

    condition: str
    topic: str
    en: str
    zh: str
    source: str
    plain: str = ""

    def text(self, language: str) -> str:
        """Return the statement in 'en' or 'zh'."""
        return self.zh if language == "zh" else self.en


@cache
def statements(condition: str) -> tuple[Statement, ...]:
    """Return all statements about a condition, by its label; none of one that is not known."""
    file = resources.files(__package__) / f"{condition}.json"
    if not file.is_file():
        return ()
    return tuple(
        Statement(condition, e["topic"], e["en"], e["zh"], e["source"], e["plain"])
        for e in json.loads(file.read_text(encoding="utf-8"))["entries"]
    )


def general(topic: str) -> Statement:
    """Return the statement about the assistant itself on 'certainty', 'limits' or 'scope'."""
    return next(s for s in statements(GENERAL) if s.topic == topic)


def meaning(condition: str) -> str:
    """Return in plain English what a finding means and what follows from it."""
    found = [on(condition, topic) for topic in ("definition", "urgency")]
    return " ".join(statement.plain for statement in found if statement is not None)


def on(condition: str, topic: str) -> Statement | None:
    """Return the first statement on a condition and topic, or None."""
    known = CONDITIONS.get(condition)
    subject = known.subject if known is not None and known.subject is not None else condition
    return next((s for s in statements(subject) if s.topic == topic), None)
