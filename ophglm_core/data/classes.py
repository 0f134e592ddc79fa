"""What the name of a class says: of a folder, or in a column of labels."""

from __future__ import annotations

import re
from collections.abc import Collection

from ..conditions import CONDITIONS, NORMAL, canonical, normalized

# "Non-proliferative" is a form of retinopathy and denies nothing.
_NEGATIVE = re.compile(r"(?:non|no|not|without)_(?!proliferative)(.+)")
_JOINED_NEGATIVE = re.compile(r"non(.+)")
_HEALTHY = frozenset({"disease", "finding", "findings", "abnormality", "abnormalities"})


def class_key(name: str) -> str:
    """Return the name of a class as labels are written: the condition's key, or its own."""
    return canonical(name) or normalized(name)


def denied(name: str) -> str | None:
    """Return the label that a name such as `Non-Glaucoma`, `No DR` or `not_x` denies, or None."""
    plain = normalized(name)
    if found := _NEGATIVE.fullmatch(plain):
        return class_key(found[1])
    # Without a hyphen only where a known condition follows: 'nonspecific' denies nothing.
    joined = _JOINED_NEGATIVE.fullmatch(plain)
    return canonical(joined[1]) if joined else None


def is_known(name: str) -> bool:
    """Whether the name speaks of a condition of the table, or denies something."""
    return canonical(name) is not None or denied(name) is not None


def class_labels(name: str) -> dict[str, int]:
    """Return the labels of a picture filed under one class.

    Normal excludes all known conditions, one of them excludes normal; what a class that the table
    does not know excludes is not known. `Non-X` says that X is not there and nothing else, so `No
    DR` is not yet normal.
    """
    label = denied(name)
    if label is not None and label not in _HEALTHY:
        return {label: 0}
    key = NORMAL if label is not None else class_key(name)
    if key == NORMAL:
        return {condition: int(condition == NORMAL) for condition in CONDITIONS}
    return {NORMAL: 0, key: 1} if key in CONDITIONS else {key: 1}


def spoken_of(classes: Collection[dict[str, int]]) -> tuple[str, ...]:
    """Return the labels that classes are about: those that one of them has, or that one denies
    and says nothing else."""
    found: dict[str, None] = {}
    for labels in classes:
        shown = [label for label, value in labels.items() if value]
        found |= dict.fromkeys(shown or labels)
    return tuple(found)
