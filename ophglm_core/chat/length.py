"""How much of a long text is read: what fits the language model's context, to a sentence's end."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Callable, Iterator

#: No tokenizer that is met writes more characters a token than this, page by page.
_CHARACTERS_A_TOKEN = 16
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)\]]*(?=\s)|(?<=[。！？])[”’」』）]*|(?=\n)")
_WORD_END = re.compile(r"(?=\s)|(?<=[\u2e80-\uffef])")
#: Of a text's last words, so many characters are quoted.
_QUOTED = 40
_ONLY_READ_TO = (
    "The text is too long to be read whole: it was read up to “{}”, and beyond that only for "
    "warning signs. A question belongs before a long text.",
    "文字过长，只读到“{}”为止，其后仅检查了急症征象。请把问题放在长文之前。",
)


def beginning(text: str, most: int, count: Callable[[str], int]) -> str:
    """Return as much of a text as fits, cut where a sentence ends; all of it, if it fits.

    most: the number of tokens that fit. count: a text's tokens; it is not asked of a text that fits
    in any case. Where sentences are so long that more than half would be lost, it is cut between
    words.

    Example: `beginning("One. Two. Three.", 2, lambda t: len(t.split()))` is 'One. Two.'.
    """
    # A token stands for a byte or more.
    if len(text.encode()) <= most:
        return text
    head = text[: most * _CHARACTERS_A_TOKEN]
    if len(head) == len(text) and count(text) <= most:
        return text

    def fitting(ends: list[int]) -> str:
        """Return the text up to the last of these places before which it fits."""
        place = bisect(ends, most, key=lambda end: count(head[:end]))
        return head[: ends[place - 1]].rstrip() if place else ""

    by_word = fitting(list(_places(_WORD_END, head))) or fitting(list(range(1, len(head))))
    by_sentence = fitting(list(_places(_SENTENCE_END, head)))
    return by_sentence if 2 * len(by_sentence) >= len(by_word) else by_word


def only_read_to(text: str, language: str) -> str:
    """Say of a text that was too long that only this, its beginning, was read."""
    last = re.sub(r"\s+", " ", text)[-_QUOTED:]
    if len(text) > _QUOTED:
        _, blank, whole_words = last.partition(" ")
        last = f"…{whole_words if blank else last}"
    return _ONLY_READ_TO[language == "zh"].format(last)


def _places(pattern: re.Pattern[str], text: str) -> Iterator[int]:
    return (match.end() for match in pattern.finditer(text) if match.end())
