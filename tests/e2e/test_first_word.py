"""What the benchmark of the first word prints."""

from __future__ import annotations

from ..benchmarks.first_word import Measured, table


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
