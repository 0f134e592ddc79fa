"""Evens out what a person types before it is read: shorthand, contractions, slips of the finger."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

#: Clinicians' capitals, which in lower case are other words or none.
_SHORTHAND = (
    (re.compile(r"\b(?:RE|OD|R/E)\b"), " right eye "),
    (re.compile(r"\b(?:LE|OS|L/E)\b"), " left eye "),
    (re.compile(r"\b(?:OU|BE)\b"), " both eyes "),
    (re.compile(r"\bR?RD\b"), " retinal detachment "),
    (re.compile(r"\b(?:S?CLs?|SCL)\b"), " contact lens "),
    (re.compile(r"\bFB\b"), " foreign body "),
    (re.compile(r"\bF&F\b|\bF/F\b"), " flashes and floaters "),
)
_SPELLINGS = (
    (re.compile(r"[‘’`´]"), "'"),
    (re.compile(r"\b(?:cannot|can not|cant|cnt|could ?n'?t|unable to|not able to)\b"), "can't"),
    (re.compile(r"\b(do|does|did|is|are|was|were|has|have|had|wo|would|should)nt\b"), r"\1n't"),
    (re.compile(r"\bdo(?:es)?(?:n't| not) see (?=anything|a thing|out\b|with\b)"), "can't see "),
    (re.compile(r"\bno longer see\b|\bcan hardly see\b|\bcan barely see\b"), "can't see"),
    (re.compile(r"\b(?:lov|vl)\b"), "loss of vision"),
    (re.compile(r"\bb?c?va\b"), "visual acuity"),
    (re.compile(r"\bphotopsias?\b"), "photopsia"),
    (re.compile(r"\bim\b"), "i'm"),
    (re.compile(r"\bive\b"), "i've"),
    (re.compile(r"\bppl\b"), "people"),
    (re.compile(r"\bcolou?r"), "color"),
)
#: Words that are often misspelt and must not be missed for it.
_VOCABULARY = (  # noqa: SIM905
    "sudden suddenly floater floaters flashes flashing curtain shadow vision eyesight blurry "
    "blurred painful distorted headache bleach detergent ammonia cement contact pupil eyelid "
    "double yesterday morning cornea chemical blind injury bleeding splashed swollen surgery "
    "lenses throbbing vomiting"
).split()
_REAL_WORDS = frozenset(
    "beach breach bleached floated flashed doubled doubly visions pupils mornings mourning "  # noqa: SIM905
    "bling blend blinds blond bland blinded splashes headaches corneal corneas contacts cemented "
    "chemicals eyelids chemically shadows shadowed curtains surgeon surgeons surgery swelled "
    "surgical bindi injuries injure injured lens lensed leases horning warning bleeding".split()
)


@lru_cache(maxsize=8192)
def _corrected(word: str) -> str:
    """Return the word of the vocabulary that a misspelt word stands for, or the word itself."""
    if len(word) < 5 or word in _REAL_WORDS or word in _VOCABULARY:
        return word
    for known in _VOCABULARY:
        if known[0] == word[0] and abs(len(known) - len(word)) < 2 and one_slip(word, known):
            return known
    return word


def one_slip(word: str, known: str) -> bool:
    """Whether one letter added, left out, changed or swapped with the next turns word to known."""
    i = 0
    while i < min(len(word), len(known)) and word[i] == known[i]:
        i += 1
    a, b = word[i:], known[i:]
    swapped = len(a) > 1 and len(b) > 1 and a[:2] == b[1::-1] and a[2:] == b[2:]
    return swapped or a[1:] == b or a == b[1:] or a[1:] == b[1:]


def normalised(text: str) -> str:
    """Return the text in lower case with shorthand, contractions and spelling evened out."""
    text = unicodedata.normalize("NFKC", text)
    for pattern, plain in _SHORTHAND:
        text = pattern.sub(plain, text)
    text = text.lower()
    for pattern, plain in _SPELLINGS:
        text = pattern.sub(plain, text)
    # In notes a minus sign before each of several symptoms denies them; a single one is a dash.
    text = re.sub(
        r"(?m)^[^\n]{0,200}?(?:^|\s)-\s?[a-z]+[ ,]{1,2}-\s?[a-z]+",
        lambda m: re.sub(r"(^|\s)-\s?(?=[a-z])", r"\1no ", m[0]),
        text,
    )
    return re.sub(r"[a-z]{5,}", lambda m: _corrected(m[0]), text)
