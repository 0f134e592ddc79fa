from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from torch._dynamo import OptimizedModule

from ophglm_core.errors import UsageError
from ophglm_core.training.caches import open_map
from ophglm_core.training.config import Callbacks, EncoderConfig, Progress
from ophglm_core.training.trainer import Trainer, fit, make_accelerator, random_order


class Line:
    """A stage whose samples are points of a line; small, and with random draws as the real ones."""

    name = "line"

    def __init__(self, samples: int = 40) -> None:
        torch.manual_seed(0)
        self.state_folder = self.out = Path()
        self.module = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Dropout(0.1), nn.Linear(8, 1))
        self.samples = samples
        self.seen: list[list[int]] = []
        self.stop_at: int | None = None

    def fingerprint(self) -> dict[str, Any]:
        return {"data": "line"}

    def order(self, seed: int, epoch: int, batch_size: int) -> list[int]:
        return random_order(self.samples, seed, epoch)

    def loss(
        self, model: nn.Module, indices: list[int], epoch: int, generator: torch.Generator
    ) -> Tensor:
        if self.stop_at is not None and len(self.seen) == self.stop_at:
            raise KeyboardInterrupt
        self.seen.append(indices)
        x = torch.tensor(indices).float()[:, None] / self.samples
        noise = torch.rand(x.shape, generator=generator) * 0.1
        result: Tensor = (model(x + noise) - 2 * x + 1).square().mean()
        return result

    def evaluate(self, module: nn.Module, epoch: int) -> dict[str, Any]:
        x = torch.linspace(0, 1, 20)[:, None]
        return {"score": -float((module(x) - 2 * x + 1).square().mean())}


def trainer(
    stage: Line, folder: Path, compiled: bool = False, **options: Any
) -> tuple[Trainer, list[Progress]]:
    events: list[Progress] = []
    defaults = {"epochs": 6, "batch_size": 8, "learning_rate": 0.02, "precision": "no"}
    values = {**defaults, "compiled": compiled, "data": (), "out": folder, **options}
    config = EncoderConfig(**values)
    stage.state_folder = folder
    callbacks = Callbacks(step=events.append)
    return Trainer(stage, config, make_accelerator(config), callbacks), events


def test_every_sample_once_an_epoch_and_it_learns(tmp_path: Path) -> None:
    stage = Line()
    run, events = trainer(stage, tmp_path)
    history = run.run().history
    assert [h["epoch"] for h in history] == [1, 2, 3, 4, 5, 6]
    assert sorted(i for batch in stage.seen[:5] for i in batch) == list(range(40))
    assert history[-1]["loss"] < history[0]["loss"] / 2
    assert events[-1].metrics is not None
    assert sum(e.best for e in events) >= 1


