"""How a training looks in a log."""

from __future__ import annotations

import pytest

from ophglm_cli.training_output import TrainingOutput
from ophglm_core.training.config import Progress


def test_a_line_a_minute_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    output = TrainingOutput(clock=lambda: now)
    with output:
        for done in range(1, 8):
            now += 20
            output.decoding(done, 7)
        for step in range(1, 13):
            now += 10
            output.step(Progress(1, 3, step, 30, 0.5, 150.0))
        output.step(Progress(1, 3, 30, 30, 0.25, 90.0, {"score": 1.0, "perplexity": 2.0}, True))
        for step in (1, 2, 3):
            now += 20
            output.step(Progress(2, 3, step, 30, 0.5, 150.0))
    assert capsys.readouterr().err.splitlines() == [
        "decoding: 3 of 7",
        "decoding: 6 of 7",
        "epoch 1/3: 4 of 30, loss 0.5000, 2 min left in all",
        "epoch 1/3: 10 of 30, loss 0.5000, 2 min left in all",
        "epoch 1/3, loss 0.2500, validation perplexity 2.0000, 2 min left *",
        "epoch 2/3: 3 of 30, loss 0.5000, 2 min left in all",
    ]
