"""The training that all stages share: `fit` runs a stage, the trainer is its loop.

The loop knows nothing of pictures or text: a stage gives it a module, a loss on a batch of sample
numbers and an evaluation. It does the rest: order, schedule, several processes, moving average,
checkpoints and early stop. The order of samples and every random number follow from (seed, epoch,
step), so a training that was killed goes on as if it had not been.
"""

from __future__ import annotations

import errno
import json
import math
import pickle
import re
import shutil
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from timm.optim import param_groups_weight_decay
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from ..errors import UsageError
from ..files import atomic_write
from ..networks.sharding import without_fsdp
from .config import PRECISIONS, Callbacks, Progress, TrainingConfig
from .curve import MetricsLog, flat_metrics

#: A checkpoint is written every so many seconds, or so many times as long as writing it takes.
_SAVE_AFTER, _SAVE_SHARE = 2.0, 30.0
_MAX_GRADIENT_NORM = 5.0
#: How torch names it where a processor's memory is full, and a disk that a file is written to.
_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory", re.IGNORECASE)
_NO_SPACE = re.compile(
    r"No space left|PytorchStreamWriter failed writing|enforce fail at inline_con"
)
#: The learning rate ends at this share of its height.
_LAST_RATE = 0.01


@dataclass(frozen=True)
class TrainingResult:
    """What a training ended with: the best weights (a state dict on the CPU), and how it went.

    log: of its steps; only the main process has one.
    """

    best_state: dict[str, Tensor]
    best_epoch: int
    seconds: float
    precision: str
    history: list[dict[str, Any]]
    log: MetricsLog | None = None

    def write_curve(self, folder: Path, callbacks: Callbacks) -> None:
        """Write metrics.jsonl and curve.png into a model folder; of no epoch there is none."""
        if self.log is not None and self.history:
            self.log.write_into(folder, callbacks.remark)


class Stage(Protocol):
    """One of the three trainings, as `fit` sees it.

    name: 'encoder', 'fusion' or 'adapter'. out: the model folder to write. state_folder: where a
    stopped training keeps its state. module: what is trained, after `prepare`.
    """

    name: str
    out: Path
    state_folder: Path
    module: nn.Module

    @property
    def samples(self) -> int:
        """Number of samples that an epoch trains on."""
        ...

    def prepare(self, accelerator: Accelerator, callbacks: Callbacks) -> None:
        """Load networks and decode photographs. Raises InputError and UsageError."""
        ...

    def fingerprint(self) -> dict[str, Any]:
        """Return what of the data must be alike for a stopped training to go on."""
        ...

    def order(self, seed: int, epoch: int, batch_size: int) -> list[int]:
        """Return the order of the samples in an epoch, counted from 0; see random_order."""
        ...

    def loss(
        self, model: nn.Module, indices: list[int], epoch: int, generator: torch.Generator
    ) -> Tensor:
        """Return the mean loss of the samples `indices`; random numbers come from `generator`."""
        ...

    def evaluate(self, module: nn.Module, epoch: int) -> dict[str, Any]:
        """Return validation metrics after an epoch, counted from 0; 'score' is maximised."""
        ...

    def write_model_folder(self, result: TrainingResult, callbacks: Callbacks) -> None:
        """Write the model folder `out`."""
        ...


def fit(stage: Stage, config: TrainingConfig, callbacks: Callbacks | None = None) -> Path | None:
    """Train a stage and write its model folder, which is returned.

    A training that was stopped goes on when called again with the same config and data. Where
    several processes train, all but the first return None. Raises InputError and UsageError.
    """
    callbacks = callbacks or Callbacks()
    accelerator = make_accelerator(config, tracked_folder(stage.out) if config.log else None)
    if not accelerator.is_main_process:
        callbacks = Callbacks()
    torch.manual_seed(config.seed)
    try:
        stage.prepare(accelerator, callbacks)
        result = Trainer(stage, config, accelerator, callbacks).run()
        if not accelerator.is_main_process:
            return None
        stage.write_model_folder(result, callbacks)
    except (RuntimeError, MemoryError, OSError) as error:
        sentence = _what_to_change(error, config, stage.state_folder)
        if sentence is None:
            raise
        raise UsageError(sentence) from error
    finally:
        for tracker in accelerator.trackers:
            tracker.finish()
    shutil.rmtree(stage.state_folder, ignore_errors=True)
    return stage.out


