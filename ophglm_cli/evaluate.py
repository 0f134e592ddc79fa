"""`ophglm evaluate`: how good a model is, on photographs with labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ophglm_core.conditions import LabelSet

_ROUNDS = 200


def evaluate(
    model: Annotated[str, typer.Argument(help="A model folder, or the name of a bundled one.")],
    data: Annotated[
        list[Path], typer.Argument(help="Labelled photographs, as train-encoder reads them.")
    ],
    part: Annotated[
        str | None,
        typer.Option(
            help="all, train, validation or test: the parts of the model's own split. Use test "
            "for data that it was trained on. Default: all."
        ),
    ] = None,
    vqa: Annotated[
        bool,
        typer.Option(
            "--vqa", help="DATA is questions from build-vqa: does the language model look?"
        ),
    ] = False,
    texts: Annotated[
        bool,
        typer.Option("--texts", help="DATA is a fine-tuning set: what does the adapter change?"),
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --vqa: questions of each kind, language and condition asked about (100). "
            "With --texts: questions (200).",
        ),
    ] = None,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="With --vqa or --texts: keep the metrics in the model card."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all metrics as JSON.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write a self-contained HTML report.")] = None,
    rounds: Annotated[
        int | None,
        typer.Option(min=2, help="Bootstrap resamples of patients for the intervals (200)."),
    ] = None,
) -> None:
    """Measure a model on labelled photographs, each metric with its interval over patients.

    With --vqa, measure what the language model answers about photographs it sees through the fusion
    module, against answers without the photograph and with another patient's. With --texts, measure
    what it answers to held-out questions without and with the adapter.
    """
    from ophglm_core.errors import UsageError

    given = {"--report": report is not None, "--rounds": rounds is not None}
    given |= {"--part": part is not None and texts, "--limit": limit is not None}
    if texts and vqa:
        raise UsageError("--vqa and --texts are two measurements; ask for one of them.")
    for option in ("--report", "--rounds", "--part") if texts or vqa else ("--limit", "--keep"):
        if given.get(option, keep):
            kind = "--texts" if texts else "--vqa" if vqa else "photographs alone"
            raise UsageError(f"{option} means nothing with {kind}.")
    if texts:
        from .evaluate_texts import evaluate_texts

        evaluate_texts(model, data, limit, keep, as_json)
    elif vqa:
        from .evaluate_vqa import evaluate_vqa

        evaluate_vqa(model, data, part or "all", limit, keep, as_json)
    else:
        _evaluate_classifier(model, data, part or "all", rounds, as_json, report)


def _evaluate_classifier(
    model: str, data: list[Path], part: str, rounds: int | None, as_json: bool, report: Path | None
) -> None:
    from .packages import need_packages

    need_packages("sklearn", *(["matplotlib"] if report else []), extra="evaluate")
    import json

    import ophglm_core as ophglm
    from ophglm_core.files import write_text
    from ophglm_core.findings import NOTICE

    from .terminal import fraction_bar, stderr

    with fraction_bar("classifying") as progress:
        evaluation = ophglm.evaluate(
            ophglm.open_model(model),
            data,
            part,
            rounds or _ROUNDS,
            progress,
            lambda sentence: stderr.print(sentence, style="yellow", markup=False),
        )
    if report is not None:
        from ophglm_core.evaluation.report import report_html

        write_text(report, report_html(evaluation))
    if as_json:
        typer.echo(json.dumps(evaluation.metrics, indent=2))
    else:
        _show(evaluation.metrics, evaluation.labels)
    stderr.print(NOTICE, style="dim")


def _show(metrics: dict[str, Any], labels: LabelSet) -> None:
    from rich.table import Table

    from ophglm_core.evaluation.metrics import METRICS

    from .terminal import stdout

    excluded = metrics["excluded"]
    stdout.print(
        f"{metrics['model']}: {metrics['photographs']} photographs of {metrics['patients']} "
        f"patients; {excluded['ungradable']} ungradable, {excluded['error']} unreadable"
    )
    # One row a metric and one column a label: narrow enough for 60 columns.
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("")
    for label in (*labels, "mean"):
        table.add_column(label[:6], justify="right")
    for name in METRICS:
        values = [metrics["labels"][label][name] for label in labels]
        short = name.replace("average_precision", "avg prec")[:11]
        table.add_row(short, *[_cell(v) for v in [*values, metrics["macro"][name]]])
    stdout.print(table)
    intervals = metrics["confidence_intervals"]
    for label in labels:
        _show_auc(labels[label].name, metrics["labels"][label]["auc"], intervals["labels"][label])
    _show_auc("mean over the diseases", metrics["macro"]["auc"], intervals["macro"])
    if metrics["odir"] is not None:
        stdout.print(f"ODIR score: {metrics['odir']:.3f}{_range(intervals['odir'])}")
    stdout.print("called (columns) where a label is shown (rows):")
    columns = [*labels, "none", "of"]
    counts = Table(box=None, pad_edge=False, padding=(0, 1))
    counts.add_column("")
    for column in columns:
        counts.add_column(column[:5], justify="right")
    for label in labels:
        row = metrics["confusion"][label]
        counts.add_row(label[:5], *[str(row[c]) for c in columns])
    stdout.print(counts)


def _show_auc(name: str, auc: float | None, intervals: dict[str, Any]) -> None:
    from .terminal import stdout

    if auc is not None and intervals["auc"] is not None:
        stdout.print(f"AUC {name}: {auc:.3f}{_range(intervals['auc'])}")


def _range(interval: list[float] | None) -> str:
    return "" if interval is None else f" ({interval[0]:.3f} to {interval[1]:.3f})"


def _cell(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.3f}"
