"""Weights of words by how often they stand in a text and how rare they are elsewhere."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping


def unit_weights(words: Iterable[str], idf: Mapping[str, float]) -> dict[str, float]:
    """Return word -> weight, (1 + log count) times its inverse document frequency, of length one.

    Words that `idf` does not know are left out.
    """
    counts = Counter(word for word in words if word in idf)
    weights = {word: (1 + math.log(count)) * idf[word] for word, count in counts.items()}
    length = math.sqrt(sum(w * w for w in weights.values())) or 1.0
    return {word: w / length for word, w in weights.items()}
