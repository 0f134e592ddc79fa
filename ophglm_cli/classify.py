"""`ophglm classify`: findings for files and folders, for people and for scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def classify(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Photographs, and folders that are searched recursively."),
    ],
    model: Annotated[
        str | None, typer.Option(help="A model folder, or the name of a bundled one.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(help="table, csv or jsonl. Default: a table on a terminal, else csv."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write to a file; a run that was stopped goes on where it was."),
    ] = None,
) -> None:
    """Say which of five fundus diseases photographs show, and how sure it is.

    Exit code 1 if a picture could not be read; the others are classified all the same.
    """
    from ophglm_core.classify import Classifier, collect
    from ophglm_core.findings import NOTICE
    from ophglm_core.modelfolder import open_model

    from .results import FileSink, Format, Sink, StreamSink, TableSink
    from .terminal import counter, stderr, stdout

    if format is None:
        if out is not None:
            format = "jsonl" if out.suffix.lower() in {".jsonl", ".json"} else "csv"
        else:
            format = "table" if stdout.is_terminal else "csv"
    if format not in list(Format):
        raise typer.BadParameter(f"'{format}' is not one of table, csv, jsonl")
    if out is not None and format == Format.table:
        raise typer.BadParameter("a table is for the terminal; write csv or jsonl to a file")
    classifier = Classifier(open_model(model))
    images, unusable = collect(paths)
    sink: Sink
    if out is not None:
        sink = FileSink(out, Format(format), classifier.model.identity)
    else:
        sink = TableSink() if format == Format.table else StreamSink(Format(format))
    failed = list(unusable)
    rest = [image for image in images if str(image) not in sink.done]
    with sink, counter("classifying", len(images), shown=not isinstance(sink, TableSink)) as tick:
        tick(len(images) - len(rest))
        for findings in unusable:
            sink.write(findings)
        for findings in classifier.classify(rest):
            sink.write(findings)
            if findings.status == "error":
                failed.append(findings)
            tick(1)
    if not isinstance(sink, TableSink):  # which has shown them already
        for findings in failed:
            stderr.print(f"ophglm: {findings.message}", markup=False, style="yellow")
    stderr.print(NOTICE, style="dim")
    if failed:
        raise typer.Exit(1)