def _what_to_change(error: Exception, config: TrainingConfig, folder: Path) -> str | None:
    """Return what ended a training and what to change, where the machine or an option did."""
    reason = next(iter(str(error).strip().splitlines()), "")
    compiled = getattr(config, "compiled", False)
    if compiled and isinstance(error, torch._dynamo.exc.TorchDynamoException):
        return f"The network cannot be compiled ({reason}); omit --compile."
    goes_on = f"; what was trained so far is in {folder}" if folder.is_dir() else ""
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or _NO_MEMORY.search(str(error)):
        checkpointing = hasattr(config, "gradient_checkpointing")
        options = ["a higher --gradient-accumulation-steps"]
        if checkpointing and not getattr(config, "gradient_checkpointing", False):
            options.append("--gradient-checkpointing")
        return (
            f"The memory does not suffice for a step of {config.batch_size} samples; train with "
            f"{' and '.join(options)}, or with a lower --batch-size{goes_on}."
        )
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or _NO_SPACE.search(str(error)):
        return f"The disk is full at {folder.parent}; make room and give the same command{goes_on}."
    return None


def tracked_folder(out: Path) -> Path:
    """Return where a tracker such as TensorBoard writes: beside the model folder, and kept."""
    return out.with_name(out.name + ".log")


def make_accelerator(config: TrainingConfig, tracked: Path | None = None) -> Accelerator:
    """Return accelerate's handle on devices and processes.

    tracked: the folder that a tracker writes to, where it writes files. Raises UsageError.
    """
    precision = config.precision
    if precision not in PRECISIONS:
        raise UsageError(f"'{precision}' is no precision; use {', '.join(PRECISIONS)}.")
    if precision == "auto":
        native = torch.cuda.is_bf16_supported() if torch.cuda.is_available() else _cpu_has_bf16()
        precision = "bf16" if native else "no"
    with without_fsdp():
        return Accelerator(
            mixed_precision=precision,
            gradient_accumulation_steps=config.gradient_accumulation_steps,
            dynamo_backend="inductor" if getattr(config, "compiled", False) else "no",
            log_with=config.log if tracked else None,
            project_dir=tracked,
            cpu=not (torch.cuda.is_available() or torch.backends.mps.is_available()),
        )


def _cpu_has_bf16() -> bool:
    capability = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capability.get("avx512_bf16") or capability.get("amx_bf16"))


