"""Finds the entries that answer a question, by its words and its meaning together.

A question becomes a vector of its words (English stems; Chinese characters and pairs of them),
weighted by their rarity, and of a sentence vector (`runtime.sentence`). Ridge regression carries
both into the space in which each entry is the mean of the sentence vectors of its wordings in both
languages; the entry whose direction is nearest answers, words that stand in the answer itself
counted besides. `data/build_knowledge_index.py` fits this and writes `index.npz`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import resources

import numpy as np

from ..later import Later
from ..tfidf import unit_weights
from .everyday import plain
from .library import (
    GENERAL_SUBJECTS,
    LANGUAGES,
    Entry,
    entries,
    subjects,
    subjects_implied,
    subjects_named,
)
from .topics import topics_asked

INDEX = "index.npz"
#: A cosine is moved by this much for an entry on the subject that is asked about, or on another
#: one, and by this share of the cosine of the question's words with the answer's. Both were chosen
#: on wordings of the library that were held out; see docs/knowledge.md.
_SUBJECT_WEIGHT, _TEXT_WEIGHT = 0.4, 0.8
#: And by this much for one on a topic that is asked for by name, chosen on dev_questions*.jsonl.
_TOPIC_WEIGHT = 0.2

#: A question that means what was spoken of: by "it", or in Chinese by saying no subject.
_REFERS = re.compile(
    r"\b(?:it|this|that|these|they)\b|^[^\n]{1,9}[吗么呢]\W*$|[这该]种?个?病|得了这|患者|病人",
    re.IGNORECASE,
)
_SPELLINGS = tuple(
    (re.compile(british), american)
    for british, american in (
        ("oedema", "edema"),
        ("haem", "hem"),
        ("aemi", "emi"),
        ("paediat", "pediat"),
        ("naev", "nev"),
        ("leuco", "leuko"),
        ("isation", "ization"),
        ("tumour", "tumor"),
        ("colour", "color"),
        ("fibre", "fiber"),
        ("centre", "center"),
    )
)
_COMMON = frozenset(
    "a an the of to in on for and or is are be do does did it its i my me you your we he she they "  # noqa: SIM905
    "this that these those with as at by from what which how can could would should will there "
    "have has had if so not".split()
)
_SUFFIXES = (
    *("ications", "ication", "ations", "ation", "ingly", "ments", "ment", "ities", "ity", "ously"),
    *("ing", "ies", "ied", "ive", "ers", "er", "ed", "es", "ly", "al", "s", "e", "y"),
)


@dataclass(frozen=True)
class Match:
    """An entry that may answer a question.

    score: how near it is, a cosine moved by subject and shared words. confidence: how
    much of the question the library knows and that points to this entry, 0 to about 1.
    """

    entry: Entry
    score: float
    confidence: float


def features(text: str, language: str) -> list[str]:
    """Return the words of a text as they are compared; common English words begin with '~'."""
    text = text.lower()
    for pattern, american in _SPELLINGS:
        text = pattern.sub(american, text)
    found = []
    for word in re.findall(r"[a-z0-9]+", text):
        found.append(f"~{word}" if language == "en" and word in _COMMON else _stem(word))
    if language == "zh":
        for run in re.findall(r"[\u4e00-\u9fff]+", text):
            found += [*run, *(run[i : i + 2] for i in range(len(run) - 1))]
    return found


def _stem(word: str) -> str:
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 4:
            return word[: -len(suffix)]
    return word


def with_subject(question: str, subject: str, language: str) -> str:
    """Return a question with the name of the subject that it leaves out."""
    return f"{question} {subjects()[subject].name_in(language)}"


def weigh(text: str, language: str, idf: dict[str, float]) -> dict[str, float]:
    """Return the weights of a text's words that `idf` knows, with a length of one."""
    return unit_weights(features(text, language), idf)


