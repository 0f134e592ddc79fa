"""The training loop that all stages share.

It knows nothing of pictures or text: a stage gives it a module, a loss on a batch of sample numbers
and an evaluation. It does the rest: order, schedule, several processes, weight average, checkpoints
and early stop. The order of samples and every random draw follow from (seed, epoch, step), so a
training that was killed goes on as if it had not been.
"""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from ..errors import UsageError

#: A checkpoint is written every so many seconds, or so many times as long as writing it takes.
_SAVE_AFTER, _SAVE_SHARE = 2.0, 30.0


@dataclass(frozen=True)
class Schedule:
    """How to train. `batch` is the global batch, whatever the number of processes."""

    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float = 0.02
    warmup: float = 0.05
    average: float = 0.998
    patience: int = 5
    seed: int = 0
    accumulate: int = 1
    precision: str = "auto"


@dataclass(frozen=True)
class Progress:
    """What the loop tells while it runs. `metrics` is set once an epoch, after its evaluation."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    seconds_left: float
    metrics: dict[str, Any] | None = None
    best: bool = False


class Stage(Protocol):
    """One of the three trainings, as the loop sees it."""

    module: nn.Module

    @property
    def samples(self) -> int:
        """Number of training samples."""
        ...

    def order(self, seed: int, epoch: int, batch: int) -> list[int]:
        """Return the order of the samples in an epoch, counted from 0; see random_order."""
        ...

    def loss(
        self, model: nn.Module, indices: list[int], epoch: int, generator: torch.Generator
    ) -> Tensor:
        """Return the mean loss of the samples `indices`; random draws come from `generator`."""
        ...

    def evaluate(self, module: nn.Module, epoch: int) -> dict[str, Any]:
        """Return validation metrics after an epoch, counted from 0; 'score' is maximised."""
        ...


def make_accelerator(precision: str, accumulate: int = 1, compiled: bool = False) -> Accelerator:
    """Return accelerate's handle on devices and processes.

    precision: 'auto' (bf16 on CUDA and on CPUs with native bf16, else fp32), 'bf16' or 'no'.
    compiled: whether torch.compile turns the module into kernels of its own.
    """
    if precision == "auto":
        native = torch.cuda.is_bf16_supported() if torch.cuda.is_available() else _cpu_has_bf16()
        precision = "bf16" if native else "no"
    return Accelerator(
        mixed_precision=precision,
        gradient_accumulation_steps=accumulate,
        dynamo_backend="inductor" if compiled else "no",
        cpu=not (torch.cuda.is_available() or torch.backends.mps.is_available()),
    )


def _cpu_has_bf16() -> bool:
    capability = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capability.get("avx512_bf16") or capability.get("amx_bf16"))


class Trainer:
    """Train a stage; the state lives in `folder` and a second run with the same one goes on.

    folder: where the checkpoint is kept. fingerprint: what must be alike for a checkpoint to be
    taken up again (options, data); a differing one raises UsageError instead of mixing two runs.
    """

    def __init__(
        self,
        stage: Stage,
        schedule: Schedule,
        folder: Path,
        fingerprint: dict[str, Any],
        accelerator: Accelerator,
        report: Callable[[Progress], None],
    ):
        self.stage, self.schedule, self.folder = stage, schedule, folder
        self.accelerator, self.report = accelerator, report
        self.fingerprint = json.loads(json.dumps({**fingerprint, **asdict(schedule)}, default=str))
        self.steps = max(1, math.ceil(stage.samples / schedule.batch))
        decay = [p for p in stage.module.parameters() if p.requires_grad and p.ndim > 1]
        plain = [p for p in stage.module.parameters() if p.requires_grad and p.ndim <= 1]
        optimizer = torch.optim.AdamW(
            [
                {"params": decay, "weight_decay": schedule.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=schedule.learning_rate,
        )
        # Copied before accelerate wraps the module's forward, or the copy would run the original.
        self.average = _Average(stage.module, schedule.average)
        self.model, self.optimizer = accelerator.prepare(stage.module, optimizer)
        self.epoch = self.step = 0
        self.loss_sum = 0.0
        self.seconds = 0.0
        self.best_score = -math.inf
        self.best_epoch = -1
        self.best_state: dict[str, Tensor] = {}
        self.history: list[dict[str, Any]] = []

    @property
    def unwrapped(self) -> nn.Module:
        """The stage's module without accelerate's wrappers."""
        module: nn.Module = self.accelerator.unwrap_model(self.model, keep_torch_compile=False)
        return module

    @property
    def checkpoint(self) -> Path:
        """The file that holds the state of the run."""
        return self.folder / "checkpoint.pt"

    def run(self) -> list[dict[str, Any]]:
        """Train to the end and return the history; the best weights are then in `best_state`.

        On KeyboardInterrupt the state is saved before the exception goes on.
        """
        self._resume()
        try:
            while self.epoch < self.schedule.epochs and not self._exhausted():
                self._run_epoch()
        except KeyboardInterrupt:
            self._save()
            raise
        return self.history

    def _exhausted(self) -> bool:
        return self.best_epoch >= 0 and self.epoch - 1 - self.best_epoch >= self.schedule.patience

    def _run_epoch(self) -> None:
        order = self.stage.order(self.schedule.seed, self.epoch, self.schedule.batch)
        due = time.monotonic() + _SAVE_AFTER
        self.model.train()
        while self.step < self.steps:
            began = time.monotonic()
            batch = order[self.step * self.schedule.batch : (self.step + 1) * self.schedule.batch]
            self.loss_sum += self._train_step(batch)
            self.step += 1
            self.seconds += time.monotonic() - began
            self._tell()
            if time.monotonic() > due:
                saving = time.monotonic()
                self._save()
                took = time.monotonic() - saving
                due = time.monotonic() + max(_SAVE_AFTER, _SAVE_SHARE * took)
        self._end_epoch()

    def _train_step(self, batch: list[int]) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.learning_rate * self._rate()
        ranks, rank = self.accelerator.num_processes, self.accelerator.process_index
        own = batch[rank::ranks] or batch[:1]
        pieces = [own[i :: self.schedule.accumulate] for i in range(self.schedule.accumulate)]
        pieces = [piece for piece in pieces if piece]
        total = 0.0
        self.optimizer.zero_grad()
        for number, piece in enumerate(pieces):
            generator = torch.Generator().manual_seed(
                hash((self.schedule.seed, self.epoch, self.step, rank, number)) % 2**63
            )
            last = number == len(pieces) - 1
            context = self.accelerator.no_sync(self.model) if not last else nullcontext()
            with context:
                with self.accelerator.autocast():
                    loss = self.stage.loss(self.model, piece, self.epoch, generator)
                loss = loss * (len(piece) / len(own))
                self.accelerator.backward(loss * self.accelerator.gradient_accumulation_steps)
            total += float(loss.detach())
        self.accelerator.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self.average.update(self.unwrapped)
        if not math.isfinite(total):
            raise UsageError("The loss is no longer a number; train with a lower --learning-rate.")
        mean: Tensor = self.accelerator.reduce(
            torch.tensor(total, device=self.accelerator.device), reduction="mean"
        )
        return float(mean)

    def _rate(self) -> float:
        """Linear warm-up, then a cosine down to a hundredth."""
        total = self.steps * self.schedule.epochs
        position = (self.epoch * self.steps + self.step + 1) / total
        if position < self.schedule.warmup:
            return position / self.schedule.warmup
        rest = (position - self.schedule.warmup) / (1 - self.schedule.warmup)
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, rest)))

    def _tell(self, metrics: dict[str, Any] | None = None, best: bool = False) -> None:
        done = self.epoch * self.steps + self.step
        left = (self.schedule.epochs * self.steps - done) * self.seconds / max(1, done)
        loss = self.loss_sum / max(1, self.step)
        self.report(
            Progress(
                self.epoch + 1,
                self.schedule.epochs,
                self.step,
                self.steps,
                loss,
                left,
                metrics,
                best,
            )
        )

    def _end_epoch(self) -> None:
        began = time.monotonic()
        metrics = self._evaluate()
        score = float(metrics["score"])
        best = score > self.best_score or not self.best_state
        if best:
            self.best_score, self.best_epoch = score, self.epoch
            state = self.average.module.state_dict()
            self.best_state = {k: v.detach().cpu().clone() for k, v in state.items()}
        self.seconds += time.monotonic() - began
        self.history.append(
            {"epoch": self.epoch + 1, "loss": self.loss_sum / self.steps, **metrics}
        )
        self._tell(metrics, best)
        self.epoch, self.step, self.loss_sum = self.epoch + 1, 0, 0.0
        self._save()

    def _evaluate(self) -> dict[str, Any]:
        # Every process evaluates the whole validation set: it is small, and all then agree.
        self.average.module.eval()
        with torch.no_grad(), self.accelerator.autocast():
            return self.stage.evaluate(self.average.module, self.epoch)

    def _save(self) -> None:
        if not self.accelerator.is_main_process:
            return
        state = {
            "fingerprint": self.fingerprint,
            "module": self.unwrapped.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best_state": self.best_state,
            "numbers": {
                "epoch": self.epoch,
                "step": self.step,
                "loss_sum": self.loss_sum,
                "seconds": self.seconds,
                "best_score": self.best_score,
                "best_epoch": self.best_epoch,
            },
            "history": self.history,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.checkpoint.with_suffix(".part")
        torch.save(state, partial)
        os.replace(partial, self.checkpoint)

    def _resume(self) -> None:
        if not self.checkpoint.is_file():
            return
        state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        if state["fingerprint"] != self.fingerprint:
            changed = sorted(
                key
                for key in self.fingerprint.keys() | state["fingerprint"].keys()
                if self.fingerprint.get(key) != state["fingerprint"].get(key)
            )
            raise UsageError(
                f"{self.folder} holds a training with other options ({', '.join(changed)}); "
                "give the same ones to go on with it, or delete that folder to start anew."
            )
        self.unwrapped.load_state_dict(state["module"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best_state = state["best_state"]
        self.history = state["history"]
        for key, value in state["numbers"].items():
            setattr(self, key, value)


class _Average:
    """Exponential moving average of a module's weights; early on it forgets faster."""

    def __init__(self, module: nn.Module, decay: float):
        self.module = copy.deepcopy(module).requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        current = module.state_dict()
        for key, value in self.module.state_dict().items():
            if value.is_floating_point():
                value.lerp_(current[key].to(value), 1 - decay)
            else:
                value.copy_(current[key])

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates, "weights": self.module.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updates = state["updates"]
        self.module.load_state_dict(state["weights"])


def random_order(samples: int, seed: int, epoch: int) -> list[int]:
    """Return the samples in a random order that follows from seed and epoch."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(samples, generator=generator).tolist()