class Trainer:
    """Train a stage; the state lives in its folder, and a second run with the same one goes on.

    A state of another config or of other data raises UsageError instead of mixing two runs.
    """

    def __init__(
        self, stage: Stage, config: TrainingConfig, accelerator: Accelerator, callbacks: Callbacks
    ):
        self.stage, self.config, self.folder = stage, config, stage.state_folder
        self.accelerator, self.callbacks = accelerator, callbacks
        fingerprint = {**config.fingerprint(), **stage.fingerprint()}
        self.fingerprint = json.loads(json.dumps(fingerprint, default=str))
        self.steps = max(1, math.ceil(stage.samples / config.batch_size))
        total = self.steps * config.total_epochs
        optimizer = torch.optim.AdamW(
            param_groups_weight_decay(stage.module, config.weight_decay), lr=config.learning_rate
        )
        self.scheduler = CosineLRScheduler(
            optimizer,
            t_initial=max(2, total),  # fewer steps have no schedule, and timm says so
            lr_min=_LAST_RATE * config.learning_rate,
            warmup_t=max(1, round(config.warmup * total)),
            warmup_lr_init=_LAST_RATE * config.learning_rate,
            t_in_epochs=False,
        )
        # Copied before accelerate wraps the module's forward, or the copy would run the original.
        # Early on it forgets faster.
        self.ema = ModelEmaV3(stage.module, decay=config.ema_decay, use_warmup=True)
        self.ema.module.requires_grad_(False)
        self.model, self.optimizer = accelerator.prepare(stage.module, optimizer)
        self.epoch = self.step = 0
        self.loss_sum = 0.0
        self.seconds = 0.0
        self.best_score = -math.inf
        self.best_epoch = -1
        self.best_state: dict[str, Tensor] = {}
        self.history: list[dict[str, Any]] = []
        main = accelerator.is_main_process
        self.log = MetricsLog(self.folder, stage.name) if main else None

    @property
    def unwrapped(self) -> nn.Module:
        """The stage's module without accelerate's wrappers."""
        module: nn.Module = self.accelerator.unwrap_model(self.model, keep_torch_compile=False)
        return module

    @property
    def done(self) -> int:
        """Steps so far, over all epochs."""
        return self.epoch * self.steps + self.step

    @property
    def checkpoint(self) -> Path:
        """The file that holds the state of the run."""
        return self.folder / "checkpoint.pt"

    def run(self) -> TrainingResult:
        """Train to the end.

        On KeyboardInterrupt the state is saved before the exception goes on.
        """
        self._resume()
        self._start_tracker()
        try:
            while self.epoch < self.config.total_epochs and not self._exhausted():
                self._run_epoch()
        except KeyboardInterrupt:
            self._save()
            raise
        return TrainingResult(
            self.best_state,
            self.best_epoch,
            self.seconds,
            str(self.accelerator.mixed_precision),
            self.history,
            self.log,
        )

    def _exhausted(self) -> bool:
        patience = self.config.patience
        if patience is None or self.best_epoch < 0:
            return False
        return self.epoch - 1 - self.best_epoch >= patience

    def _run_epoch(self) -> None:
        size = self.config.batch_size
        order = self.stage.order(self.config.seed, self.epoch, size)
        due = time.monotonic() + _SAVE_AFTER
        self.model.train()
        while self.step < self.steps:
            began = time.monotonic()
            batch = order[self.step * size : (self.step + 1) * size]
            loss, tokens = self._train_step(batch)
            took = time.monotonic() - began
            # Before the step counts: a stop between the two trains and writes it again.
            self._log_step(loss, took, len(batch), tokens)
            self.loss_sum += loss
            self.step += 1
            self.seconds += took
            self._report()
            if time.monotonic() > due:
                saving = time.monotonic()
                self._save()
                took = time.monotonic() - saving
                due = time.monotonic() + max(_SAVE_AFTER, _SAVE_SHARE * took)
        self._end_epoch()

    def _log_step(self, loss: float, took: float, samples: int, tokens: int) -> None:
        speeds = {"samples_per_second": samples / max(took, 1e-9)}
        if tokens:
            speeds["tokens_per_second"] = tokens / max(took, 1e-9)
        self._add_line(
            step=self.done + 1,
            epoch=self.epoch + 1,
            loss=loss,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            seconds=self.seconds + took,
            **speeds,
        )

    def _train_step(self, batch: list[int]) -> tuple[float, int]:
        """Return the loss and the tokens, both of all processes."""
        update = self.epoch * self.steps + self.step + 1
        self.scheduler.step_update(update)
        parts = self.config.gradient_accumulation_steps
        ranks, rank = self.accelerator.num_processes, self.accelerator.process_index
        own = batch[rank::ranks]
        # As many pieces in each process: a sharded language model is gathered by all at once.
        most = min(parts, len(batch[::ranks]))
        pieces = [own[i::parts] for i in range(most)]
        total, before = 0.0, getattr(self.stage, "tokens", 0)
        self.optimizer.zero_grad()
        for number, piece in enumerate(pieces):
            seed = hash((self.config.seed, self.epoch, self.step, rank, number)) % 2**63
            torch.manual_seed(seed)  # dropout draws from the global generator
            generator = torch.Generator().manual_seed(seed)
            last = number == len(pieces) - 1
            context = self.accelerator.no_sync(self.model) if not last else nullcontext()
            with context:
                with self.accelerator.autocast():
                    loss = self.stage.loss(self.model, piece or batch[:1], self.epoch, generator)
                # What fills up for others counts for nothing.
                loss = loss * (len(piece) * ranks / len(batch))
                self.accelerator.backward(loss * self.accelerator.gradient_accumulation_steps)
            total += float(loss.detach())
        self.accelerator.clip_grad_norm_(self.model.parameters(), _MAX_GRADIENT_NORM)
        self.optimizer.step()
        self.ema.update(self.unwrapped, step=update)
        if not math.isfinite(total):
            raise UsageError("The loss is no longer a number; train with a lower --learning-rate.")
        own_tokens = getattr(self.stage, "tokens", 0) - before
        both: Tensor = self.accelerator.reduce(
            torch.tensor([total, own_tokens], device=self.accelerator.device), reduction="sum"
        )
        return float(both[0]) / ranks, int(both[1])

    def _report(self, metrics: dict[str, Any] | None = None, best: bool = False) -> None:
        epochs = self.config.total_epochs
        left = (epochs * self.steps - self.done) * self.seconds / max(1, self.done)
        loss = self.loss_sum / max(1, self.step)
        self.callbacks.step(
            Progress(self.epoch + 1, epochs, self.step, self.steps, loss, left, metrics, best)
        )

    def _end_epoch(self) -> None:
        began = time.monotonic()
        metrics = self._evaluate()
        score = float(metrics["score"])
        best = score > self.best_score or not self.best_state
        if best:
            self.best_score, self.best_epoch = score, self.epoch
            state = self.ema.module.state_dict()
            self.best_state = {k: v.detach().cpu().clone() for k, v in state.items()}
        self.seconds += time.monotonic() - began
        self._add_line(
            step=(self.epoch + 1) * self.steps,
            epoch=self.epoch + 1,
            seconds=self.seconds,
            validation={k: v for k, v in metrics.items() if k != "score"},
            best=best,
        )
        self.history.append(
            {"epoch": self.epoch + 1, "loss": self.loss_sum / self.steps, **metrics}
        )
        self._report(metrics, best)
        self.epoch, self.step, self.loss_sum = self.epoch + 1, 0, 0.0
        self._save()

    def _evaluate(self) -> dict[str, Any]:
        # Every process evaluates the whole validation set: it is small, and all then agree.
        self.ema.module.eval()
        with torch.no_grad(), self.accelerator.autocast():
            return self.stage.evaluate(self.ema.module, self.epoch)

    def _save(self) -> None:
        if not self.accelerator.is_main_process:
            return
        state = {
            "fingerprint": self.fingerprint,
            "module": self.unwrapped.state_dict(),
            "ema": self.ema.module.state_dict(),
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
        if self.log is not None:
            self.log.sync()
        # The checkpoint before stays where there is no room for this one.
        with atomic_write(self.checkpoint) as partial:
            torch.save(state, partial)

    def _resume(self) -> None:
        self._load_checkpoint()
        if self.log is not None:
            self.log.keep(self.done, self.epoch)

    def _start_tracker(self) -> None:
        name = self.config.log
        if name is None or not self.accelerator.log_with:
            return
        # TensorBoard then hides what a killed run has told it beyond the checkpoint.
        kwargs = {"tensorboard": {"purge_step": self.done + 1}}
        told = {k: v for k, v in self.fingerprint.items() if isinstance(v, int | float | str)}
        try:
            self.accelerator.init_trackers(
                self.stage.name, None if name == "tensorboard" else told, kwargs
            )
        except Exception as error:  # each tracker has errors of its own
            first = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
            raise UsageError(f"--log {name} cannot be used ({first}).") from error

    def _add_line(self, **values: Any) -> None:
        if self.log is None:
            return
        self.log.add(**values)
        if self.accelerator.trackers:
            self.accelerator.log(flat_metrics(values), step=values["step"])

    def _load_checkpoint(self) -> None:
        if not self.checkpoint.is_file():
            return
        try:
            state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError):
            raise UsageError(
                f"{self.checkpoint} is damaged; delete {self.folder} to start from the beginning."
            ) from None
        if state["fingerprint"] != self.fingerprint:
            changed = sorted(
                key
                for key in self.fingerprint.keys() | state["fingerprint"].keys()
                if self.fingerprint.get(key) != state["fingerprint"].get(key)
            )
            raise UsageError(
                f"{self.folder} holds a training with other options ({', '.join(changed)}); "
                "give the same ones to go on with it, or delete that folder to start over."
            )
        self.unwrapped.load_state_dict(state["module"])
        self.ema.module.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best_state = state["best_state"]
        self.history = state["history"]
        for key, value in state["numbers"].items():
            setattr(self, key, value)


def random_order(samples: int, seed: int, epoch: int) -> list[int]:
    """Return the samples in a random order that follows from seed and epoch."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(samples, generator=generator).tolist()
