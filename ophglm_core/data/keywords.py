"""The diagnostic keywords of ODIR-5K, read per eye.

ODIR-5K (Peking University / Shanggong Medical Technology, ODIR-2019) labels patients; the doctors'
keywords beside each photograph tell which eye a label belongs to.
"""

from __future__ import annotations

import re

from ..conditions import CONDITIONS, NORMAL

#: What every keyword counts as that no condition of the table claims.
_OTHER = "other"
# Words on how the picture was taken; they say nothing of the eye.
_QUALITY = (
    "lens dust",
    "low image quality",
    "optic disk photographically invisible",
    "image offset",
)


def split_keywords(keywords: str) -> list[str]:
    """Split ODIR's keywords, which are parted by full-width or plain commas."""
    return [part.strip() for part in re.split(r"[，,]", keywords) if part.strip()]


def odir_labels() -> tuple[str, ...]:
    """Return the keys of the conditions that ODIR-5K has a letter for."""
    return tuple(c.key for c in CONDITIONS.values() if c.odir_letter)


def labels_from_keywords(keywords: str) -> dict[str, int] | None:
    """Return ODIR's labels of one eye, or None if the keywords only describe the picture."""
    parts = [p.lower() for p in split_keywords(keywords)]
    parts = [p for p in parts if p not in _QUALITY]
    if not parts:
        return None
    found = {_condition(part) for part in parts}
    if found != {NORMAL}:
        found.discard(NORMAL)
    return {key: int(key in found) for key in odir_labels()}


def grade_from_keywords(keywords: str) -> int | None:
    """Return the grade of diabetic retinopathy, 1 to 4 by the ICDR scale, that the keywords give
    without a doubt; None if they give none, or more than one."""
    sure = [p.lower() for p in split_keywords(keywords) if not p.lower().startswith("susp")]
    found = {
        number
        for keyword in sure
        for number, grade in enumerate(CONDITIONS["dr"].grades, start=1)
        if grade.keyword in keyword
    }
    return found.pop() if len(found) == 1 else None


def _condition(keyword: str) -> str:
    """Return the condition that a keyword in lower case stands for."""
    for condition in CONDITIONS.values():
        if any(part in keyword for part in condition.odir_keywords):
            return condition.key
    return _OTHER
