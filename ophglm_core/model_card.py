"""The model card of a model folder: its manifest in words, by the template beside this module."""

from __future__ import annotations

import math
from functools import cache
from importlib import resources
from typing import Any

from .findings import NOTICE
from .manifest import Manifest
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
    return _template().render(
        m=manifest,
        head=manifest.conditions_head,
        calibrations=manifest.calibrations(),
        grades=manifest.grade_head,
        positives=manifest.metrics.get("positives", {}),
        labels=labels,
        own=labels.own,
        diseases=joined(labels.names(labels.diseases)),
        outputs=counted(len(labels)),
        notice=NOTICE,
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


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # Markdown, of metrics and of the training's own words: nothing to escape.
        autoescape=False,
    )
    environment.filters["metric"] = _metric
    environment.filters["sentence_case"] = sentence_case
    environment.filters["one_line"] = lambda text: " ".join(text.split())
    environment.filters["words"] = lambda text: text.replace("_", " ")
    environment.globals["exp"] = math.exp
    text = (resources.files(__package__) / "model_card.md.jinja").read_text(encoding="utf-8")
    return environment.from_string(text)
