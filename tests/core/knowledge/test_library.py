"""The library's form, its index, and how well it answers questions written without sight of it."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from ophglm_core.chat.conversation import Chat
from ophglm_core.conditions import DEFAULT_LABELS, default_labels
from ophglm_core.knowledge.library import (
    AUDIENCES,
    TOPICS,
    Entry,
    entries,
    subjects,
    subjects_named,
)
from ophglm_core.knowledge.retrieval import Library, Retriever

from ...benchmarks.answers import judge, photograph
from ...silent import Silent

_NOT_SOURCES = re.compile(
    r"eyewiki|wikipedia|general clinical advice|scribd|docslib|issuu", re.IGNORECASE
)


def test_form_of_every_entry() -> None:
    for entry in entries():
        assert entry.subject in subjects(), entry.id
        assert entry.topic in TOPICS, entry.id
        assert entry.audience in AUDIENCES, entry.id
        assert entry.en.endswith((".", ")")), entry.id
        assert entry.zh.endswith(("。", "）")), entry.id
        assert len(entry.en.split()) <= 60, entry.id
        assert entry.source, entry.id
        assert not _NOT_SOURCES.search(f"{entry.source} {entry.url}"), entry.id
        assert date.fromisoformat(entry.checked) <= date.today(), entry.id
        for language, wordings in entry.questions.items():
            assert 3 <= len(wordings) <= 20, (entry.id, language)
            chinese = [bool(re.search(r"[\u4e00-\u9fff]", w)) for w in wordings]
            assert all(chinese) if language == "zh" else not any(chinese), entry.id


def test_nothing_stands_twice() -> None:
    def twice(values: list[str]) -> list[str]:
        return [v for v, count in Counter(values).items() if count > 1]

    assert twice([e.id for e in entries()]) == []
    assert twice([e.en for e in entries()]) == []
    assert twice([e.zh for e in entries()]) == []
    for language in ("en", "zh"):
        assert twice([w.strip().lower() for e in entries() for w in e.questions[language]]) == []


def test_the_library_is_large_and_mostly_read_in_its_sources() -> None:
    assert len(entries()) >= 800
    assert np.mean([e.verified for e in entries()]) >= 0.7
    by_subject = Counter(e.subject for e in entries())
    assert all(by_subject[label] >= 20 for label in DEFAULT_LABELS if label != "other")
    assert min(by_subject.values()) >= 8


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_entrys_own_wordings_find_it(library: Library, language: str) -> None:
    sample: list[Entry] = list(entries())[::12]
    found = [
        library.search(wording, language, [entry.subject], 2)
        for entry in sample
        for wording in entry.questions[language][:1]
    ]
    right = [
        entry in [m.entry for m in matches] for entry, matches in zip(sample, found, strict=True)
    ]
    assert np.mean(right) > 0.9


def test_subjects_are_named_by_abbreviations_too() -> None:
    for text, subject in (
        ("Is PDR dangerous?", "dr"),
        ("POAG and driving", "glaucoma"),
        ("what is a CRVO", "vein_occlusion"),
        ("My RD was repaired", "detachment"),
        ("PVD", "posterior_vitreous_detachment"),
        ("中浆会复发吗", "central_serous"),
    ):
        assert subject in subjects_named(text)


def test_most_answers_hold_the_point_that_was_asked_for(library: Library) -> None:
    """The 300 questions of tests/benchmarks; docs/knowledge.md has the exact figures."""
    judged = judge(library)
    assert len(judged) == 300
    share = {k: v / 300 for k, v in Counter(line["verdict"] for line in judged).items()}
    assert share["holds"] > 0.75, share
    assert share.get("elsewhere", 0) < 0.05, share
    # Of a whole answer, on two cores that may be slow: a sentence vector takes 0.01 to 0.03.
    assert np.median([line["seconds"] for line in judged]) < 0.1


@pytest.mark.parametrize(("language", "least"), [("en", 0.7), ("zh", 0.9)])
def test_questions_on_other_things_are_mostly_declined(
    library: Library, language: str, least: float
) -> None:
    lines = json.loads(Path(__file__).with_name("other_things.json").read_text("utf-8"))[language]
    declined = [
        any("No checked statement" in p.text or "没有找到" in p.text for p in talk.ask(line))
        for line in lines
        for talk in [Chat(photograph("dr"), default_labels(), Silent(), library=library)]
    ]
    assert np.mean(declined) > least


def test_an_index_of_another_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from ophglm_core.knowledge import retrieval

    monkeypatch.setattr(retrieval, "entries", lambda: entries()[1:])
    with pytest.raises(ValueError, match="another library"):
        Retriever("en")
