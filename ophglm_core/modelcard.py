"""The model card of a model folder, written from its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .labels import BY_KEY, LABELS
from .modelfolder import Calibration, Manifest

_LIMITS = """\
## What it must not be used for

- Not for clinical use: no regulator has cleared or approved it, and software that reads images is
  a medical device in the EU, the USA and China whatever it says of itself. It is a research
  assistant; a clinician must review every image.
- Not to exclude disease. It looks for five conditions; vessel occlusions, detachment, tumours,
  hypertensive retinopathy and everything else are outside of it. A hazy picture hides the retina.
- Not for the emergency: symptoms (sudden loss of vision, curtain, flashes, painful red eye, injury)
  count more than a normal photograph.
- Not for a decision that a photograph cannot carry: it gives no eye pressure, visual field, angle,
  macular thickness or acuity, and a glaucoma suspicion from a disc alone is weak.
- Not outside the population and cameras below without measuring again (`ophglm evaluate`).
"""


def write_card(folder: Path, manifest: Manifest) -> None:
    """Write `README.md` into a model folder."""
    (folder / "README.md").write_text(card(manifest), encoding="utf-8")


def card(manifest: Manifest) -> str:
    """Return the model card as Markdown."""
    encoder = manifest.encoder
    sections = [
        f"# {manifest.name}\n",
        "An image encoder for colour fundus photographs, with calibration and thresholds, and the "
        f"name of a language model to talk about its findings ({manifest.llm.get('name', 'none')}"
        f", from the Python package {manifest.llm.get('package', '-')}, not in this folder).\n",
        "## What it is\n",
        f"- Network: `{encoder.architecture}` (timm) at {encoder.input_size} px on the square "
        "around the retina's disc; six sigmoid outputs.\n"
        f"- Files: `encoder.safetensors` (torch) and `encoder.onnx` (ONNX Runtime), fp16; their "
        f"logits differ by at most {manifest.metrics.get('onnx_difference', 0):.0e}.\n",
        _training(manifest.training),
        _results(manifest),
        _LIMITS,
    ]
    return "\n".join(sections)


def _training(training: dict[str, Any]) -> str:
    if not training:
        return ""
    lines = ["## What it was trained on\n"]
    for data in training["data"]:
        counts = ", ".join(f"{k} {v}" for k, v in data["labels"].items())
        lines.append(
            f"- `{data['name']}`: {data['photographs']} photographs of {data['patients']} "
            f"patients ({counts})"
        )
    lines += [f"- {note}" for note in training.get("notes", [])]
    split, schedule = training["split"], training["schedule"]
    lines.append(
        f"- Split by patient (hash of id, seed {split['seed']}): {split['validation']:.0%} "
        f"validation, {split['test']:.0%} test, the rest training. Pictures whose labels are not "
        "all known only train."
    )
    lines.append(
        f"- Start: {training['initialisation']}; teacher: {training['teacher'] or 'none'}; "
        + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in schedule.items())
        + f"; best epoch {training['best_epoch']}, {training['seconds'] / 60:.0f} min."
    )
    if training.get("command"):
        lines.append(f"\n```\n{training['command']}\n```")
    return "\n".join(lines) + "\n"


def _results(manifest: Manifest) -> str:
    metrics = manifest.metrics
    if not metrics:
        return ""
    spans = metrics["intervals"]
    away = metrics["turned_away"]
    auc = _figure(metrics["macro"]["auc"], spans["macro"]["auc"])
    lines = [
        "## How well it does\n",
        f"On the {metrics['photographs']} photographs of {metrics['patients']} {metrics['part']} "
        f"patients that could be graded ({away['ungradable']} were turned away), through "
        "`encoder.onnx`; in brackets 95 % bootstrap intervals over patients.\n",
        f"**Macro AUC over the five diseases: {auc}**; ODIR score {_figure(metrics['odir'])}.\n",
        "| condition | AUC | sensitivity | specificity | threshold | calibration error |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for label in LABELS:
        figures, span = metrics["labels"][label], spans["labels"][label]
        threshold = manifest.calibration.get(label, Calibration()).threshold
        cells = [_figure(figures[n], span[n]) for n in ("auc", "sensitivity", "specificity")]
        cells += [f"{threshold:.3f}", _figure(figures["ece"], span["ece"])]
        lines.append(f"| {BY_KEY[label].name} | {' | '.join(cells)} |")
    lines.append(
        f"\nProbabilities are Platt-scaled and thresholds set at a sensitivity of "
        f"{manifest.operating_point:.2f}, both on the validation patients. The figures come from "
        f"`ophglm evaluate MODEL DATA --part {metrics['part']}`.\n"
    )
    return "\n".join(lines)


def _figure(value: float | None, span: list[float] | None = None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" + (f" ({span[0]:.3f} to {span[1]:.3f})" if span else "")
