"""`ophglm classify`: findings for files and folders, for people and for scripts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from ophglm_core.errors import InputError, UsageError
from ophglm_core.remote_files import path_of

from .common_options import Model

if TYPE_CHECKING:
    from ophglm_core.assistant import Assistant

    from .classify_output import Format, Sink
    from .part_file import PartFile


def classify(
    paths: Annotated[
        list[Path],
        typer.Argument(
            parser=path_of,
            help="Photographs; folders, searched recursively; zip files; lists of photographs (a "
            "text with one a line, or a .csv, .tsv, .xlsx or .parquet with a column image); - "
            "reads a list from standard input. Also addresses: s3://bucket/folder, https://host/a.jpg.",
        ),
    ],
    model: Model = None,
    format: Annotated[
        str | None,
        typer.Option(
            help="table, csv, jsonl, parquet, fhir (a FHIR R4 Bundle) or sr (DICOM Structured "
            "Reports, one a study, in a folder). Default: by the suffix of --out, which is "
            ".fhir.json for fhir; a table on a terminal, else csv."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=path_of,
            metavar="PATH",
            help="Write to a file, for sr to a folder, or to an address such as "
            "s3://bucket/rows.csv; a run that was stopped goes on where it was.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write over a finished file of that name.")
    ] = False,
    per_patient: Annotated[
        bool,
        typer.Option(
            "--per-patient",
            help="One row a patient: told apart by DICOM tags, else by file names that differ only "
            "in the word for the eye.",
        ),
    ] = False,
    heatmaps: Annotated[
        Path | None,
        typer.Option(
            parser=path_of,
            metavar="PATH",
            help="Write an overlay for each disease found into this folder.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            parser=path_of,
            metavar="PATH",
            help="Write a self-contained HTML page: counts, and thumbnails by condition.",
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="N/COUNT",
            help="Classify one part only, such as 3/16, for the third of 16 machines or jobs.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Threads that read and classify photographs. Default: all processors.",
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Classify on a Ray cluster: auto for the one this machine belongs to, local for "
            "all processors of this machine, or the address of another.",
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Say nothing of progress, and no summary.")
    ] = False,
) -> None:
    """Say which fundus diseases photographs show, and how sure it is.

    Exit code 1 if a picture could not be read; the others are classified all the same.
    """
    import ophglm_core as ophglm
    from ophglm_core.file_names import printable
    from ophglm_core.findings import NOTICE
    from ophglm_core.inputs import Shard, collect
    from ophglm_core.remote_files import RemotePath

    from .classify_output import TableSink, open_stream
    from .classify_summary import Summary
    from .heatmap_files import HeatmapFolder
    from .packages import need_packages
    from .part_file import PartFile
    from .report_file import ReportFile, check_report
    from .run_record import write_record
    from .terminal import counter, stderr

    chosen = _format(format, out)
    wanted = Shard.parse(shard) if shard is not None else None
    if per_patient and chosen in ("fhir", "sr"):
        raise typer.BadParameter(
            f"{chosen} gathers by patient in any case; leave out --per-patient"
        )
    for folder in (heatmaps, report, out if chosen == "sr" else None):
        if isinstance(folder, RemotePath):
            raise UsageError(
                f"{folder} is no place for pages, pictures and reports; name one on this disk."
            )
    if ray is not None:
        need_packages("ray", extra="ray")
        from .ray_cluster import classify_on_cluster, connected

        if heatmaps is not None:
            raise UsageError("Heat maps are drawn without --ray; leave out one of the two.")
        if workers is not None:
            raise UsageError("--workers is of this machine; Ray knows how many each has.")
    is_remote = isinstance(out, RemotePath)
    stream = open_stream(out) if out and not is_remote and chosen != "sr" else None
    _check_out(out, chosen, overwrite, is_file=out is not None and stream is None)
    if report is not None:
        check_report(report, out, overwrite)
    named = [path for item in paths for path in (_listed() if str(item) == "-" else [item])]
    assistant = ophglm.load(model, workers=workers)
    labels = assistant.labels
    inputs = collect(named, wanted)
    images = [image for image in inputs.pictures if isinstance(image, Path)]
    target = out if out and not stream else None
    if target and not is_remote:
        target = Path(os.path.realpath(target))  # a link stays one
    sink = _sink(assistant, chosen, per_patient, images, target or stream, overwrite)
    part = sink if isinstance(sink, PartFile) else None
    summary = Summary(labels)
    page = ReportFile(report, assistant) if report is not None else None

    def count(row: dict[str, Any], image: Path | None = None, kept: bool = False) -> None:
        summary.add(row, kept)
        if page is not None:
            page.add(row, image)

    failed = list(inputs.unusable)
    maps = HeatmapFolder(heatmaps, labels, named, images) if heatmaps is not None else None
    shown = not isinstance(sink, TableSink) and not quiet
    with (
        sink,
        _resumable(part),
        nullcontext() if ray is None else connected(ray),
        counter("classifying", len(images), shown=shown, minutely=True) as tick,
    ):
        for findings in inputs.unusable:
            sink.write(findings)
            count(findings.to_json())
        rest = []
        for image in images:
            if part is None or not part.holds(image):
                rest.append(image)
                continue
            row = part.row(image)
            count(row, image, kept=True)
            if maps is not None and maps.missing(image, row["positive"]):
                rest.append(image)
        tick(len(images) - len(rest))
        if ray is None:
            drawn = maps is not None
            classified = assistant.classifier.classify(rest, drawn, fine=drawn)
        else:
            classified = classify_on_cluster(assistant.model, rest)
        for image, findings in zip(rest, classified, strict=True):
            findings = inputs.completed(findings)
            if maps is not None:  # before the row, so that a row means that all is there
                maps.write(findings)
            if part is None or not part.holds(image):
                sink.write(findings)
                count(findings.to_json(), image)
            if findings.status == "error":
                failed.append(findings)
            tick(1)
    if target is not None:
        write_record(target, assistant.classifier, inputs, summary, wanted)
    if page is not None:
        page.write(inputs.passed_over.kinds)
    if not isinstance(sink, TableSink):  # which has shown them already
        for findings in failed:
            message = printable(findings.message or "")
            stderr.print(f"ophglm: {message}", markup=False, style="yellow")
    if not quiet and (len(images) > 1 or inputs.passed_over.kinds):
        changed, left_out = (part.changed, part.left_out) if part else (0, 0)
        for line in summary.lines(inputs.passed_over, changed, left_out):
            stderr.print(line, markup=False)
    stderr.print(NOTICE, style="dim")
    if failed:
        raise typer.Exit(1)


def _sink(
    assistant: Assistant,
    format: Format,
    per_patient: bool,
    images: list[Path],
    to: Path | TextIO | None,
    overwrite: bool,
) -> Sink:
    """Return what takes the rows. to: a file, a stream, or None for the terminal."""
    from .classify_output import StreamSink, TableSink
    from .fhir_output import fhir_file, fhir_sink
    from .gathered_output import GatheredFile
    from .part_file import PartFile
    from .patient_output import patient_file, patient_sink
    from .sr_output import sr_folder

    labels, identity = assistant.labels, assistant.model.identity
    if isinstance(to, Path):
        if format == "fhir" or format == "sr" or per_patient:
            made = {"fhir": fhir_file, "sr": sr_folder}.get(format)
            gather = made(assistant) if made else patient_file(format, labels)
            return GatheredFile(to, gather, identity, labels, images, overwrite)
        return PartFile(to, format, identity, labels, images, overwrite)
    if format == "fhir":
        return fhir_sink(assistant, to)
    if per_patient:
        return patient_sink(format, labels, to)
    return TableSink(labels) if format == "table" else StreamSink(format, labels, to)


def _format(format: str | None, out: Path | None) -> Format:
    """Return the format asked for, else that of the file's suffix, else what suits the terminal."""
    from .classify_output import SUFFIXES, Format
    from .fhir_output import is_fhir_name
    from .terminal import stdout

    if format is not None and format not in list(Format):
        raise typer.BadParameter(f"'{format}' is not one of {', '.join(Format)}")
    if format == "sr":
        return Format.sr
    suffix = out.suffix.lower() if out is not None else ""
    if out is not None and is_fhir_name(out) and format in (None, "fhir"):
        return Format.fhir
    if format == "fhir" and suffix in ("", ".json"):
        return Format.fhir
    if format is not None:
        if format != "table" and suffix and SUFFIXES.get(suffix, format) != format:
            raise UsageError(f"{out} is no name for {format}: its suffix says otherwise.")
        return Format(format)
    if out is None:
        return Format.table if stdout.is_terminal else Format.csv
    if suffix not in SUFFIXES:
        known = ", ".join(name for name in SUFFIXES if name)
        raise UsageError(f"'{suffix}' is no suffix of a format ({known}); or give --format.")
    return SUFFIXES[suffix]


