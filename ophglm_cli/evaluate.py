"""`ophglm evaluate`: how good a model is, on photographs with labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def evaluate(
    model: Annotated[str, typer.Argument(help="A model folder, or the name of a bundled one.")],
    data: Annotated[
        list[Path], typer.Argument(help="Labelled photographs, as train-encoder reads them.")
    ],
    part: Annotated[
        str,
        typer.Option(
            help="all, train, validation or test: the parts of the model's own split. Use test "
            "for data that it was trained on."
        ),
    ] = "all",
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
        typer.Option("--keep", help="With --vqa or --texts: keep the figures in the model card."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write a self-contained HTML report.")] = None,
    rounds: Annotated[
        int, typer.Option(min=2, help="Bootstrap resamples of patients for the intervals.")
    ] = 200,
) -> None:
    """Measure a model on labelled photographs, each figure with its interval over patients.

    With --vqa, measure what the language model answers about photographs it sees through the fusion
    module, against answers without the photograph and with another patient's. With --texts, measure
    what it answers to held-out questions without and with the adapter.
    """
    if texts:
        from .evaluate_texts import evaluate_texts

        evaluate_texts(model, data, limit or 200, keep, as_json)
        return
    if vqa:
        from .evaluate_vqa import evaluate_vqa

        evaluate_vqa(model, data, part, limit or 100, keep, as_json)
        return
    from .packages import need_packages

    need_packages("sklearn", *(["matplotlib"] if report else []), extra="evaluate")
    import json

    from ophglm_core.classify import Classifier
    from ophglm_core.data.records import read_records
    from ophglm_core.data.split import Split
    from ophglm_core.errors import InputError
    from ophglm_core.evaluation import evaluate as run
    from ophglm_core.files import write_text
    from ophglm_core.findings import NOTICE
    from ophglm_core.modelfolder import open_model

    from .terminal import counter, stderr

    if part not in ("all", "train", "validation", "test"):
        raise typer.BadParameter(f"'{part}' is not one of all, train, validation, test")
    classifier = Classifier(open_model(model))
    records = [record for folder in data for record in read_records(folder)]
    training = classifier.model.manifest.training
    if part != "all":
        records = Split(**training["split"]).parts(records)[part] if training else records
        if not records:
            raise InputError(f"No photograph of {', '.join(map(str, data))} is in part {part}.")
    elif {d.name for d in data} & {d["name"] for d in training.get("data", [])}:
        stderr.print(
            "The model was trained on photographs of a set by this name; --part test measures it "
            "on patients that it has not seen.",
            style="yellow",
        )
    with counter("classifying", len(records)) as tick:
        evaluation = run(classifier, records, rounds, lambda: tick(1))
    if report is not None:
        from ophglm_core.report import report_html

        write_text(report, report_html(evaluation))
    if as_json:
        typer.echo(json.dumps(evaluation.figures, indent=2))
    else:
        _show(evaluation.figures)
    stderr.print(NOTICE, style="dim")


def _show(figures: dict[str, Any]) -> None:
    from rich.table import Table

    from ophglm_core.labels import BY_KEY, LABELS
    from ophglm_core.metrics import FIGURES

    from .terminal import stdout

    away = figures["turned_away"]
    stdout.print(
        f"{figures['model']}: {figures['photographs']} photographs of {figures['patients']} "
        f"patients; {away['ungradable']} ungradable, {away['error']} unreadable"
    )
    # One row a figure and one column a label: narrow enough for 60 columns.
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("")
    short = {name: name.replace("average_precision", "avg prec") for name in FIGURES}
    for label in (*LABELS, "mean"):
        table.add_column(label[:6], justify="right")
    for name in FIGURES:
        values = [figures["labels"][label][name] for label in LABELS]
        table.add_row(short[name][:11], *[_cell(v) for v in [*values, figures["macro"][name]]])
    stdout.print(table)
    for label in (*LABELS, "macro"):
        macro = label == "macro"
        source = figures["macro"] if macro else figures["labels"][label]
        spans = figures["intervals"]["macro" if macro else "labels"]
        span = spans["auc"] if macro else spans[label]["auc"]
        name = "mean of the five diseases" if macro else BY_KEY[label].name
        if span is not None:
            stdout.print(f"AUC {name}: {source['auc']:.3f} ({span[0]:.3f} to {span[1]:.3f})")
    if figures["odir"] is not None:
        low, high = figures["intervals"]["odir"]
        stdout.print(f"ODIR score: {figures['odir']:.3f} ({low:.3f} to {high:.3f})")
    stdout.print("called (columns) where a label is shown (rows):")
    columns = [*LABELS, "none", "of"]
    counts = Table(box=None, pad_edge=False, padding=(0, 1))
    counts.add_column("")
    for column in columns:
        counts.add_column(column[:5], justify="right")
    for label in LABELS:
        row = figures["confusion"][label]
        counts.add_row(label[:5], *[str(row[c]) for c in columns])
    stdout.print(counts)


def _cell(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.3f}"
