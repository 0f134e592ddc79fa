"""Near-duplicates: texts that say the same in the same words, or nearly.

Texts are compared by the characters that they share in runs (Jaccard); MinHash finds the pairs
that are worth comparing, so that a hundred thousand texts take seconds.
"""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..wording import is_chinese
from .instructions import Instruction

#: Two texts that share this much of their runs of characters count as one.
THRESHOLD = 0.5
#: A shorter turn is a greeting or a stock phrase and tells nothing apart.
_SHORTEST = {False: 40, True: 16}
#: What stands in more dialogues than this is a stock phrase of the platform.
_STOCK = 5
_RUN = {False: 5, True: 3}
#: Rows a band and bands: a pair at the threshold is missed once in a hundred times.
_ROWS, _BANDS = 3, 36
_PRIME = (1 << 31) - 1
#: Of a crowd that hashes alike, each text is compared with this many.
_COMPARED = 20


def normalized(text: str) -> str:
    """Return a text in lower case without spaces, punctuation and the numbers of passages."""
    return re.sub(r"\W+", "", re.sub(r"\[\d+\]", "", text.lower()))


def telling(sample: Instruction) -> Iterator[str]:
    """Yield what tells a sample from others, normalized: its answers, and of a dialogue also what
    the patient says. Short turns are left out."""
    for message in sample.messages:
        if message["role"] == "assistant" or sample.topic == "dialogue":
            text = normalized(message["content"])
            if len(text) >= _SHORTEST[is_chinese(text)]:
                yield text


def owners(samples: Sequence[Instruction]) -> dict[str, list[int]]:
    """Return each telling text with the numbers of the samples that it stands in, without the
    stock phrases of dialogues."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, sample in enumerate(samples):
        for text in set(telling(sample)):
            found[text].append(number)
    return {
        text: numbers
        for text, numbers in found.items()
        if not (
            all(samples[i].topic == "dialogue" for i in numbers)
            and len({samples[i].group for i in numbers}) > _STOCK
        )
    }


def similar(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Return the pairs (numbers, the smaller first) of texts that are near-duplicates."""
    runs = [_runs(text) for text in texts]
    rng = np.random.default_rng(0)
    factor = rng.integers(1, _PRIME, _ROWS * _BANDS)[:, None]
    offset = rng.integers(0, _PRIME, _ROWS * _BANDS)[:, None]
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for number, run in enumerate(runs):
        if len(run):
            # int64 holds the product of two numbers of 31 bits.
            smallest = ((factor * run[None] + offset) % _PRIME).min(axis=1).astype(np.int32)
            for band, rows in enumerate(smallest.reshape(_BANDS, _ROWS)):
                buckets[band, rows.tobytes()].append(number)
    pairs = {
        (first, second)
        for numbers in buckets.values()
        for place, second in enumerate(numbers)
        for first in numbers[: min(place, _COMPARED)]
    }
    return sorted(pair for pair in pairs if _jaccard(runs[pair[0]], runs[pair[1]]) >= THRESHOLD)


def _runs(text: str) -> np.ndarray:
    """Return the hashes (31 bits) of a text's runs of characters, sorted, each once."""
    length = _RUN[is_chinese(text)]
    runs = {text[i : i + length] for i in range(len(text) - length + 1)}
    return np.array(sorted({zlib.crc32(r.encode()) & _PRIME for r in runs}), np.int64)


def _jaccard(first: np.ndarray, second: np.ndarray) -> float:
    shared = len(np.intersect1d(first, second, assume_unique=True))
    return shared / (len(first) + len(second) - shared)


def without_repeats(
    known: Sequence[Instruction], further: Sequence[Instruction]
) -> tuple[list[Instruction], int]:
    """Return `further` samples without those that say what a known one says, and their number.

    Those that say the same as each other get one group, so that no split parts them: the same
    patient who writes twice, or one dialogue in two files.
    """
    samples = [*known, *further]
    of = owners(samples)
    texts = list(of)
    same = [of[text] for text in texts]
    same += [of[texts[a]] + of[texts[b]] for a, b in similar(texts)]
    leader = {sample.group: sample.group for sample in samples}

    def lead(group: str) -> str:
        while leader[group] != group:
            leader[group] = leader[leader[group]]
            group = leader[group]
        return group

    repeats: set[int] = set()
    for numbers in same:
        if any(n < len(known) for n in numbers):
            repeats.update(n for n in numbers if n >= len(known))
            continue
        for number in numbers[1:]:
            first, second = lead(samples[numbers[0]].group), lead(samples[number].group)
            leader[max(first, second)] = min(first, second)
    kept = [
        replace(sample, group=lead(sample.group))
        for number, sample in enumerate(further, start=len(known))
        if number not in repeats
    ]
    return kept, len(repeats)
