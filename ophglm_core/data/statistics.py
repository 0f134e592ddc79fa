"""What a fine-tuning set holds, and what is wrong with it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cache
from statistics import mean, median
from typing import Any

from ..conditions import CONDITIONS
from ..safety.guard import states_certainty
from .instructions import Instruction
from .near_duplicates import normalized, owners, similar
from .splits import is_held_out
from .traces import traces

_SHOWN = 20


def statistics(samples: Sequence[Instruction]) -> dict[str, Any]:
    """Return counts, lengths, languages, topics and duplicates, in all and by subset.

    'grounded' is the share with numbered passages in the prompt, 'held_out' the share that no
    training sees.
    """
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
        "languages": dict(Counter(s.language for s in samples).most_common()),
        "topics": dict(Counter(s.topic for s in samples).most_common()),
        "labels": dict(Counter(s.label or "none" for s in samples).most_common()),
        "grounded": _share([s.is_grounded for s in samples]),
        "held_out": _share([is_held_out(s.group) for s in samples]),
        "subsets": {
            subset: {
                "count": len(members),
                "en": sum(s.language == "en" for s in members),
                "zh": sum(s.language == "zh" for s in members),
                "grounded": _share([s.is_grounded for s in members]),
                "turns": mean(len(s.messages) / 2 for s in members),
                "characters": round(median(len(_words(s)) for s in members)),
            }
            for subset, members in sorted(subsets.items())
        },
    }


def _share(values: Sequence[bool]) -> float:
    return round(sum(values) / max(1, len(values)), 3)


def card(samples: Sequence[Instruction]) -> str:
    """Return the README of a set: what it holds, in Markdown."""
    counts = statistics(samples)
    rows = [
        f"| {name} | {row['count']} | {row['en']} | {row['zh']} | {row['grounded']:.0%} "
        f"| {row['turns']:.1f} |"
        for name, row in counts["subsets"].items()
    ]
    topics = ", ".join(f"{topic} {n}" for topic, n in counts["topics"].items())
    labels = ", ".join(f"{label} {n}" for label, n in counts["labels"].items())
    return "\n".join(
        [
            "# Fine-tuning texts",
            "",
            f"{counts['count']} samples, one JSON object a line with `messages`. In "
            f"{counts['grounded']:.0%} the prompt has numbered passages, and the answer cites the "
            f"one that it is from. {counts['held_out']:.0%} are held out: all that speaks of their "
            "subject's topic, in either language.",
            "",
            "| subset | samples | en | zh | grounded | turns |",
            "| --- | --- | --- | --- | --- | --- |",
            *rows,
            "",
            f"Topics: {topics}.",
            "",
            f"Photographs that they may be paired with: {labels} (`any`: all photographs; `none`: "
            "plain text).",
            "",
        ]
    )


def validate(samples: Sequence[Instruction]) -> list[str]:
    """Return a sentence for each kind of problem and sample, the first of them."""
    found = []
    suspect, certain = cache(traces), cache(states_certainty)  # a turn stands in many samples
    for number, sample in enumerate(samples, start=1):
        name = f"sample {number} ({sample.group})"
        if not all(m["content"].strip() for m in sample.messages):
            found.append(f"{name} has an empty turn")
        answers = [m["content"] for m in sample.messages if m["role"] == "assistant"]
        if sample.label in CONDITIONS and any(certain(text) for text in answers):
            found.append(f"{name} states a disease as certain or gives a dose")
        suspected = [trace for m in sample.messages for trace in suspect(m["content"])]
        if suspected:
            found.append(f"{name} holds traces of a person ({suspected[0]})")
    more = len(found) - _SHOWN
    found = found[:_SHOWN] + ([f"and {more} more"] if more > 0 else [])
    return [*_leaks(samples), *found]


def _leaks(samples: Sequence[Instruction]) -> list[str]:
    """Return a sentence for each language in which an answer stands on both sides of the split,
    word for word or nearly."""
    said = []
    for language in sorted({s.language for s in samples}):
        chosen = [s for s in samples if s.language == language]
        of = owners(chosen)
        texts = list(of)
        sides = [{is_held_out(chosen[n].group) for n in of[text]} for text in texts]
        leaking = {i: i for i, side in enumerate(sides) if len(side) == 2}
        for a, b in similar(texts):
            for held, other in ((a, b), (b, a)):
                if True in sides[held] and False in sides[other]:
                    leaking.setdefault(held, other)
        held_out = sum(True in side for side in sides)
        if leaking:
            held, other = next(iter(leaking.items()))
            first, second = (_as_written(chosen[of[texts[i]][0]], texts[i]) for i in (held, other))
            said.append(
                f"{language}: {len(leaking)} of {held_out} held-out answers stand in the training "
                f"part too, word for word or nearly: “{first[:80]}…” and “{second[:80]}…”"
            )
    return said


def _as_written(sample: Instruction, text: str) -> str:
    """Return the turn of a sample that is `text` when normalized."""
    return next(m["content"] for m in sample.messages if normalized(m["content"]) == text)


def _words(sample: Instruction) -> str:
    return "\n".join(m["content"] for m in sample.messages)
