"""metrics.jsonl and curve.png: what a training leaves of its way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ophglm_core.training.config import Callbacks, EncoderConfig, Progress
from ophglm_core.training.curve import MetricsLog, draw_curve, flat_metrics, read_metrics, smoothed
from ophglm_core.training.trainer import Trainer, make_accelerator

from .test_trainer import Line


class KilledError(Exception):
    """Ends a run as SIGKILL does: no state is saved on the way out."""


def run(folder: Path, killed_at: tuple[int, int, bool] | None = None) -> list[dict[str, Any]]:
    """Train six epochs of five steps; killed_at: epoch, step, and whether after its validation."""

    def kill(progress: Progress) -> None:
        if (progress.epoch, progress.step, progress.metrics is not None) == killed_at:
            raise KilledError

    config = EncoderConfig(
        data=(), out=folder, epochs=6, batch_size=8, learning_rate=0.02, precision="no"
    )
    stage = Line()
    stage.state_folder = folder
    try:
        Trainer(stage, config, make_accelerator(config), Callbacks(step=kill)).run()
    except KilledError:
        assert killed_at is not None
    lines = read_metrics(folder / "metrics.jsonl")
    measured = {"seconds", "samples_per_second"}
    assert all(x["seconds"] >= 0 for x in lines)
    return [{k: v for k, v in x.items() if k not in measured} for x in lines]


def test_a_line_a_step_and_a_validation(tmp_path: Path) -> None:
    lines = run(tmp_path)
    steps = [x for x in lines if "validation" not in x]
    judged = [x for x in lines if "validation" in x]
    assert [x["step"] for x in steps] == list(range(1, 31))
    assert [x["epoch"] for x in steps] == [1 + i // 5 for i in range(30)]
    assert [(x["step"], x["epoch"]) for x in judged] == [(5 * e, e) for e in range(1, 7)]
    assert steps[-1]["loss"] < steps[0]["loss"]
    rates = [x["learning_rate"] for x in steps]
    assert max(rates) == pytest.approx(0.02, rel=0.1)
    assert rates[-1] < 0.1 * max(rates)
    assert {x["stage"] for x in lines} == {"line"}
    whole = [json.loads(x) for x in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert all(x["samples_per_second"] > 0 for x in whole if "loss" in x)


@pytest.mark.parametrize(
    "killed_at",
    [(1, 2, False), (3, 2, False), (3, 5, False), (3, 5, True)],
    ids=["before any checkpoint", "in an epoch", "before a validation", "after a validation"],
)
def test_a_killed_run_has_each_step_once(tmp_path: Path, killed_at: tuple[int, int, bool]) -> None:
    run(tmp_path / "killed", killed_at)
    with (tmp_path / "killed" / "metrics.jsonl").open("a") as stream:
        stream.write('{"stage": "line", "step": 99, "epo')  # what a kill cuts off
    assert run(tmp_path / "killed") == run(tmp_path / "whole")


def test_what_another_run_has_written_is_dropped_when_a_run_begins(tmp_path: Path) -> None:
    whole = run(tmp_path)
    (tmp_path / "checkpoint.pt").unlink()
    assert run(tmp_path) == whole


def log_of(folder: Path, stage: str, losses: list[float], **metrics: Any) -> MetricsLog:
    folder.mkdir(exist_ok=True)
    (folder / "metrics.jsonl").unlink(missing_ok=True)
    log = MetricsLog(folder, stage)
    for number, loss in enumerate(losses, 1):
        log.add(step=number, epoch=1, loss=loss)
    log.add(step=len(losses), epoch=1, validation=metrics)
    return log


def test_a_folder_keeps_the_lines_of_its_other_stages(tmp_path: Path) -> None:
    model, state = tmp_path / "model", tmp_path / "state"
    model.mkdir()
    remarks: list[str] = []
    auc = {"dr": 0.9, "amd": None}
    log_of(state, "encoder", [1, 0.5], macro_auc=0.9, auc=auc, kappa=None).write_into(
        model, remarks.append
    )
    narrow = Image.open(model / "curve.png").size
    before = {"stage": "adapter", "step": 1, "epoch": 1, "loss": 3.0}
    with (model / "metrics.jsonl").open("a") as stream:
        stream.write(json.dumps(before) + "\n")  # of a training whose place the next one takes
    log = log_of(state, "adapter", [2.5, 1.5], held_out_loss=1.0, perplexity=2.7)
    log.write_into(model, remarks.append)
    lines = read_metrics(model / "metrics.jsonl")
    assert [(x["stage"], x.get("loss")) for x in lines] == [
        ("encoder", 1),
        ("encoder", 0.5),
        ("encoder", None),
        ("adapter", 2.5),
        ("adapter", 1.5),
        ("adapter", None),
    ]
    wide = Image.open(model / "curve.png").size
    assert wide[1] > 1.9 * narrow[1]  # a row a stage
    assert wide[0] > 1.4 * narrow[0]  # the loss and two metrics, where there was one
    assert not remarks


def test_axes_are_labelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    seen: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: seen.append(self))
    log = log_of(tmp_path / "state", "encoder", [1, 0.5, 0.25], macro_auc=0.9, kappa=None)
    draw_curve(log.path, tmp_path / "curve.png")
    loss, metric = seen[0].axes
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("step", "training loss")
    assert (metric.get_xlabel(), metric.get_ylabel()) == ("step", "validation macro auc")
    assert list(loss.lines[0].get_ydata()) == [1, 0.5, 0.25]
    assert list(metric.lines[0].get_xdata()) == [3]


def test_a_curve_that_cannot_be_drawn_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("no font.\nAt all.")

    model = tmp_path / "model"
    model.mkdir()
    (model / "curve.png").write_bytes(b"of before")
    monkeypatch.setattr("ophglm_core.training.curve.draw_curve", fail)
    remarks: list[str] = []
    log_of(tmp_path / "state", "encoder", [1]).write_into(model, remarks.append)
    assert remarks == ["curve.png could not be drawn (no font); its figures are in metrics.jsonl."]
    assert [p.name for p in model.iterdir()] == ["metrics.jsonl"]


def test_a_folder_of_before_and_lines_that_are_none(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "metrics.jsonl") == []
    (tmp_path / "metrics.jsonl").write_text(
        '[1]\n{"a": 1}\n\n{"stage": "x", "step": 1, "epoch": 1}'
    )
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 1
    shutil.copy(tmp_path / "metrics.jsonl", tmp_path / "other.jsonl")
    draw_curve(tmp_path / "other.jsonl", tmp_path / "curve.png")  # a stage without a loss


def test_numbers_that_are_not_finite_are_null_and_no_trackers(tmp_path: Path) -> None:
    log = log_of(tmp_path / "s", "encoder", [0.123456789], auc={"dr": 0.5, "amd": float("nan")})
    first, second = log.path.read_text().splitlines()
    assert json.loads(first)["loss"] == 0.123457
    assert "NaN" not in second
    assert flat_metrics(json.loads(second)) == {"epoch": 1, "validation/auc/dr": 0.5}


def test_a_moving_average() -> None:
    assert smoothed([1.0, 2.0]) == [1.0, 2.0]
    assert smoothed([float(i) for i in range(100)])[-1] == 98.5
