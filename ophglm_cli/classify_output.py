"""How findings are written: a table for people, CSV and JSON lines for programs."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from rich.text import Text

from ophglm_core.conditions import LabelSet
from ophglm_core.errors import InputError
from ophglm_core.findings import Findings

from .terminal import label_style, stdout


def columns(labels: Iterable[str]) -> list[str]:
    """Return the columns of a CSV for a model with these labels."""
    return ["image", "status", *labels, "positive", "message", "eye", "model"]


class Format(StrEnum):
    """How results are written."""

    table = "table"
    csv = "csv"
    jsonl = "jsonl"


class Sink:
    """A place that findings are written to. `done`: pictures that an earlier run has written."""

    done: frozenset[str] = frozenset()

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


def json_line(findings: Findings, labels: Iterable[str]) -> str:
    """Return findings as one JSON line."""
    return json.dumps(findings.to_json(labels), ensure_ascii=False) + "\n"


def csv_line(values: list[Any]) -> str:
    """Return one CSV line."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue()


def _csv_row(findings: Findings, labels: Iterable[str]) -> str:
    values = findings.to_json(labels)
    probabilities = values.pop("probabilities")
    values |= {k: "" if v is None else v for k, v in probabilities.items()}
    values["positive"] = ";".join(findings.positive)
    return csv_line([values[c] if values[c] is not None else "" for c in columns(labels)])


class StreamSink(Sink):
    """CSV or JSON lines on a stream, each line as soon as it is known."""

    def __init__(self, format: Format, labels: Iterable[str], stream: TextIO | None = None):
        self._stream, self._labels = stream or sys.stdout, labels
        self._line = json_line if format is Format.jsonl else _csv_row
        if format is Format.csv:
            self._stream.write(csv_line(columns(labels)))

    def write(self, findings: Findings) -> None:
        """Write one line."""
        self._stream.write(self._line(findings, self._labels))
        self._stream.flush()


class FileSink(Sink):
    """A file that is there, under its name, only when it is complete.

    Until then the lines stand in `FILE.part`; a run that finds such a file by the same model goes
    on from it. Pictures that could not be read are tried again.
    """

    def __init__(self, path: Path, format: Format, model: str, labels: Iterable[str]):
        self._path, self._format, self._columns = path, format, columns(labels)
        self._part = path.with_name(path.name + ".part")
        kept = self._kept(model)
        self.done = frozenset(kept)
        try:
            self._stream = self._part.with_name(self._part.name + "~").open(
                "w", encoding="utf-8", newline=""
            )
        except OSError as error:
            raise InputError(f"{path} cannot be written ({error.strerror}).") from None
        self._sink = StreamSink(format, labels, self._stream)
        self._stream.writelines(kept.values())
        self._stream.flush()
        os.replace(self._stream.name, self._part)

    def _kept(self, model: str) -> dict[str, str]:
        if not self._part.is_file():
            return {}
        text = self._part.read_text(encoding="utf-8")
        lines = text[: text.rfind("\n") + 1].splitlines(keepends=True)
        kept = {}
        for line in lines:
            row = self._parse(line)
            if row and row.get("model") == model and row.get("status") in ("ok", "ungradable"):
                kept[row["image"]] = line
        return kept

    def _parse(self, line: str) -> dict[str, Any] | None:
        if self._format is Format.csv:
            values = next(csv.reader([line]), [])
            same = len(values) == len(self._columns)
            return dict(zip(self._columns, values, strict=True)) if same else None
        try:
            row = json.loads(line)
        except ValueError:
            return None
        return row if isinstance(row, dict) else None

    def write(self, findings: Findings) -> None:
        """Write one line."""
        self._sink.write(findings)

    def close(self, complete: bool) -> None:
        """Give the file its name if it is complete."""
        self._stream.close()
        if complete:
            os.replace(self._part, self._path)


class TableSink(Sink):
    """A table that grows line by line and fits the width it has."""

    def __init__(self, labels: LabelSet) -> None:
        self._labels = labels
        width = stdout.width if stdout.is_terminal else 100
        self._name = max(12, min(48, width - 6 * len(labels) - 1))
        header = Text(f"{'image':<{self._name}}", style="bold")
        for condition in labels.conditions:
            header.append(f"{condition.short:>6}")
        stdout.print(header)

    def write(self, findings: Findings) -> None:
        """Print one row; a positive label is marked with a star and stands out."""
        row = Text(_fit(findings.image, self._name).ljust(self._name))
        if findings.status == "ok":
            for label in self._labels:
                positive = label in findings.positive
                value = f"{findings.probabilities[label]:.2f}{'*' if positive else ' '}"
                row.append(f"{value:>6}", style=label_style(label, positive))
        else:
            message = (findings.message or "").removeprefix(findings.image).strip()
            row.append(f" {message}", style="yellow")
        stdout.print(row, soft_wrap=True)

    def close(self, complete: bool) -> None:
        """Say what the star means."""
        if complete:
            stdout.print("* at or above its threshold", style="dim")


def _fit(name: str, width: int) -> str:
    """Shorten a path from its left, where its folders are."""
    return name if len(name) < width else "…" + name[-(width - 2) :]
