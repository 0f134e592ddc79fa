"""`ophglm classify`: findings for files and folders, for people and for scripts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ophglm_core.conditions import LabelSet
    from ophglm_core.findings import Findings


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
    heatmaps: Annotated[
        Path | None,
        typer.Option(help="Write an overlay for each disease found into this folder."),
    ] = None,
) -> None:
    """Say which fundus diseases photographs show, and how sure it is.

    Exit code 1 if a picture could not be read; the others are classified all the same.
    """
    import ophglm_core as ophglm
    from ophglm_core.classifier import collect
    from ophglm_core.findings import NOTICE

    from .classify_output import FileSink, Format, Sink, StreamSink, TableSink
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
    assistant = ophglm.load(model)
    labels = assistant.labels
    images, unusable = collect(paths)
    sink: Sink
    if out is not None:
        sink = FileSink(out, Format(format), assistant.model.identity, labels)
    else:
        sink = TableSink(labels) if format == Format.table else StreamSink(Format(format), labels)
    failed = list(unusable)
    folders = [path for path in paths if path.is_dir()]
    rest = [image for image in images if str(image) not in sink.done]
    with (
        sink,
        _resumable(out),
        counter("classifying", len(images), shown=not isinstance(sink, TableSink)) as tick,
    ):
        tick(len(images) - len(rest))
        for findings in unusable:
            sink.write(findings)
        for findings in assistant.classifier.classify(rest, keep_outputs=heatmaps is not None):
            if heatmaps is not None:  # before the line, so that a line means that all is there
                _write_heatmaps(findings, labels, heatmaps, folders)
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


@contextmanager
def _resumable(out: Path | None) -> Iterator[None]:
    """On an interrupt, say that nothing is lost."""
    from .terminal import stderr

    try:
        yield
    except KeyboardInterrupt:
        if out is not None:
            stderr.print("Stopped; the same command goes on from here.")
        raise


def _write_heatmaps(findings: Findings, labels: LabelSet, out: Path, folders: list[Path]) -> None:
    """Write the overlays of one photograph, in the sub-folders that it lies in; of several folders,
    each gets one of its own by its name."""
    from ophglm_core.errors import InputError
    from ophglm_core.files import atomic_write
    from ophglm_core.heatmaps import overlay

    image = Path(findings.image)
    root = next((r for r in folders if image.is_relative_to(r)), image.parent)
    own = root.resolve().name if len(folders) > 1 and root in folders else ""
    target = out / own / image.parent.relative_to(root)
    for label in findings.diseases:
        # The whole name with its ending: a.jpg and a.png may lie side by side.
        try:
            with atomic_write(target / f"{image.name}.{label}.jpg") as partial:
                overlay(findings, labels, label).save(partial, "JPEG", quality=88)
        except OSError as error:
            raise InputError(f"{target} cannot be written ({error.strerror}).") from None
