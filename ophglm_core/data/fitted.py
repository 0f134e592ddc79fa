"""What the builders of fitted files share: the written lines that they read, and the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ..files import atomic_write


def read_lines(name: str) -> Any:
    """Return the values of a JSON file in this package."""
    return json.loads((resources.files(__package__) / name).read_text(encoding="utf-8"))


def fit_on_vectors(
    fit: Any, vectors: np.ndarray, truth: np.ndarray, method: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit a linear model of scikit-learn's on sentence vectors [N, 384].

    truth: [N]. method: of the model, by which those are judged that are left out in turn, in five
    parts. Returns what it says of these, and the weights [K, 384] and offsets [K] for vectors as
    they are.
    """
    from sklearn.model_selection import cross_val_predict

    # The vectors of all sentences lie close together; as they are, the fit takes many times longer.
    middle, spread = vectors.mean(axis=0), float(vectors.std(axis=0).mean())
    standing = (vectors - middle) / spread
    left_out = cross_val_predict(fit, standing, truth, cv=5, method=method)
    fit.fit(standing, truth)
    weights = fit.coef_ / spread
    return left_out, weights, fit.intercept_ - weights @ middle


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to an .npz file, whole or not at all."""
    with atomic_write(path) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)
