"""Citations in a language model's sentences: each has to rest on a passage that it was given.

A number in brackets is easily written; whether the passage says it is checked by shared words and
by figures, which must all stand in the passage.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..wording import is_chinese
from .guard import content_words

#: What is put behind a sentence that no passage bears out.
UNSOURCED = {"en": "[no source]", "zh": "［无出处］"}
#: Shares of a sentence's words (Chinese: pairs of characters) that a passage must hold; the second
#: of two passages is named, too, if it comes as close.
_SUPPORT = {"en": 0.5, "zh": 0.4}
_MARK = re.compile(r"\s*[\[［](\d+(?:\s*[,、]\s*\d+)*)[\]］]")
_FIGURE = re.compile(r"\d+(?:\.\d+)?")


def check_citations(
    sentence: str, passages: Sequence[str], language: str
) -> tuple[str, tuple[int, ...]]:
    """Return a sentence with the citations that it deserves, and their numbers from 1.

    A citation of a passage that does not say it is taken away, a missing one is added, and what no
    passage says is marked as without a source.

    Example: `check_citations("It is inherited [2].", ["It is inherited."], "en")` is
    ('It is inherited. [1]', (1,)).
    """
    cited = {int(n) for marks in _MARK.findall(sentence) for n in re.findall(r"\d+", marks)}
    plain = _MARK.sub("", sentence).strip()
    shares = [_support(plain, passage, language) for passage in passages]
    enough = [i for i, share in enumerate(shares, 1) if share >= _SUPPORT[language]]
    right = [i for i in enough if i in cited] or sorted(enough, key=lambda i: -shares[i - 1])[:1]
    if not right:
        return f"{plain} {UNSOURCED[language]}", ()
    return plain + " " + "".join(f"[{number}]" for number in right), tuple(right)


def _support(sentence: str, passage: str, language: str) -> float:
    """Return the share of a sentence's words in a passage; 0 if a figure of it is not there."""
    if set(_FIGURE.findall(sentence)) - set(_FIGURE.findall(passage)):
        return 0.0
    words, held = _content(sentence, language), _content(passage, language)
    return len(words & held) / len(words) if words else 0.0


def _content(text: str, language: str) -> set[str]:
    if language == "zh" or is_chinese(text):
        characters = re.sub(r"[^\u4e00-\u9fffA-Za-z0-9]", "", text)
        return {characters[i : i + 2] for i in range(len(characters) - 1)}
    return content_words(text)
