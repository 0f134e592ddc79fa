"""How a training went: `metrics.jsonl`, a line a step and a validation, and `curve.png`, drawn from
it.

A model folder keeps the lines of all its stages. While a stage trains, its own lie in its state
folder beside the checkpoint, and a training that is taken up again drops those that the checkpoint
does not know.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..files import atomic_write

METRICS = "metrics.jsonl"
CURVE = "curve.png"
#: Steps over which the drawn loss is averaged: this share of all.
_SMOOTHED_SHARE = 0.02


class MetricsLog:
    """The lines of a stage in its state folder, added to as it trains.

    A step: stage, step (over all epochs), epoch, loss, learning_rate, seconds (of training so far),
    samples_per_second, and tokens_per_second where it learns text. A validation: stage, step,
    epoch, seconds, validation (its metrics), best. Steps and epochs count from 1; what is no finite
    number is null. Raises OSError where the disk is full.
    """

    def __init__(self, folder: Path, stage: str):
        self.path, self.stage = folder / METRICS, stage

    def keep(self, steps: int, epochs: int) -> None:
        """Drop what came after so many steps and whole epochs: it is trained again."""
        kept = [
            line
            for line in read_metrics(self.path)
            if line["epoch"] <= epochs or ("validation" not in line and line["step"] <= steps)
        ]
        _write(self.path, kept)

    def add(self, **values: Any) -> None:
        """Add a line; a kill loses none that came before."""
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(_line({"stage": self.stage, **values}))

    def sync(self) -> None:
        """Bring the lines to the disk: no checkpoint may be there without them."""
        with self.path.open("a", encoding="utf-8") as stream:
            os.fsync(stream.fileno())

    def write_into(self, folder: Path, remark: Callable[[str], None]) -> None:
        """Add the lines to those of a model folder's other stages, and draw its curve anew.

        A curve that cannot be drawn is said and costs nothing else.
        """
        others = [line for line in read_metrics(folder / METRICS) if line["stage"] != self.stage]
        _write(folder / METRICS, [*others, *read_metrics(self.path)])
        try:
            draw_curve(folder / METRICS, folder / CURVE)
        except Exception as error:  # whatever it is, it must not cost hours of training
            (folder / CURVE).unlink(missing_ok=True)  # half of one, or that of before
            first = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
            remark(f"{CURVE} could not be drawn ({first}); its figures are in {METRICS}.")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a metrics file; none where it is not there.

    A line that a kill cut off is left out.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    lines = []
    for part in text.splitlines():
        try:
            lines.append(json.loads(part))
        except ValueError:
            continue
    needed = {"stage", "step", "epoch"}
    return [line for line in lines if isinstance(line, dict) and needed <= line.keys()]


def flat_metrics(line: dict[str, Any]) -> dict[str, float]:
    """Return a line's finite numbers, such as 'loss', 'validation/auc/dr', as trackers want it."""
    found: dict[str, float] = {}

    def walk(values: dict[str, Any], prefix: str) -> None:
        for name, value in values.items():
            if isinstance(value, dict):
                walk(value, f"{prefix}{name}/")
            elif type(value) in (int, float) and math.isfinite(value):
                found[prefix + name] = value

    walk({k: v for k, v in line.items() if k != "step"}, "")
    return found


def draw_curve(metrics: Path, target: Path) -> None:
    """Draw each stage's training loss and validation metrics over its steps, a row a stage.

    Needs matplotlib.
    """
    from matplotlib.figure import Figure  # without pyplot: no display is asked for

    lines = read_metrics(metrics)
    stages = {line["stage"]: [x for x in lines if x["stage"] == line["stage"]] for line in lines}
    names = {stage: _drawn_metrics(own) for stage, own in stages.items()}
    columns = 1 + max((len(drawn) for drawn in names.values()), default=0)
    rows = max(1, len(stages))
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for row, (stage, own) in zip(axes, stages.items(), strict=False):
        steps = [x for x in own if "validation" not in x and x.get("loss") is not None]
        at, losses = [x["step"] for x in steps], [x["loss"] for x in steps]
        row[0].plot(at, losses, color="tab:blue", alpha=0.3, linewidth=0.8, label="each step")
        row[0].plot(at, smoothed(losses), color="tab:blue", label="moving average")
        row[0].set(title=stage, xlabel="step", ylabel="training loss")
        row[0].legend(fontsize="small")
        judged = [x for x in own if "validation" in x]
        for axis, name in zip(row[1:], names[stage], strict=False):
            values = [x["validation"].get(name) for x in judged]
            known = [(x["step"], v) for x, v in zip(judged, values, strict=True) if v is not None]
            axis.plot(*zip(*known, strict=True), color="tab:orange", marker="o", markersize=3)
            axis.set(title=stage, xlabel="step", ylabel=f"validation {name.replace('_', ' ')}")
        for axis in row[1 + len(names[stage]) :]:
            axis.set_visible(False)
    figure.savefig(target, dpi=110, format="png")


def _drawn_metrics(lines: Iterable[dict[str, Any]]) -> list[str]:
    """Return the validation's numbers that are known at least once, not those of each label."""
    found = [line.get("validation", {}) for line in lines]
    return list(
        dict.fromkeys(
            k for values in found for k, v in values.items() if isinstance(v, int | float)
        )
    )


def smoothed(values: list[float]) -> list[float]:
    """Return the mean of each value and those before it, over a share of all."""
    span = max(1, round(len(values) * _SMOOTHED_SHARE))
    parts = [values[max(0, end - span) : end] for end in range(1, len(values) + 1)]
    return [sum(part) / len(part) for part in parts]


def _write(path: Path, lines: list[dict[str, Any]]) -> None:
    with atomic_write(path) as partial:
        partial.write_text("".join(map(_line, lines)), encoding="utf-8")


def _line(values: dict[str, Any]) -> str:
    return json.dumps(_finite(values), ensure_ascii=False) + "\n"


def _finite(value: Any) -> Any:
    """Return a value as JSON knows it, which has no NaN."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
