"""An evaluation as one self-contained HTML page: figures, plots, and the worst errors."""

from __future__ import annotations

import base64
import html
import io
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from .errors import InputError
from .evaluation import Evaluation, worst_errors
from .findings import NOTICE
from .images import crop_disc, open_photograph
from .labels import BY_KEY, DISEASES, LABELS
from .metrics import ECE_BINS, FIGURES

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: right }
th:first-child, td:first-child { text-align: left }
small { color: #666 } img { max-width: 100% }
figure { display: inline-block; width: 10rem; margin: .4rem; vertical-align: top }
figcaption { font-size: 12px; overflow-wrap: anywhere }
"""


def report_html(evaluation: Evaluation) -> str:
    """Return the report as HTML that needs no other file."""
    figures = evaluation.figures
    away = figures["turned_away"]
    parts = [
        f"<h1>Evaluation of {html.escape(figures['model'])}</h1>",
        f"<p>{figures['photographs']} photographs of {figures['patients']} patients; turned away: "
        f"{away['ungradable']} ungradable, {away['error']} unreadable. Intervals: 95 %, bootstrap "
        f"over patients. {html.escape(NOTICE)}</p>",
        "<h2>Figures</h2>",
        _figures_table(figures),
        "<h2>What was called</h2><p>Rows: pictures that show a label; columns: labels called.</p>",
        _confusion_table(figures["confusion"]),
        "<h2>Curves</h2>",
        _image(_curves(evaluation)),
        "<h2>Worst errors</h2>",
        *[_errors(evaluation, label) for label in DISEASES],
    ]
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>{html.escape(figures['model'])}</title><style>{_STYLE}</style>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _cell(value: float | None, span: list[float] | None) -> str:
    if value is None or np.isnan(value):
        return "<td>-</td>"
    small = f"<br><small>{span[0]:.3f} to {span[1]:.3f}</small>" if span else ""
    return f"<td>{value:.3f}{small}</td>"


def _figures_table(figures: dict[str, Any]) -> str:
    spans = figures["intervals"]
    head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in FIGURES)
    rows = []
    for label in LABELS:
        cells = "".join(
            _cell(figures["labels"][label][n], spans["labels"][label][n]) for n in FIGURES
        )
        rows.append(f"<tr><td>{BY_KEY[label].name}</td>{cells}</tr>")
    cells = "".join(_cell(figures["macro"][n], spans["macro"][n]) for n in FIGURES)
    rows.append(f"<tr><th>mean of the five diseases</th>{cells}</tr>")
    score = "" if figures["odir"] is None else f"<p>ODIR score: {figures['odir']:.3f}</p>"
    return f"<table><tr><th>condition</th>{head}</tr>{''.join(rows)}</table>{score}"


def _confusion_table(confusion: dict[str, dict[str, int]]) -> str:
    columns = [*LABELS, "none", "of"]
    head = "".join(f"<th>{c}</th>" for c in columns)
    rows = "".join(
        f"<tr><td>{BY_KEY[label].name}</td>"
        + "".join(f"<td>{confusion[label][c]}</td>" for c in columns)
        + "</tr>"
        for label in LABELS
    )
    return f"<table><tr><th></th>{head}</tr>{rows}</table>"


def _curves(evaluation: Evaluation) -> Figure:
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    roc, recall, reliability = figure.subplots(1, 3)
    for column, label in enumerate(LABELS):
        known = ~np.isnan(evaluation.truth[:, column])
        actual = evaluation.truth[known, column].astype(int)
        probability = evaluation.probability[known, column]
        if not 0 < actual.sum() < actual.size:
            continue
        false_positive, sensitivity, _ = roc_curve(actual, probability)
        roc.plot(false_positive, sensitivity, label=label)
        precision, found, _ = precision_recall_curve(actual, probability)
        recall.plot(found, precision, label=label)
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
        (recall, "precision-recall", "recall", "precision"),
        (reliability, "reliability", "probability", "frequency"),
    ):
        axes.set(title=title, xlabel=x, ylabel=y, xlim=(0, 1), ylim=(0, 1.01))
    roc.legend(fontsize=8, loc="lower right")
    return figure


def _image(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return _data_image(buffer.getvalue(), "png", "ROC, precision-recall and reliability curves")


def _data_image(content: bytes, kind: str, alt: str) -> str:
    data = base64.b64encode(content).decode()
    return f"<img alt='{html.escape(alt)}' src='data:image/{kind};base64,{data}'>"


def _errors(evaluation: Evaluation, label: str) -> str:
    rows = worst_errors(evaluation, label)
    column = LABELS.index(label)
    cells = []
    for row in rows:
        record = evaluation.records[row]
        probability = evaluation.probability[row, column]
        said = "shown, not called" if evaluation.truth[row, column] == 1 else "called, not shown"
        try:
            crop = crop_disc(open_photograph(record.image, at_least=200), 160)
        except InputError:  # it was readable a moment ago; the report is not worth failing for it
            continue
        buffer = io.BytesIO()
        crop.save(buffer, "JPEG", quality=80)
        caption = f"{record.image.name}: {said}, {probability:.2f}"
        if record.keywords:
            caption += f" ({record.keywords})"
        cells.append(
            f"<figure>{_data_image(buffer.getvalue(), 'jpeg', record.image.name)}"
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )
    return f"<h3>{BY_KEY[label].name}</h3>{''.join(cells) or '<p>none</p>'}"
