"""Questions so short that they leave out what was spoken of, as in 'side effects?'."""

from __future__ import annotations

import re

from ..wording import word_count
from .question import Question

#: Words that are asked of what was spoken of, in questions of at most so many words.
_ELLIPTIC = re.compile(
    r"\b(?:reversible|curable|treatable|contagious|hereditary|painful|dangerous|side effects?"
    r"|risks?|complications?|go(?:es)? wrong|prognosis|outlook|symptoms?|causes?|treatments?"
    r"|surgery|op|operations?|laser|drops|injections?|follow[- ]?up|prevention|diet|exercise"
    r"|how many|driv\w+|fly\w*|pregnan\w+|organs?|bp)\b"
    r"|能好|治好|治愈|副作用|并发症|风险|预后|症状|原因|手术|激光|眼药水|打针|复查|预防|饮食|运动|开车|怀孕",
    re.IGNORECASE,
)
_BRIEF, _BRIEF_SHARE = 5, 0.6
#: And in the briefest, which say nothing else.
_BARE = re.compile(
    r"\b(?:side effects?|how often|how long|worse|apart|difference|why|tests?|mean(?:ing)?"
    r"|alternatives?|operate|risks?|dangers?)\b"
    r"|怎么治|咋治|治疗|方案|意思|区分|(?:怎么|咋).{0,5}分(?!钟|期|级)|鉴别|多久|管用|有效|后果|严重|为什么|怎么查",
    re.IGNORECASE,
)
_BAREST, _BARE_SHARE = 4, 0.35


def share_said(question: Question) -> float:
    """Return how much of the library's usual confidence a question needs, 1 or less: a short one
    says only a part of what it asks."""
    length = word_count(question.text)
    if question.conditions or question.beyond:
        return 1.0
    if length <= _BAREST and _BARE.search(question.text):
        return _BARE_SHARE
    return _BRIEF_SHARE if length <= _BRIEF and _ELLIPTIC.search(question.text) else 1.0
