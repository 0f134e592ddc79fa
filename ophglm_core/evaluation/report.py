"""An evaluation as one self-contained HTML page: metrics, plots, and the worst errors.

The page is the template beside this module.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from ..errors import InputError
from ..findings import NOTICE
from ..images import crop_disc
from ..templates import load_template
from .classification import Evaluation, worst_errors
from .metrics import ECE_BINS, FEWEST_POSITIVES, METRICS

#: The side, in pixels, of a photograph among the worst errors.
_ERROR_SIZE = 160


def report_html(evaluation: Evaluation) -> str:
    """Return the report as HTML that needs no other file.

    Needs matplotlib, scikit-learn and jinja2. A photograph that cannot be read any more is left
    out.
    """
    labels = evaluation.labels
    page: str = load_template(
        # Names of files, models and labels are a hospital's own, and may hold anything.
        __package__,
        "report.html.jinja",
        escape=True,
    ).render(
        m=evaluation.metrics,
        labels=labels,
        metric_names=METRICS,
        fewest=FEWEST_POSITIVES,
        notice=NOTICE,
        curves=_base64(_curves(evaluation)),
        errors={disease: _errors(evaluation, disease) for disease in labels.diseases},
    )
    return page


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _curves(evaluation: Evaluation) -> bytes:
    """Draw ROC, precision-recall and reliability curves of every label that has both positives and
    negatives, as a PNG."""
    from matplotlib.figure import Figure
    from sklearn.metrics import precision_recall_curve, roc_curve

    figure = Figure(figsize=(13, 4.2), layout="constrained")
    roc, precision_recall, reliability = figure.subplots(1, 3)
    drawn = False
    for column, label in enumerate(evaluation.labels):
        known = ~np.isnan(evaluation.truth[:, column])
        actual = evaluation.truth[known, column].astype(int)
        probability = evaluation.probability[known, column]
        if not 0 < actual.sum() < actual.size:
            continue
        drawn = True
        false_positive_rate, sensitivity, _ = roc_curve(actual, probability)
        roc.plot(false_positive_rate, sensitivity, label=label)
        precision, recall, _ = precision_recall_curve(actual, probability)
        precision_recall.plot(recall, precision, label=label)
        bins = np.minimum((probability * ECE_BINS).astype(int), ECE_BINS - 1)
        points = [
            (probability[bins == b].mean(), actual[bins == b].mean())
            for b in range(ECE_BINS)
            if (bins == b).any()
        ]
        reliability.plot(*zip(*points, strict=True), marker="o", markersize=3, label=label)
    reliability.plot([0, 1], [0, 1], color="grey", linestyle=":")
    for axes, title, x, y in (
        (roc, "ROC", "1 - specificity", "sensitivity"),
        (precision_recall, "precision-recall", "recall", "precision"),
        (reliability, "reliability", "probability", "frequency"),
    ):
        axes.set(title=title, xlabel=x, ylabel=y, xlim=(0, 1), ylim=(0, 1.01))
    if drawn:  # matplotlib warns of a legend without a line
        roc.legend(fontsize=8, loc="lower right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _errors(evaluation: Evaluation, label: str) -> list[dict[str, Any]]:
    """Return the photographs that are most wrong about a label, as the template shows them."""
    column = evaluation.labels.index(label)
    cases = []
    for row in worst_errors(evaluation, label):
        record = evaluation.records[row]
        try:
            crop = crop_disc(record.image, _ERROR_SIZE)
        except InputError:  # it was readable a moment ago; the report is not worth failing for it
            continue
        buffer = io.BytesIO()
        crop.save(buffer, "JPEG", quality=80)
        shown = evaluation.truth[row, column] == 1
        cases.append(
            {
                "name": record.image.name,
                "jpeg": _base64(buffer.getvalue()),
                "error": "shown, not called" if shown else "called, not shown",
                "probability": float(evaluation.probability[row, column]),
                "keywords": record.keywords,
            }
        )
    return cases
