"""What the library has on a question, in the light of what was spoken of before."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..knowledge.library import subjects, subjects_named
from ..knowledge.retrieval import Library, Match, with_subject
from .brief import share_said
from .question import Question
from .things import thing_meant

#: Entries asked of the library: some to answer with, and some for "tell me more".
_MATCHES = 6
_DIFFERENCE = re.compile(
    r"\b(?:diff\w*|versus|vs|compared? (?:to|with)|(?:the )?same as|distinguish|apart)\b"
    r"|区别|不同|差别|一样|鉴别",
    re.IGNORECASE,
)
_PRONOUN = re.compile(r"\b(?:it|they|them)\b|它", re.IGNORECASE)
_WHAT_IS = ("What is {}?", "什么是{}？")


def look_up(
    library: Library, question: Question, context: Sequence[str], before: Sequence[str]
) -> list[Match]:
    """Return the entries that come nearest to a question, the nearest first.

    context: the subjects that are meant where it names none. before: the last questions, of whose
    treatments and tests "it" or "they" may be asked.
    """
    text, language = question.looked_up, question.language
    context = [key for key in context if key in subjects()]  # a model may have labels of its own
    if context and share_said(question) < 1 and not question.wanted:
        text = with_subject(text, context[0], language)
    matches = library.search(text, language, context, _MATCHES)
    named = [key for key in (*question.conditions, *question.beyond) if key in subjects()]
    if _DIFFERENCE.search(text):
        return _both(
            library, (named if len(named) > 1 else [*named, *context])[:2], language, matches
        )
    meant = thing_meant(text, before)
    if meant is None or (named and not _PRONOUN.search(text)):
        return matches
    # "Is it painful?" may be asked of the disease or of its treatment: what fits better counts.
    others = library.search(f"{text} {meant}", language, context, _MATCHES)
    return max(matches, others, key=lambda found: found[0].score if found else 0.0)


def _both(
    library: Library, named: Sequence[str], language: str, matches: list[Match]
) -> list[Match]:
    """Return what tells two subjects apart: an entry on both, or else what each of them is."""
    if len(set(named)) < 2:
        return matches
    if matches and set(named) <= {*subjects_named(matches[0].entry.text(language))}:
        return matches
    each = []
    for key in named:
        asked = _WHAT_IS[language == "zh"].format(subjects()[key].name_in(language))
        found = library.search(asked, language, (), _MATCHES)
        each += [match for match in found if match.entry.subject == key][:1]
    rest = [match for match in matches if all(match.entry != m.entry for m in each)]
    return [*each, *rest] if len(each) == len(named) else matches
