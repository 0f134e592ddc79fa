"""Treatments and tests that a question names, which a later "it", "they" or "one" means."""

from __future__ import annotations

import re
from collections.abc import Sequence

_THING = re.compile(
    r"\b(?:eye )?(?:injections?|jabs?|lasers?|drops|surger(?:y|ies)|operations?|operate|vitrectomy"
    r"|implants?|supplements?|vitamins?|tablets|steroids?|glasses|spectacles|contact lens(?:es)?"
    r"|patch(?:ing)?"
    r"|angiogra(?:m|phy)|octa?|(?:visual )?fields?(?: tests?)?|dilat(?:ing|ion)(?: drops)?|amsler"
    r"|gonioscopy|tonometry|screening|scans?|anti-?vegf|avastin|lucentis|eylea|vabysmo|\w+mab"
    r"|aflibercept|atropine|timolol|\w+prost|fenofibrate|areds2?|slt|yag|prp|migs|iol"
    r"|trabeculectomy|iridotomy|photodynamic therapy|pdt|gene therapy)\b"
    r"|注射|打针|抗VEGF|激光|眼药水|滴眼液|手术|阿托品|角膜塑形镜|OK镜|叶黄素|保健品|维生素|造影|视野检查"
    r"|散瞳|植入物|激素",
    re.IGNORECASE,
)
_REFERS = re.compile(r"\b(?:it|its|they|them|these|those|that|this|one|ones)\b", re.IGNORECASE)
#: In Chinese what is meant is left out: a short question without it.
_FEW = 3
_SHORT = re.compile(r"[\u4e00-\u9fff，,？?！!。 ]{2,10}")


def thing_named(question: str) -> str | None:
    """Return the treatment or test that a question names first; None if it names none.

    Example: `thing_named("How many injections will he need?")` is 'injections'.
    """
    named = _THING.search(question)
    return named.group() if named else None


def thing_meant(question: str, before: Sequence[str]) -> str | None:
    """Return the treatment or test that a question means without naming it; None if it names one,
    or refers to nothing. before: the last questions, the latest at the end."""
    if thing_named(question):
        return None
    brief = len(question.split()) <= _FEW or _SHORT.fullmatch(question)
    if not brief and not _REFERS.search(question):
        return None
    named = (thing_named(text) for text in reversed(before))
    return next((thing for thing in named if thing is not None), None)
