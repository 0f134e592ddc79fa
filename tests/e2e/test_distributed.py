from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import OPHGLM


def losses(text: str) -> list[float]:
    return [float(value) for value in re.findall(r"^epoch \d+/\d+, loss ([\d.]+)", text, re.M)]


@pytest.mark.slow
def test_two_processes_learn_as_one(a_hundred: Path, tmp_path: Path) -> None:
    """torchrun on gloo: the same command, the same global batch, the same loss curve."""
    options = ["train-encoder", str(a_hundred), "--epochs", "2", "--size", "64"]
    options += ["--batch-size", "16", "--precision", "no", "--architecture", "test_convnext"]
    one = subprocess.run(
        [str(OPHGLM), *options, "--out", str(tmp_path / "one")], capture_output=True, text=True
    )
    assert one.returncode == 0, one.stderr
    torchrun = Path(sys.executable).with_name("torchrun")
    launcher = [str(torchrun), "--nproc-per-node=2", "--master-port=29517", str(OPHGLM)]
    two = subprocess.run(
        [*launcher, *options, "--out", str(tmp_path / "two")], capture_output=True, text=True
    )
    assert two.returncode == 0, two.stderr
    assert (tmp_path / "two" / "encoder.onnx").exists()
    alone, together = losses(one.stderr), losses(two.stderr)
    assert len(alone) == len(together) == 2  # and so only one process speaks
    for a, b in zip(alone, together, strict=True):
        assert abs(a - b) < 0.05 * a, (alone, together)
    metrics = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    steps = [[(x["step"], "validation" in x) for x in lines] for lines in metrics]
    assert steps[0] == steps[1]  # one process writes, and what it writes is of both
    assert len(set(steps[0])) == len(steps[0])
    for x, y in zip(*metrics, strict=True):
        assert "loss" not in x or abs(x["loss"] - y["loss"]) < 0.1 * x["loss"]
