"""What a fine-tuning set holds, and what is wrong with it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import mean, median
from typing import Any

from ..safety.guard import states_certainty
from .deidentify import redact
from .instructions import Instruction
from .splits import split_texts

_SHOWN = 20


def statistics(samples: Sequence[Instruction]) -> dict[str, Any]:
    """Return counts, lengths, languages and duplicates, in all and by subset."""
    subsets: dict[str, list[Instruction]] = defaultdict(list)
    for sample in samples:
        subsets[sample.subset].append(sample)
    texts = Counter(_words(s) for s in samples)
    questions: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        questions[sample.messages[1]["content"]].add(sample.messages[0]["content"])
    return {
        "count": len(samples),
        "duplicates": sum(n - 1 for n in texts.values()),
        "repeated_answers": sum(len(q) > 1 for q in questions.values()),
        "labels": dict(Counter(s.label or "any" for s in samples).most_common()),
        "subsets": {
            subset: {
                "count": len(members),
                "en": sum(s.language == "en" for s in members),
                "zh": sum(s.language == "zh" for s in members),
                "turns": mean(len(s.messages) / 2 for s in members),
                "characters": round(median(len(_words(s)) for s in members)),
            }
            for subset, members in sorted(subsets.items())
        },
    }


def validate(samples: Sequence[Instruction]) -> list[str]:
    """Return a sentence for each kind of problem and sample, the first of them."""
    found = []
    for number, sample in enumerate(samples, start=1):
        name = f"sample {number} ({sample.group})"
        if not all(m["content"].strip() for m in sample.messages):
            found.append(f"{name} has an empty turn")
        answers = [m["content"] for m in sample.messages if m["role"] == "assistant"]
        if sample.label and any(states_certainty(text) for text in answers):
            found.append(f"{name} states a disease as certain or gives a dose")
        if redact(_words(sample))[1]:
            found.append(f"{name} holds traces of a person")
    train, held_out = split_texts(list(samples), seed=0)
    shared = {_words(s) for s in train} & {_words(s) for s in held_out}
    found += [f"on both sides of the split: {text[:60]}…" for text in sorted(shared)]
    more = len(found) - _SHOWN
    return found[:_SHOWN] + ([f"and {more} more"] if more > 0 else [])


def _words(sample: Instruction) -> str:
    return "\n".join(m["content"] for m in sample.messages)
