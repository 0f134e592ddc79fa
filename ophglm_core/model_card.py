"""The model card of a model folder: its manifest in words, by the template beside this module."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .evaluation.metrics import FEWEST_POSITIVES
from .findings import NOTICE
from .manifest import Manifest
from .templates import load_template
from .wording import counted, joined, sentence_case

#: What `evaluate --texts` counts, in words.
_TEXT_METRICS = {
    "names_found": "names the condition that was found",
    "names_other": "names one neither found nor asked about",
    "certain": "states a disease as certain",
    "repeats": "repeats itself",
    "cut_off": "ends in mid-sentence",
}
_VQA_COLUMNS = ("photograph", "nothing", "findings", "shuffled")


def card(manifest: Manifest) -> str:
    """Return the model card as Markdown."""
    labels = manifest.label_set()
    # Markdown, of metrics and of the training's own words: nothing to escape.
    template = load_template(__package__, "model_card.md.jinja", escape=False, **_FILTERS)
    return template.render(
        m=manifest,
        exp=math.exp,
        head=manifest.conditions_head,
        calibrations=manifest.calibrations(),
        grades=manifest.grade_head,
        thresholds=manifest.metrics.get("thresholds", {}),
        positives=manifest.metrics.get("positives", {}),
        labels=labels,
        own=labels.own,
        diseases=joined(labels.names(labels.diseases)),
        outputs=counted(len(labels)),
        notice=NOTICE,
        fewest=FEWEST_POSITIVES,
        vqa_columns=_VQA_COLUMNS,
        text_metrics=_TEXT_METRICS,
        encoder_commands=_commands(manifest.training),
        encoder_notes=[
            note for step in _steps(manifest.training) for note in step.get("notes", [])
        ],
        commands=_commands(manifest.fusion.training) if manifest.fusion else [],
    )


def _steps(training: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the trainings that weights come from, the earliest first."""
    return [*training.get("before", []), training]


def _commands(training: dict[str, Any]) -> list[str]:
    return [step["command"] for step in _steps(training) if step.get("command")]


def _metric(value: float | None, confidence_interval: list[float] | None = None) -> str:
    if value is None or math.isnan(value):
        return "-"
    if confidence_interval is None:
        return f"{value:.3f}"
    return f"{value:.3f} ({confidence_interval[0]:.3f} to {confidence_interval[1]:.3f})"


_FILTERS: dict[str, Callable[..., Any]] = {
    "metric": _metric,
    "sentence_case": sentence_case,
    "one_line": lambda text: " ".join(text.split()),
    "words": lambda text: text.replace("_", " "),
}