class Retriever:
    """Finds entries in one language.

    embed: text -> its unit sentence vector, float32 [384], of the sentence encoder with which the
    index was made; without it a question is compared by its words alone.
    Raises ValueError if the index belongs to another library.
    """

    def __init__(self, language: str, embed: Callable[[str], np.ndarray] | None = None):
        with (resources.files(__package__) / INDEX).open("rb") as stream:
            held = np.load(stream)
            ids = str(held["ids"]).split("\n")
            words = str(held[f"words_{language}"]).split("\n")
            self._idf = dict(zip(words, held[f"idf_{language}"].tolist(), strict=True))
            self._rarest = max(self._idf.values())
            self._row = {word: row for row, word in enumerate(words)}
            self._projection = (held[f"projection_{language}"], held[f"scale_{language}"])
            self._texts = tuple(
                held[f"{part}_{language}"] for part in ("starts", "columns", "weights")
            )
            self._semantic = held[f"semantic_{language}"].astype(np.float32)
            self._offset = held[f"offset_{language}"]
            self._directions = held["entries"].astype(np.float32)
        self._entries = entries()
        if ids != [entry.id for entry in self._entries]:
            raise ValueError("The index belongs to another library; run build_knowledge_index.")
        self._subject = np.array([entry.subject for entry in self._entries])
        self._topic = np.array([entry.topic for entry in self._entries])
        self._language = language
        self._embed = embed

    def search(self, question: str, context: Iterable[str] = (), limit: int = 5) -> list[Match]:
        """Return the entries that come nearest to a question, the nearest first.

        context: the subjects that are meant where the question names none: of the turn before, or
        what was found.
        """
        question = plain(question, self._language)
        asked = question
        context = [key for key in context if key not in GENERAL_SUBJECTS]
        if implied := subjects_implied(question):
            # A drug of another disease means that one and not what was spoken of before.
            context = [key for key in context if key in implied] or implied
        if context and not subjects_named(question):
            # "Is it hereditary?" is asked of what "it" means.
            asked = with_subject(question, context[0], self._language)
        meant = self._compared(asked)
        scores = self._scores(*meant, asked)
        # What is known of the question itself, or any question would be one on the subject; unless
        # it refers to that.
        itself = asked != question and not _REFERS.search(question)
        query, shared = self._compared(question) if itself else meant
        confidence = (self._directions @ query + shared) * self._understood(question)
        return [
            Match(self._entries[i], float(scores[i]), float(confidence[i]))
            for i in np.argsort(-scores)[:limit]
        ]

    def _compared(self, question: str) -> tuple[np.ndarray, np.ndarray]:
        """Return a question's direction, [D], and what it shares with each entry's answer, [N]."""
        words = weigh(question, self._language, self._idf)
        return self._project(question, words), self._shared(words)

    def _scores(self, query: np.ndarray, shared: np.ndarray, question: str) -> np.ndarray:
        """Return how near each entry is, [N]; see Match."""
        cosines = self._directions @ query / (float(np.linalg.norm(query)) or 1.0)
        scores: np.ndarray = (
            cosines + _SUBJECT_WEIGHT * self._on_subject(question) + _TEXT_WEIGHT * shared
        )
        return scores + _TOPIC_WEIGHT * np.isin(self._topic, topics_asked(question))

    def _understood(self, question: str) -> float:
        """Return how much of a Chinese question is in words that the library has, 0 to 1.

        Squared: that told the most questions on other things from those on eyes. English ones it
        told no better.
        """
        if self._language != "zh":
            return 1.0
        found = set(features(question, self._language))
        known = sum(self._idf[word] ** 2 for word in found if word in self._idf)
        return known / (sum(self._idf.get(word, self._rarest) ** 2 for word in found) or 1.0)

    def _shared(self, words: dict[str, float]) -> np.ndarray:
        """Return the cosine of a question's words with each entry's answer, [N]."""
        query = np.zeros(len(self._row), np.float32)
        for word, weight in words.items():
            query[self._row[word]] = weight
        starts, columns, weights = self._texts
        return np.add.reduceat(query[columns] * weights.astype(np.float32), starts)

    def _project(self, question: str, words: dict[str, float]) -> np.ndarray:
        """Return a question's direction among the entries, [D], as long as it is known."""
        rows, scales = self._projection
        result = np.zeros(rows.shape[1], np.float32)
        for word, weight in words.items():
            row = self._row[word]
            result += weight * float(scales[row]) * rows[row]
        if self._embed is not None:
            result += self._embed(question) @ self._semantic - self._offset
        return result

    def _on_subject(self, question: str) -> np.ndarray:
        """Return 1 for entries on what is asked about, -1 for those on another disease, else 0."""
        meant = subjects_named(question)
        if not meant:
            return np.zeros(len(self._subject), np.float32)
        anyone = np.isin(self._subject, list(GENERAL_SUBJECTS))
        return np.where(np.isin(self._subject, meant), 1.0, np.where(anyone, 0.0, -1.0))


class Library:
    """The library as a conversation asks it, in both languages; each is read when first needed.

    embed: see Retriever.

    Example: `Library(SentenceEncoder().embed).search("Is DR hereditary?", "en")[0].entry.source`.
    """

    def __init__(self, embed: Callable[[str], np.ndarray] | None = None):
        #: What a turn is, and what answers it, is asked of the same sentence.
        self.embed = embed and lru_cache(maxsize=8)(embed)
        self._retrievers = {
            language: Later(partial(Retriever, language, self.embed)) for language in LANGUAGES
        }

    def search(
        self, question: str, language: str, context: Iterable[str] = (), limit: int = 5
    ) -> list[Match]:
        """Return the entries that come nearest to a question; see Retriever.search."""
        return self._retrievers[language].get().search(question, context, limit)
