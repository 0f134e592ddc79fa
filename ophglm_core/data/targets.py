"""What an encoder learns from records: its heads, and the truth that each of their outputs has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..conditions import MACULAR_OEDEMA
from ..manifest import CONDITIONS_HEAD, DR_GRADE_HEAD, MACULAR_OEDEMA_HEAD, Head
from .records import Record, choose_labels

_GRADES = ("1", "2", "3", "4")


def choose_heads(records: Sequence[Record], wanted: Sequence[str] = ()) -> list[Head]:
    """Return the heads that these records can teach.

    The conditions always (see `choose_labels`); the grade of diabetic retinopathy where it is
    learned and photographs of two grades or more are there; macular oedema where a set speaks of
    it. Raises InputError if a wanted label is in no set.
    """
    labels = list(choose_labels(records, wanted))
    oedema = MACULAR_OEDEMA in labels or (
        not wanted and any(MACULAR_OEDEMA in r.declared for r in records)
    )
    conditions = [label for label in labels if label != MACULAR_OEDEMA] or labels
    heads = [Head(CONDITIONS_HEAD, "multi_label", conditions)]
    grades = {r.grade for r in records if r.grade}
    if "dr" in conditions and len(grades) > 1:
        heads.append(Head(DR_GRADE_HEAD, "ordinal", list(_GRADES)))
    if oedema and MACULAR_OEDEMA not in conditions:
        heads.append(Head(MACULAR_OEDEMA_HEAD, "multi_label", [MACULAR_OEDEMA]))
    return heads


def target_matrix(records: Sequence[Record], heads: Sequence[Head]) -> np.ndarray:
    """float32 [N, outputs]: 0, 1, or NaN where a record does not say; see `Head.labels`."""
    rows = [[value for head in heads for value in _targets(r, head)] for r in records]
    count = sum(len(head.labels) for head in heads)
    return np.array(rows, dtype=np.float32).reshape(len(records), count)


def _targets(record: Record, head: Head) -> list[float]:
    if head.kind == "multi_label":
        return [record.value_of(label) for label in head.labels]
    if record.grade is not None:
        return [float(record.grade >= int(label)) for label in head.labels]
    # Retinopathy of an unknown grade is at least mild.
    least = 1.0 if record.labels.get("dr") else np.nan
    return [least, *[np.nan] * (len(head.labels) - 1)]


def grades_of(records: Sequence[Record]) -> np.ndarray:
    """float32 [N]: grades of diabetic retinopathy, NaN where unknown."""
    grades = [np.nan if r.grade is None else r.grade for r in records]
    return np.array(grades, dtype=np.float32)
