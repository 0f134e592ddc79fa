"""From the outputs of the ordinal head to a suggested grade of diabetic retinopathy.

Grades by the international clinical scale (ICDR; Wilkinson et al. 2003, Ophthalmology 110:1677): 0
no apparent retinopathy, 1 mild, 2 moderate and 3 severe non-proliferative, 4 proliferative.
"""

from __future__ import annotations

import numpy as np

from .conditions import CONDITIONS

#: The grade from which retinopathy is referred: moderate or worse.
REFERABLE = 2
GRADE_NAMES = {
    "en": ("no apparent retinopathy", *(grade.en for grade in CONDITIONS["dr"].grades)),
    "zh": ("无明显视网膜病变", *(grade.zh for grade in CONDITIONS["dr"].grades)),
}


def grade_probabilities(at_least: np.ndarray) -> np.ndarray:
    """Probabilities of at least grade 1 to 4 [..., 4] -> of each grade [..., 5].

    The outputs are learned apart; a higher grade is never more probable than a lower bound of it.
    """
    bounds = np.minimum.accumulate(at_least, axis=-1)
    ends = np.ones_like(bounds[..., :1])
    probabilities: np.ndarray = -np.diff(np.concatenate([ends, bounds, 0 * ends], axis=-1), axis=-1)
    return probabilities


def suggested_grade(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities of each grade [..., 5] -> the median grade [...], which keeps the error small
    where grades have an order."""
    grades: np.ndarray = (np.cumsum(probabilities, axis=-1) < 0.5).sum(axis=-1)
    return grades
