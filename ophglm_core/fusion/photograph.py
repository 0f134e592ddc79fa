"""A photograph as the fusion module takes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Photograph:
    """A photograph that rows can be made of: its path and the encoder's features [C, h, w]."""

    path: str
    features: np.ndarray
