"""Fits the index of the library, after each change of its entries:

    python -m ophglm_core.data.build_knowledge_index

Needs scipy (`pip install '.[evaluate]'`) and some fifteen minutes on two cores, most of them for
the sentence vectors of the wordings.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import knowledge
from ..knowledge.library import (
    GENERAL_SUBJECTS,
    LANGUAGES,
    Entry,
    entries,
    subjects_named,
)
from ..knowledge.retrieval import INDEX, features, weigh, with_subject
from ..runtime.sentence import SentenceEncoder
from .fitted import read_lines, write_arrays

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

#: Ridge penalty, weight of the sentence vector beside the words, and dimensions that are kept:
#: chosen on held-out wordings.
_PENALTY, _SEMANTIC, _DIMENSIONS = 0.6, 4.0, 192
_MINIMUM_TEXTS = 2
#: How exactly the ridge regression is solved: the share of what is wanted that may be left.
_TOLERANCE = 1e-3
#: What people ask that has nothing to do with eyes: it is to lead nowhere, so it is fitted to zero.
_OFF_TOPIC = "off_topic_lines.json"


def make_index() -> dict[str, np.ndarray]:
    """Fit the projections of both languages; see `retrieval`."""
    from scipy import sparse

    library = entries()
    embed = cache(SentenceEncoder().embed)
    off_topic: dict[str, list[str]] = read_lines(_OFF_TOPIC)
    texts: dict[str, list[str]] = {language: [] for language in LANGUAGES}
    owner: dict[str, list[int]] = {language: [] for language in LANGUAGES}
    for language in LANGUAGES:
        for number, entry in enumerate(library):
            own = _texts_of(entry, language)
            texts[language] += own
            owner[language] += [number] * len(own)
        texts[language] += off_topic[language]
    means = np.stack([_mean_of(entry, embed) for entry in library])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    means -= means.mean(axis=0)
    _, _, directions = np.linalg.svd(means, full_matrices=False)
    targets = means @ directions[:_DIMENSIONS].T
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    index = {
        "ids": np.array("\n".join(e.id for e in library)),
        "entries": targets.astype(np.float16),
    }
    for language in LANGUAGES:
        idf = _idf(texts[language], language)
        words = {word: column for column, word in enumerate(idf)}
        matrix = sparse.lil_matrix((len(texts[language]), len(words)), dtype=np.float32)
        for row, text in enumerate(texts[language]):
            for word, share in weigh(text, language, idf).items():
                matrix[row, words[word]] = share
        matrix = matrix.tocsr()
        # The vectors of all sentences lie close together: what sets them apart is compared.
        vectors = np.stack([embed(text) for text in texts[language]])  # [N, 384]
        middle = vectors.mean(axis=0)
        vectors -= middle
        weight = _SEMANTIC / (vectors**2).sum(axis=1).mean()
        wanted = np.zeros((len(texts[language]), targets.shape[1]), np.float32)
        wanted[: len(owner[language])] = targets[owner[language]]
        duals = _ridge(matrix, np.sqrt(weight) * vectors, wanted)
        projection = matrix.T @ duals  # [words, D]
        scale = np.abs(projection).max(axis=1, keepdims=True) / 127 + 1e-12
        # An entry's answer is the last of its texts; none is without a word that is known.
        last = np.flatnonzero(np.diff([*owner[language], -1]))
        answers = matrix[last]
        index |= {
            f"starts_{language}": answers.indptr[:-1].astype(np.int32),
            f"columns_{language}": answers.indices.astype(np.uint16),
            f"weights_{language}": answers.data.astype(np.float16),
            f"words_{language}": np.array("\n".join(words)),
            f"idf_{language}": np.array(list(idf.values()), np.float32),
            f"projection_{language}": np.rint(projection / scale).astype(np.int8),
            f"scale_{language}": scale[:, 0].astype(np.float32),
        }
        semantic = (weight * vectors.T @ duals).astype(np.float16)
        index[f"semantic_{language}"] = semantic
        index[f"offset_{language}"] = middle @ semantic.astype(np.float32)
    return index


def _ridge(words: csr_matrix, vectors: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Solve (W Wᵀ + V Vᵀ + penalty) duals = wanted, all columns at a time, by conjugate gradients
    (Hestenes and Stiefel 1952).

    words: W, [N, words]. vectors: V, [N, 384]. wanted: [N, D]. The kernel itself, of 25,000 texts
    squared, would take gigabytes, and the LAPACK of numpy and scipy crashes on it.
    """
    duals = np.zeros_like(wanted)
    rest, step = wanted.copy(), wanted.copy()
    left = (rest**2).sum(axis=0)
    goal = _TOLERANCE**2 * left
    while (left > goal).any():
        image = words @ (words.T @ step) + vectors @ (vectors.T @ step) + _PENALTY * step
        length = left / (step * image).sum(axis=0)
        duals += length * step
        rest -= length * image
        before, left = left, (rest**2).sum(axis=0)
        step = rest + left / before * step
    return duals


def _mean_of(entry: Entry, embed: Callable[[str], np.ndarray]) -> np.ndarray:
    """Return the mean vector of an entry's texts, as they stand, in both languages, [384]."""
    own = [t for language in LANGUAGES for t in (*entry.questions[language], entry.text(language))]
    mean: np.ndarray = np.mean([embed(text) for text in own], axis=0)
    return mean


def _texts_of(entry: Entry, language: str) -> list[str]:
    """Return the texts that lead to an entry, its answer last.

    A wording that names no subject is there once more with it, as `Retriever.search` compares what
    is asked of what was spoken of.
    """
    result = []
    for wording in entry.questions[language]:
        result.append(wording)
        if entry.subject not in GENERAL_SUBJECTS and not subjects_named(wording):
            result.append(with_subject(wording, entry.subject, language))
    return [*result, entry.text(language)]


def _idf(texts: list[str], language: str) -> dict[str, float]:
    """Return the smoothed inverse document frequency of words that stand in two texts or more."""
    counts: dict[str, int] = {}
    for text in texts:
        for word in set(features(text, language)):
            counts[word] = counts.get(word, 0) + 1
    return {
        word: float(np.log((1 + len(texts)) / (1 + count)) + 1)
        for word, count in sorted(counts.items())
        if count >= _MINIMUM_TEXTS
    }


if __name__ == "__main__":
    write_arrays(Path(knowledge.__file__).with_name(INDEX), make_index())