@pytest.mark.parametrize("stop_at", [3, 13])
def test_a_stopped_run_ends_as_if_it_had_not_been(tmp_path: Path, stop_at: int) -> None:
    whole, _ = trainer(Line(), tmp_path / "whole")
    whole.run()
    stage = Line()
    stage.stop_at = stop_at
    stopped, _ = trainer(stage, tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    resumed, _ = trainer(Line(), tmp_path / "stopped")
    resumed.run()
    for key, value in whole.best_state.items():
        assert torch.equal(value, resumed.best_state[key]), key
    assert [h["loss"] for h in whole.history] == [h["loss"] for h in resumed.history]


def test_other_options_are_refused(tmp_path: Path) -> None:
    stage = Line()
    stage.stop_at = 4
    run, _ = trainer(stage, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    other, _ = trainer(Line(), tmp_path, batch_size=4)
    with pytest.raises(UsageError, match=r"other options \(batch_size\)"):
        other.run()


def test_a_damaged_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"PK\x03\x04 half of a file")
    with pytest.raises(UsageError, match="is damaged"):
        trainer(Line(), tmp_path)[0].run()


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_a_truncated_checkpoint_is_one_sentence(tmp_path: Path, share: float) -> None:
    stage = Line()
    stage.stop_at = 7
    run, _ = trainer(stage, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    whole = run.checkpoint.read_bytes()
    run.checkpoint.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UsageError, match="is damaged; delete"):
        trainer(Line(), tmp_path)[0].run()


class Failing(Line):
    """Fails in its third step."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def prepare(self, accelerator: Any, callbacks: Callbacks) -> None:
        pass

    def write_model_folder(self, result: Any, callbacks: Callbacks) -> None:
        pass

    def loss(self, model: nn.Module, indices: list[int], epoch: int, generator: Any) -> Tensor:
        if len(self.seen) == 2:
            raise self.error
        return super().loss(model, indices, epoch, generator)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "memory does not"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "memory does not"),
        (MemoryError(), "memory does not"),
        (OSError(28, "No space left on device"), "disk is full"),
        (RuntimeError("PytorchStreamWriter failed writing file data/0: f"), "disk is full"),
    ],
)
def test_a_full_memory_or_disk_is_one_sentence(
    tmp_path: Path, error: Exception, sentence: str
) -> None:
    stage = Failing(error)
    stage.state_folder = tmp_path / "state"
    config = EncoderConfig(data=(), out=tmp_path, batch_size=8, precision="no")
    with pytest.raises(UsageError, match=sentence) as told:
        fit(stage, config)
    assert str(told.value).count(". ") == 0
    if "memory" in sentence:
        assert "--batch-size" in str(told.value)


def test_another_fault_is_not_hidden(tmp_path: Path) -> None:
    stage = Failing(RuntimeError("shapes differ"))
    stage.state_folder = tmp_path / "state"
    config = EncoderConfig(data=(), out=tmp_path, batch_size=8, precision="no")
    with pytest.raises(RuntimeError, match="shapes differ"):
        fit(stage, config)


def test_a_checkpoint_that_finds_no_room_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Line()
    stage.stop_at = 7
    run, _ = trainer(stage, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    before = run.checkpoint.read_bytes()

    def full(state: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        run._save()
    assert run.checkpoint.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.pt", "metrics.jsonl"]


def test_a_memory_map_takes_its_room_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tokens.f16"
    held = open_map(path, (1000, 512), np.float16)
    assert path.stat().st_blocks * 512 >= held.nbytes
    assert not held.any()
    held[3] = 1
    held.flush()
    assert open_map(path, (1000, 512), np.float16)[3].all()

    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OSError, match="No space"):
        open_map(tmp_path / "more.u8", (10,))
    assert not (tmp_path / "more.u8").exists()


def test_accumulation_gives_the_same_gradient_as_one_batch(tmp_path: Path) -> None:
    class Still(Line):
        def __init__(self) -> None:
            super().__init__()
            self.module[2] = nn.Identity()  # each part would draw a dropout of its own

        def loss(self, model: nn.Module, indices: list[int], epoch: int, generator: Any) -> Tensor:
            x = torch.tensor(indices).float()[:, None] / self.samples
            result: Tensor = (model(x) - 2 * x + 1).square().mean()
            return result

    one, _ = trainer(Still(), tmp_path / "one", epochs=2)
    one.run()
    parts, _ = trainer(Still(), tmp_path / "parts", epochs=2, gradient_accumulation_steps=3)
    parts.run()
    for key, value in one.best_state.items():
        assert torch.allclose(value, parts.best_state[key], atol=1e-5), key


@pytest.mark.skipif(
    not (shutil.which("c++") and Path(sysconfig.get_path("include"), "Python.h").exists()),
    reason="torch.compile needs a C++ compiler and Python's headers",
)
def test_a_compiled_module_trains_to_the_same_weights_under_the_same_names(tmp_path: Path) -> None:
    def still() -> Line:
        line = Line()
        line.module[2] = nn.Identity()  # a compiled dropout draws other numbers
        return line

    plain, _ = trainer(still(), tmp_path / "plain", epochs=2)
    plain.run()
    AcceleratorState._reset_state(reset_partial_state=True)  # accelerate keeps the first options
    try:
        compiled, _ = trainer(still(), tmp_path / "compiled", epochs=2, compiled=True)
        assert isinstance(compiled.model, OptimizedModule)
        compiled.run()
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
    assert plain.best_state.keys() == compiled.best_state.keys()
    for key, value in plain.best_state.items():
        assert torch.allclose(value, compiled.best_state[key], atol=1e-4), key


def test_early_stop(tmp_path: Path) -> None:
    class Worse(Line):
        epoch = 0

        def evaluate(self, module: nn.Module, epoch: int) -> dict[str, Any]:
            self.epoch += 1
            return {"score": -self.epoch}

    run, _ = trainer(Worse(), tmp_path, epochs=20, patience=2)
    assert len(run.run().history) == 3
    assert run.best_epoch == 0


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    class Broken(Line):
        def loss(self, model: nn.Module, indices: list[int], epoch: int, generator: Any) -> Tensor:
            result: Tensor = model(torch.ones(1, 1)).mean() * float("nan")
            return result

    run, _ = trainer(Broken(), tmp_path)
    with pytest.raises(UsageError, match="no longer a number"):
        run.run()
