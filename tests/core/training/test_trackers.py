"""--log: a tracker that accelerate knows is told what metrics.jsonl is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import nn

from ophglm_core.errors import UsageError
from ophglm_core.training.config import Callbacks, EncoderConfig, Progress
from ophglm_core.training.trainer import TrainingResult, fit, tracked_folder

from .test_curve import KilledError
from .test_trainer import Line


class Whole(Line):
    """A line with a folder to write."""

    def __init__(self, out: Path) -> None:
        super().__init__()
        self.out, self.state_folder = out, out.with_name("state")
        self.seen_log: list[dict[str, Any]] = []

    def prepare(self, accelerator: Any, callbacks: Callbacks) -> None:
        pass

    def write_model_folder(self, result: TrainingResult, callbacks: Callbacks) -> None:
        from ophglm_core.training.curve import read_metrics

        assert result.log is not None
        self.seen_log = read_metrics(result.log.path)

    def evaluate(self, module: nn.Module, epoch: int) -> dict[str, Any]:
        return {**super().evaluate(module, epoch), "auc": {"dr": 0.5 + epoch / 10}}


def test_tensorboard_hears_each_step_once_though_the_run_was_killed(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "out"
    config = EncoderConfig(
        data=(), out=out, epochs=2, batch_size=8, precision="no", log="tensorboard"
    )

    def kill(progress: Progress) -> None:
        if (progress.epoch, progress.step) == (2, 2):
            raise KilledError  # the checkpoint is of the first epoch's end

    with pytest.raises(KilledError):
        fit(Whole(out), config, Callbacks(step=kill))
    whole = Whole(out)
    fit(whole, config)
    events = EventAccumulator(str(tracked_folder(out) / "line"))
    events.Reload()
    told, steps = events.Scalars("loss"), [x for x in whole.seen_log if "loss" in x]
    assert [e.step for e in told] == [x["step"] for x in steps] == list(range(1, 11))
    assert [e.value for e in told] == pytest.approx([x["loss"] for x in steps], rel=1e-4)
    judged = events.Scalars("validation/auc/dr")
    assert [e.step for e in judged] == [5, 10]
    assert [e.value for e in judged] == pytest.approx([0.5, 0.6])
    assert "learning_rate" in events.Tags()["scalars"]


def test_no_tracker_is_started_unasked(tmp_path: Path) -> None:
    fit(Whole(tmp_path / "out"), EncoderConfig(data=(), out=tmp_path, epochs=1, precision="no"))
    assert not tracked_folder(tmp_path / "out").exists()


def test_an_unknown_tracker_is_refused_with_the_list() -> None:
    with pytest.raises(UsageError, match=r"'tensorbord' is no tracker; .*mlflow.*tensorboard"):
        EncoderConfig(data=(), out=Path(), log="tensorbord")


def test_a_tracker_that_is_not_installed_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelerate.tracking.get_available_trackers", lambda: [])
    with pytest.raises(UsageError, match=r"not installed; run pip install tensorboard\.$"):
        EncoderConfig(data=(), out=Path(), log="tensorboard")
    with pytest.raises(UsageError, match=r"run pip install comet-ml\.$"):
        EncoderConfig(data=(), out=Path(), log="comet_ml")


def test_a_tracker_that_fails_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("no network.\nMore of it.")

    monkeypatch.setattr("accelerate.Accelerator.init_trackers", fail)
    config = EncoderConfig(data=(), out=tmp_path, precision="no", log="tensorboard")
    with pytest.raises(UsageError, match=r"^--log tensorboard cannot be used \(no network\)\.$"):
        fit(Whole(tmp_path / "out"), config)
