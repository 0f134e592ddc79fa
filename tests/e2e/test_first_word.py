"""The benchmark of the first word runs, and compares what it says it does."""

from __future__ import annotations

import pytest

from ..benchmarks.first_word import Measured, measure, table


@pytest.mark.slow
@pytest.mark.alone
def test_the_first_word_is_measured_beside_a_loop_over_the_same_prompt() -> None:
    ours, loop, seen = (runs for runs in measure(1).values())
    for (measured,) in (ours, loop, seen):
        assert 0 < measured.token < 120
        assert measured.rate > 0
    assert loop[0].letter is None
    assert ours[0].letter is not None
    assert ours[0].letter < ours[0].token  # what is checked is said before the model has words


def test_the_table_compares_medians() -> None:
    shown = table(
        {
            "ophglm": [Measured(1.0, n, 90.0) for n in (2.0, 3.0, 40.0)],
            "loop": [Measured(None, 2.0, 100.0)],
        }
    )
    assert shown.splitlines()[2:] == [
        "| ophglm | 1.00 | 3.00 | 1.50 | 90.0 | 0.90 |",
        "| loop |  | 2.00 | 1.00 | 100.0 | 1.00 |",
    ]
