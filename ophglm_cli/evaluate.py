"""`ophglm evaluate`: how good a model is, on photographs with labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .llm_options import FourBit, Llm, RuntimeName

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
    llm: Llm = None,
    runtime: RuntimeName = "auto",
    four_bit: FourBit = False,
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="A table of boxes (image, class, cx, cy, w, h as fractions): how often do the "
            "heat maps' strongest points lie in them?"
        ),
    ] = None,
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
        typer.Option("--keep", help="Keep the metrics in the model folder and its card."),
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
    given |= {"--boxes": boxes is not None, "--llm": llm is not None}
    given |= {"--runtime": runtime != "auto", "--4bit": four_bit}
    if texts and vqa:
        raise UsageError("--vqa and --texts are two measurements; ask for one of them.")
    alone = ("--report", "--rounds", "--part", "--boxes")
    asking = ("--limit", "--llm", "--runtime", "--4bit")
    for option in alone if texts or vqa else asking:
        if given[option]:
            kind = "--texts" if texts else "--vqa" if vqa else "photographs alone"
            raise UsageError(f"{option} means nothing with {kind}.")
    if texts:
        from .evaluate_texts import evaluate_texts

        evaluate_texts(model, data, limit, keep, as_json, llm, runtime, four_bit)
    elif vqa:
        from .evaluate_vqa import evaluate_vqa

        evaluate_vqa(model, data, part or "all", limit, keep, as_json, llm, runtime, four_bit)
    else:
        _evaluate_classifier(model, data, part or "all", rounds, keep, as_json, report, boxes)


def _evaluate_classifier(
    model: str,
    data: list[Path],
    part: str,
    rounds: int | None,
    keep: bool,
    as_json: bool,
    report: Path | None,
    boxes: Path | None,
) -> None:
    from .packages import need_packages

    need_packages("sklearn", *(["matplotlib"] if report else []), extra="evaluate")
    import json

    import ophglm_core as ophglm
    from ophglm_core.classifier import Classifier
    from ophglm_core.files import write_text
    from ophglm_core.findings import NOTICE
    from ophglm_core.model_folder import save_metrics

    from .terminal import fraction_bar, stderr

    folder = ophglm.open_model(model)
    with fraction_bar("classifying") as progress:
        evaluation = ophglm.evaluate(
            folder,
            data,
            part,
            rounds or _ROUNDS,
            progress,
            lambda sentence: stderr.print(sentence, style="yellow", markup=False),
        )
    if boxes is not None:
        from ophglm_core.evaluation.pointing import pointing_game, read_boxes

        with fraction_bar("pointing") as progress:
            evaluation.metrics["pointing"] = pointing_game(
                Classifier(folder), evaluation.records, read_boxes(boxes), progress
            )
    if keep:
        folder.manifest.metrics |= {"part": part, **evaluation.metrics}
        save_metrics(folder)
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

    from ophglm_core.evaluation.metrics import FEWEST_POSITIVES, METRICS

    from .terminal import stdout

    excluded = metrics["excluded"]
    stdout.print(
        f"{metrics['model']}: {metrics['photographs']} photographs of {metrics['patients']} "
        f"patients; {excluded['ungradable']} ungradable, {excluded['error']} unreadable"
    )
    # Narrow enough for 60 columns.
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("")
    for name in METRICS:
        table.add_column(_SHORT.get(name, name), justify="right")
    few = {k for k, count in metrics["positives"].items() if count < FEWEST_POSITIVES}
    for label in labels:
        cells = [_cell(metrics["labels"][label][name]) for name in METRICS]
        table.add_row(label[:8] + "?" * (label in few and cells[0] != "-"), *cells)
    table.add_row("mean", *[_cell(metrics["macro"][name]) for name in METRICS])
    stdout.print(table)
    if any(metrics["labels"][label]["auc"] is not None for label in few):
        stdout.print(
            f"? of fewer than {FEWEST_POSITIVES} positives: it counts in no mean", style="dim"
        )
    intervals = metrics["confidence_intervals"]
    for label in labels:
        _show_auc(
            labels[label].name,
            metrics["labels"][label]["auc"],
            intervals["labels"][label],
            metrics["positives"][label],
        )
    _show_auc("mean over the diseases", metrics["macro"]["auc"], intervals["macro"])
    if metrics["odir"] is not None:
        stdout.print(f"ODIR score: {metrics['odir']:.3f}{_range(intervals['odir'])}")
    flags, spans = metrics["any_disease"], intervals["any_disease"]
    for name, of in (
        ("sensitivity", "with a disease are flagged for one"),
        ("specificity", "without one are flagged for none"),
    ):
        if flags[name] is not None:
            stdout.print(f"{flags[name]:.3f}{_range(spans[name])} of those {of}")
    _show_grade(metrics)
    if metrics["sources"]:
        _show_sources(metrics["sources"], labels)
    for label, row in metrics.get("pointing", {}).items():
        stdout.print(
            f"map of {labels[label].name} points at what was marked in {row['photographs']}: "
            f"{row['share']:.3f}{_range(row['confidence_interval'])}, by chance {row['chance']:.3f}"
        )
    stdout.print("called (columns) where a label is shown (rows):")
    columns = [*labels, "none", "of"]
    counts = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    counts.add_column("")
    for column in columns:
        counts.add_column(column[:4], justify="right")
    for label in labels:
        row = metrics["confusion"][label]
        counts.add_row(label[:5], *[str(row[c]) for c in columns])
    stdout.print(counts)


_SHORT = {
    "auc": "AUC",
    "average_precision": "AP",
    "sensitivity": "sens",
    "specificity": "spec",
    "f1": "F1",
    "brier": "Brier",
    "ece": "ECE",
}


def _show_auc(
    name: str, auc: float | None, intervals: dict[str, Any], positives: int | None = None
) -> None:
    from ophglm_core.evaluation.metrics import FEWEST_POSITIVES

    from .terminal import stdout

    few = positives is not None and positives < FEWEST_POSITIVES
    if auc is not None and (few or intervals["auc"] is not None):
        note = f", of {positives} positives only" if few else ""
        stdout.print(f"AUC {name}: {auc:.3f}{_range(intervals['auc'])}{note}")


def _show_grade(metrics: dict[str, Any]) -> None:
    """Print how well diabetic retinopathy is graded, where the model does and the data say."""
    from .terminal import stdout

    grade = metrics.get("grade")
    if grade is None or grade["exact"] is None:
        return
    intervals = metrics["confidence_intervals"]["grade"]
    stdout.print("grade of diabetic retinopathy (ICDR):")
    for name, value in grade.items():
        words = name.replace("kappa", "quadratic kappa").replace("_", " ").replace("auc", "AUC")
        stdout.print(f"  {words}: {_cell(value)}{_range(intervals[name])}")
    stdout.print("  suggested 0 to 4 (columns) where the grade is (rows):")
    for number, row in enumerate(metrics["grade_confusion"]):
        stdout.print(f"  {number}: " + "".join(f"{count:6d}" for count in row))


def _show_sources(sources: dict[str, Any], labels: LabelSet) -> None:
    """Print a column a source: what pools sources says little of any of them."""
    from rich.table import Table

    from ophglm_core.evaluation.metrics import FEWEST_POSITIVES

    from .terminal import stdout

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("by source")
    for name in sources:
        table.add_column(name[:10], justify="right")
    rows = {
        "photos": [str(m["photographs"]) for m in sources.values()],
        "ungradable": [str(m["excluded"]["ungradable"]) for m in sources.values()],
    }
    for label in labels:
        cells = []
        for m in sources.values():
            few = m["positives"][label] < FEWEST_POSITIVES
            cells.append(_cell(m["labels"][label]["auc"]) + ("?" if few else ""))
        rows[f"AUC {label[:8]}"] = ["-" if c == "-?" else c for c in cells]
    if any("grade" in m for m in sources.values()):
        for name in ("kappa", "referable_auc"):
            rows[name.replace("_auc", " AUC")] = [_cell(m["grade"][name]) for m in sources.values()]
    for name, cells in rows.items():
        table.add_row(name, *cells)
    stdout.print(table)
    if any("?" in cell for cells in rows.values() for cell in cells):
        stdout.print(f"? of fewer than {FEWEST_POSITIVES} positives", style="dim")


def _range(interval: list[float] | None) -> str:
    return "" if interval is None else f" ({interval[0]:.3f} to {interval[1]:.3f})"


def _cell(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.3f}"
