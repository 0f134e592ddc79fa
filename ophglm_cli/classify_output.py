"""How findings are written: a table for people, CSV, JSON lines and Parquet for programs."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from enum import StrEnum
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from rich.text import Text

from ophglm_core.conditions import LabelSet
from ophglm_core.errors import InputError
from ophglm_core.file_names import printable
from ophglm_core.files import atomic_write
from ophglm_core.findings import Findings

from .terminal import label_style, stdout

#: What a spreadsheet takes for a formula, also behind apostrophes, which are taken off on reading.
_FORMULA = re.compile(r"'*[=+\-@]")
ROWS_AT_ONCE = 1000


def columns(labels: Iterable[str]) -> list[str]:
    """Return the columns of a CSV for a model with these labels."""
    after = ["positive", "dr_grade", "referable", "message", "eye", "patient", "acquired", "model"]
    return ["image", "status", *labels, *after]


class Format(StrEnum):
    """How results are written."""

    table = "table"
    csv = "csv"
    jsonl = "jsonl"
    parquet = "parquet"
    fhir = "fhir"
    sr = "sr"


#: What a file's suffix says of its format.
SUFFIXES = {
    "": Format.csv,
    ".csv": Format.csv,
    ".jsonl": Format.jsonl,
    ".ndjson": Format.jsonl,
    ".json": Format.jsonl,
    ".parquet": Format.parquet,
}


class Sink:
    """A place that findings are written to, and is finished at the end of a `with` block."""

    def write(self, findings: Findings) -> None:
        """Write one picture's findings."""
        raise NotImplementedError

    def close(self, complete: bool) -> None:
        """Finish; `complete` says whether everything was written."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(kind is None)


def json_line(row: dict[str, Any]) -> str:
    """Return `Findings.to_json`'s values as one JSON line."""
    return json.dumps(row, ensure_ascii=False) + "\n"


def csv_line(values: list[Any]) -> str:
    """Return one CSV line, in which no text is a spreadsheet's formula: one that begins with
    = + - or @ gets an apostrophe before it."""
    safe = [f"'{v}" if isinstance(v, str) and _FORMULA.match(v) else v for v in values]
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(safe)
    return buffer.getvalue()


def csv_row(row: dict[str, Any]) -> str:
    """Return `Findings.to_json`'s values as one CSV line."""
    values = {**row, **row["probabilities"], "positive": ";".join(row["positive"])}
    values["referable"] = {True: "yes", False: "no", None: None}[row["referable"]]
    names = columns(row["probabilities"])
    return csv_line([values[name] if values[name] is not None else "" for name in names])


def write_rows(
    path: Path, format: Format, rows: Iterator[dict[str, Any]], labels: LabelSet
) -> None:
    """Write a whole file of rows, atomically. Raises OSError if it cannot."""
    with atomic_write(path) as partial:
        if format is Format.parquet:
            _write_parquet(partial, rows, labels)
            return
        with partial.open("w", encoding="utf-8", newline="") as stream:
            if format is Format.csv:
                stream.write(csv_line(columns(labels)))
            line = csv_row if format is Format.csv else json_line
            stream.writelines(map(line, rows))


def _write_parquet(path: Path, rows: Iterator[dict[str, Any]], labels: LabelSet) -> None:
    import pyarrow
    from pyarrow import parquet

    types = dict.fromkeys(columns(labels), pyarrow.string())
    types |= dict.fromkeys(labels, pyarrow.float32())
    types |= {
        "positive": pyarrow.list_(pyarrow.string()),
        "dr_grade": pyarrow.int8(),
        "referable": pyarrow.bool_(),
    }
    schema = pyarrow.schema(list(types.items()))
    with parquet.ParquetWriter(path, schema) as writer:
        while part := list(islice(rows, ROWS_AT_ONCE)):
            flat = [{**row, **row["probabilities"]} for row in part]
            writer.write_table(pyarrow.Table.from_pylist(flat, schema))


class StreamSink(Sink):
    """CSV or JSON lines on a stream, each line as soon as it is known."""

    def __init__(self, format: Format, labels: LabelSet, stream: TextIO | None = None):
        self._stream, self._labels = stream or standard_output(), labels
        self._line: Callable[[dict[str, Any]], str] = csv_row
        if format is Format.jsonl:
            self._line = json_line
        else:
            self._put(csv_line(columns(labels)))

    def write(self, findings: Findings) -> None:
        """Write one line. Raises InputError if the stream's disk is full."""
        self._put(self._line(findings.to_json(self._labels)))

    def _put(self, line: str) -> None:
        put_line(self._stream, line)


def put_line(stream: TextIO, line: str) -> None:
    """Write a line at once. Raises InputError if the stream's disk is full."""
    try:
        stream.write(line)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        # What is left in the stream's buffer would fail once more as Python ends.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise InputError(f"The findings cannot be written ({error.strerror}).") from None


def standard_output() -> TextIO:
    """Return standard output, in UTF-8."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file is UTF-8 wherever it is written
        sys.stdout.reconfigure(encoding="utf-8", newline="")
    return sys.stdout


def open_stream(path: Path) -> TextIO | None:
    """Open what is written to as it is and never replaced by a file: standard output, a pipe, a
    device; None for what is to be a file. Raises InputError if it cannot be opened."""
    if str(path) in ("-", "/dev/stdout"):
        return standard_output()
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"{path} is a folder; name a file.")
        # A file that the shell has opened has its name there, too.
        opened = any(path.is_relative_to(place) for place in ("/dev/fd", "/proc"))
        if stat.S_ISREG(mode) and not opened:
            return None
        return path.open("a", encoding="utf-8", newline="")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}).") from None


class TableSink(Sink):
    """A table that grows line by line and fits the width it has."""

    def __init__(self, labels: LabelSet) -> None:
        self._labels = labels
        width = stdout.width if stdout.is_terminal else 100
        self._name = max(12, min(48, width - 5 * len(labels) - 4))
        header = Text(f"{'image':<{self._name}}", style="bold")
        for condition in labels.conditions:
            header.append(f" {condition.short:<4}")
        header.append(" gr")
        stdout.print(header)

    def write(self, findings: Findings) -> None:
        """Print one row; a positive label is marked with a star and stands out."""
        row = Text(_fit(printable(findings.image), self._name).ljust(self._name))
        if findings.status == "ok":
            for label in self._labels:
                positive = label in findings.positive
                value = f"{findings.probabilities[label]:.2f}"
                value = "1.0" if value == "1.00" else value.removeprefix("0")
                value += "*" if positive else ""
                row.append(f" {value:<4}", style=label_style(label, positive))
            if findings.grade is not None:
                grade = f"{findings.grade}{'*' if findings.referable else ''}"
                row.append(f" {grade}", style="bold" if findings.referable else "")
        else:
            message = (findings.message or "").removeprefix(findings.image).strip()
            row.append(f" {printable(message)}", style="yellow")
        stdout.print(row, soft_wrap=True)

    def close(self, complete: bool) -> None:
        """Say what the star means."""
        if complete:
            stdout.print("* flagged; gr: ICDR grade of diabetic retinopathy", style="dim")


def _fit(name: str, width: int) -> str:
    """Shorten a path from its left, where its folders are."""
    return name if len(name) < width else "…" + name[-(width - 2) :]
