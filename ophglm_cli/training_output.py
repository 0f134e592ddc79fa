"""How a training looks at the terminal: bars with time left, or plain lines where there is none."""

from __future__ import annotations

import logging
import math
import shlex
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from .terminal import stderr

if TYPE_CHECKING:
    from ophglm_core.training.config import Callbacks
    from ophglm_core.training.config import Progress as LoopProgress


#: Seconds after which a log hears that something still goes on.
_LINE_AFTER = 60.0


class TrainingOutput:
    """Shows decoding, steps and epochs on stderr; off a terminal, a line a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said = clock()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}"),
            console=stderr,
            disable=not stderr.is_terminal,
        )
        self._task: TaskID | None = None
        self._phase = ""

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
        if kind is KeyboardInterrupt:
            stderr.print("Stopped; the state is saved: the same command goes on from here.")

    def remark(self, sentence: str) -> None:
        """Show one sentence."""
        self._said = self._clock()
        stderr.print(sentence, markup=False, highlight=False)

    def decoding(self, done: int, total: int) -> None:
        """Show how many photographs are decoded."""
        self._advance("decoding", done, total, "")

    def step(self, event: LoopProgress) -> None:
        """Show a step; after an epoch, its metrics."""
        if event.metrics is None:
            note = f"loss {event.loss:.4f}, {_duration(event.seconds_left)} left in all"
            self._advance(f"epoch {event.epoch}/{event.epochs}", event.step, event.steps, note)
            return
        metrics = event.metrics
        parts = [f"epoch {event.epoch}/{event.epochs}", f"loss {event.loss:.4f}"]
        if "macro_auc" in metrics:
            each = " ".join(
                f"{k} {v:.3f}" if v is not None else f"{k} -" for k, v in metrics["auc"].items()
            )
            if each:  # a training on all patients has none to validate with
                parts.append(f"validation AUC {metrics['macro_auc']:.4f} ({each})")
            if metrics["kappa"] is not None:
                parts.append(f"kappa of the grade {metrics['kappa']:.3f}")
        else:
            named = {k.replace("_", " "): v for k, v in metrics.items() if k != "score"}
            parts.append("validation " + ", ".join(f"{k} {v:.4f}" for k, v in named.items()))
        parts.append(f"{_duration(event.seconds_left)} left")
        self.remark(", ".join(parts) + (" *" if event.best else ""))

    def _advance(self, phase: str, done: int, total: int, note: str) -> None:
        if not stderr.is_terminal:
            if self._clock() - self._said >= _LINE_AFTER:
                self.remark(f"{phase}: {done} of {total}{note and ', '}{note}")
            return
        if self._task is None or phase != self._phase:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task, self._phase = self._bar.add_task(phase, total=total, note=note), phase
        self._bar.update(self._task, completed=done, total=total, note=note)


def run(train: Callable[[Callbacks], Path | None]) -> None:
    """Show a training while it runs, then print the model folder that it wrote."""
    from ophglm_core.training.config import Callbacks

    # What libraries tell programmers is nothing that whoever trains can act on.
    warnings.simplefilter("ignore", FutureWarning)
    logging.getLogger("bitsandbytes").setLevel(logging.CRITICAL)
    with TrainingOutput() as output:
        written = train(Callbacks(output.decoding, output.step, output.remark))
    if written is not None:
        typer.echo(str(written))


def command_line() -> str:
    """Return what was typed, for the model card."""
    return shlex.join(["ophglm", *sys.argv[1:]])


def _duration(seconds: float) -> str:
    if math.isnan(seconds) or seconds < 60:
        return "under a minute"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