def _check_out(out: Path | None, format: Format, overwrite: bool, is_file: bool) -> None:
    """Raise what speaks against writing there, before anything is computed."""
    from ophglm_core.remote_files import RemotePath, is_there

    from .packages import need_packages

    if format == "sr":
        from .sr_output import check_folder, need_reports

        need_reports()
        if out is None:
            raise typer.BadParameter("reports are files of their own; name a folder with --out")
        check_folder(out, overwrite)
        return
    if format == "parquet":
        if not is_file:
            raise typer.BadParameter("Parquet is a file of its own; name one with --out")
        need_packages("pyarrow", extra="parquet")
    if out is None:
        return
    if format == "table":
        raise typer.BadParameter("a table is for the terminal; write csv or jsonl to a file")
    if not is_file:
        return
    # Asked also where it does not matter: what bars the way is said before the work.
    there = is_there(out) if isinstance(out, RemotePath) else out.exists()
    if there and not overwrite:
        raise UsageError(f"{out} is there already; give --overwrite, or another --out.")


def _listed() -> list[Path]:
    """Return the paths on standard input, one a line, or with a null byte after each.

    Raises InputError if there are none.
    """
    given = sys.stdin.buffer.read().removeprefix(b"\xef\xbb\xbf")
    names = given.split(b"\0") if b"\0" in given else given.splitlines()
    listed = [path_of(os.fsdecode(name)) for name in names if name.strip()]
    if not listed:
        raise InputError("Standard input names no photographs.")
    return listed


@contextmanager
def _resumable(part: PartFile | None) -> Iterator[None]:
    """On an interrupt, say that nothing is lost where rows are kept, and where that is not beside
    the file."""
    from .terminal import stderr

    try:
        yield
    except KeyboardInterrupt:
        if part is not None and part.is_remote:
            stderr.print(
                f"Stopped; what was found is kept in {part.place}, and the same command goes on "
                "from this folder.",
                markup=False,
            )
        elif part is not None:
            stderr.print("Stopped; the same command goes on from here.")
        raise
