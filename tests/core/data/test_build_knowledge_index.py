"""How the library's index is fitted."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ophglm_core.data.build_knowledge_index import _PENALTY, _ridge


def test_the_regression_is_solved() -> None:
    rng = np.random.default_rng(0)
    words = sparse.random(300, 80, 0.1, "csr", np.float32, random_state=0)
    vectors = rng.normal(size=(300, 12)).astype(np.float32)
    wanted = rng.normal(size=(300, 5)).astype(np.float32)
    kernel = (words @ words.T).toarray() + vectors @ vectors.T + _PENALTY * np.eye(300)
    assert np.allclose(_ridge(words, vectors, wanted), np.linalg.solve(kernel, wanted), atol=5e-3)
