"""Fits the index of the library, after each change of its entries:

    python -m ophglm_core.data.build_knowledge_index

Needs scipy (`pip install '.[evaluate]'`). The text encoder is the bundled model's.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from .. import knowledge
from ..files import atomic_write
from ..knowledge.library import (
    GENERAL_SUBJECTS,
    LANGUAGES,
    Entry,
    entries,
    subjects_named,
)
from ..knowledge.retrieval import INDEX, features, weigh, with_subject
from ..runtime.sentence import SentenceEncoder

#: Ridge penalty, weight of the sentence vector beside the words, and dimensions that are kept:
#: chosen on held-out wordings.
_PENALTY, _SEMANTIC, _DIMENSIONS = 0.3, 2.0, 192
_MINIMUM_TEXTS = 2
#: What people ask that has nothing to do with eyes: it is to lead nowhere, so it is fitted to zero.
_OFF_TOPIC = "off_topic_lines.json"


def make_index() -> dict[str, np.ndarray]:
    """Fit the projections of both languages; see `retrieval`."""
    from scipy import sparse
    from scipy.linalg import cho_factor, cho_solve

    library = entries()
    embed = cache(SentenceEncoder().embed)
    off_topic: dict[str, list[str]] = json.loads(
        (resources.files(__package__) / _OFF_TOPIC).read_text("utf-8")
    )
    texts: dict[str, list[str]] = {language: [] for language in LANGUAGES}
    owner: dict[str, list[int]] = {language: [] for language in LANGUAGES}
    for language in LANGUAGES:
        for number, entry in enumerate(library):
            own = _texts_of(entry, language)
            texts[language] += own
            owner[language] += [number] * len(own)
        texts[language] += off_topic[language]
    vectors = np.stack([embed(text) for text in texts["en"]])  # [N, 384]
    means = np.stack(
        [np.mean([embed(t) for t in (*e.questions["en"], e.text("en"))], axis=0) for e in library]
    )
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
            for word, weight in weigh(text, language, idf).items():
                matrix[row, words[word]] = weight
        matrix = matrix.tocsr()
        kernel = (matrix @ matrix.T).toarray()
        if language == "en":
            kernel += _SEMANTIC * vectors @ vectors.T
        wanted = np.zeros((len(texts[language]), targets.shape[1]), np.float32)
        wanted[: len(owner[language])] = targets[owner[language]]
        kernel[np.diag_indices_from(kernel)] += _PENALTY
        # Some 20,000 texts squared: in place, or three such matrices stand in memory at once.
        # (scipy.linalg.solve 1.17 ends in a segmentation fault from 2 GiB on.)
        factor = cho_factor(kernel, overwrite_a=True, check_finite=False)
        duals = cho_solve(factor, wanted, check_finite=False)
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
        if language == "en":
            index["semantic"] = (_SEMANTIC * vectors.T @ duals).astype(np.float16)
    return index


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
    with (
        atomic_write(Path(knowledge.__file__).with_name(INDEX)) as partial,
        partial.open("wb") as file,
    ):
        np.savez_compressed(file, allow_pickle=False, **make_index())
