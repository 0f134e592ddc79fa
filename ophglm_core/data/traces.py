"""Whether a text still holds traces of a person, judged otherwise than `deidentify` removes them.

It looks for no cue: it writes all numerals as digits and counts them, reads three numbers as a
date where they make one, and looks up names, cities and what stands before a hospital's word.
So an error of the rules does not hide itself.
"""

from __future__ import annotations

import json
import re
import unicodedata
from functools import cache
from importlib import resources
from itertools import pairwise

from ..knowledge.library import vocabulary

_DIGITS = str.maketrans("零〇○一二三四五六七八九幺", "0001234567891")
#: Digits that no measurement of an eye has.
_MOST_DIGITS = 7
#: Not May, which may be a verb. With a small letter behind the first: an OCT is no month.
_MONTHS = (
    "Jan|January|Feb|February|Mar|March|Apr|April|Jun|June|Jul|July|Aug|August|Sep|Sept|September"
    "|Oct|October|Nov|November|Dec|December"
)
_FILE = resources.files(__package__) / "identifying_words.json"
#: Common surnames and the characters that given names end with, first names, large cities, and
#: what stands before 医院 and names none.
_WORDS = {k: frozenset(v) for k, v in json.loads(_FILE.read_text("utf-8"))["check"].items()}
_OF_A_PERSON = re.compile(r"\b(?:I|I'm|my|me|we|our|he|she|his|her)\b|[我您她他]|家住|老家|医生")


@cache
def _usual() -> frozenset[str]:
    """Return what the library has before 医院."""
    return frozenset(re.findall(r"([\u4e00-\u9fff]{2})医院", vocabulary()[0]))


@cache
def _city() -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z])(?:{'|'.join(sorted(_WORDS['cities']))})")


def traces(text: str) -> list[str]:
    """Return what looks like a trace of a person in a text, each with its kind.

    Example: `traces("John, 555 123 4567")` is ['name: john', 'number: 5551234567'].
    """
    text = unicodedata.normalize("NFKC", text)
    places = [p for part in re.split(r"[.!?。！？\n]", text) for p in _places(part)]
    return [*_names(text), *places, *_numbers(text), *_dates(text)]


def _names(text: str) -> list[str]:
    chinese, english = vocabulary()
    found = []
    for run in re.findall(r"[\u4e00-\u9fff]+", text):
        # A name is short and stands alone between other signs, or before a title or a sex.
        alone = re.sub(
            r"(?:医生|大夫|主任|教授|先生|女士).*|^(?:患者|病人|我叫|姓名|谢谢|请问)+|(?:男|女)$",
            "",
            run,
        )
        named = (
            alone[:1] in _WORDS["surnames"] and alone[-1:] in _WORDS["given"] and 1 < len(alone) < 4
        )
        if named and alone not in chinese:
            found.append(f"name: {alone}")
    words = re.findall(r"[A-Za-z]+", text)
    for word, following in pairwise([*words, ""]):
        # Charles Bonnet is known to the library; so is what follows a first name of his kind.
        name = word.lower()
        if word[0].isupper() and name in _WORDS["first_names"] and name not in english:
            known = following.lower() in english and following[:1].isupper()
            found += [] if known else [f"name: {name}"]
    return found


def _places(sentence: str) -> list[str]:
    if not _OF_A_PERSON.search(sentence):
        return []  # a study is named for its city
    chinese, _ = vocabulary()
    usual = _usual()
    found = []
    for before in re.findall(r"([\u4e00-\u9fff]{2})(?:医院|眼科中心)", sentence):
        any_one = (
            before in usual
            or before in _WORDS["before_hospital"]
            or before[1] in _WORDS["before_hospital"]
        )
        if not any_one and f"{before}医" not in chinese:
            found.append(f"hospital: {before}")
    return found + [f"place: {city}" for city in _city().findall(sentence.lower())]


def _numbers(text: str) -> list[str]:
    digits = re.sub(r"(?<=\d)[ -](?=\d)", "", _without_years(text.translate(_DIGITS)))
    found = [f"number: {run}" for run in re.findall(rf"\d{{{_MOST_DIGITS},}}", digits)]
    return found + [f"address: {sign}" for sign in re.findall(r"\S+@\S+|https?:\S+", text)]


def _without_years(text: str) -> str:
    """Take years out: two with a dash between them are no telephone number."""
    return re.sub(r"(?<!\d)(?:19|20)\d\d(?:\s*[-~]\s*(?:19|20)?\d\d)?(?!\d)", " ", text)


def _dates(text: str) -> list[str]:
    """Find a day: three numbers that make one, or a month's name beside a day's number."""
    plain = text.translate(_DIGITS)
    found = []
    for first, _, second, third in re.findall(
        r"(?<![\d.])(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})(?![\d.])", plain
    ) + re.findall(r"(\d{2,4})(年)(\d{1,2})月(\d{1,2})[日号]", plain):
        years = [n for n in (first, third) if len(n) == 4 or int(n) > 31]
        if len(years) == 1 and 1 <= int(second) <= 31:
            found.append(f"date: {first}-{second}-{third}")
    month = rf"\b(?:{_MONTHS})\b"
    for pattern in (rf"{month}\.? \d{{1,2}}\b", rf"\b\d{{1,2}}(?:[a-z]{{2}})?(?: of)? {month}"):
        found += [f"date: {day}" for day in re.findall(pattern, text)]
    return found
