"""Sentence vectors: in both languages, of whatever is typed."""

from __future__ import annotations

import time

import numpy as np
import pytest

from ophglm_core.runtime.sentence import SentenceEncoder


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return SentenceEncoder()


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        (
            "Does it run in families?",
            "Can my children inherit this?",
            "When is the next appointment?",
        ),
        ("这个病会遗传吗", "我的孩子会不会也得", "下次什么时候复查"),
        ("白内障手术疼吗", "Does cataract surgery hurt?", "What is the capital of France?"),
    ],
)
def test_what_means_the_same_is_nearer(
    encoder: SentenceEncoder, one: str, same: str, other: str
) -> None:
    vectors = [encoder.embed(text) for text in (one, same, other)]
    assert all(v.shape == (384,) and v.dtype == np.float32 for v in vectors)
    assert np.allclose([np.linalg.norm(v) for v in vectors], 1, atol=1e-4)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


@pytest.mark.parametrize("text", ["", " ", "\udcff", "\x00", "🙂" * 50])
def test_whatever_is_typed_has_a_vector(encoder: SentenceEncoder, text: str) -> None:
    assert np.isfinite(encoder.embed(text)).all()


def test_a_long_text_takes_no_longer(encoder: SentenceEncoder) -> None:
    began = time.perf_counter()
    encoder.embed("眼底" * 50_000)  # 45 seconds as a whole
    assert time.perf_counter() - began < 5
