"""`ophglm classify --per-patient`: a row a patient, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from rich.text import Text

from ophglm_core.conditions import LabelSet
from ophglm_core.file_names import from_printable, printable
from ophglm_core.files import atomic_write
from ophglm_core.patients import SIDES, Row, by_patient

from .classify_output import ROWS_AT_ONCE, Format, Sink, csv_line, json_line
from .gathered_output import GatheredSink, Write, file_of, stream_of
from .terminal import label_style, stdout

_REFERABLE = {True: "yes", False: "no", None: ""}


def patient_columns(labels: Iterable[str]) -> list[str]:
    """Return the columns of a CSV a patient for a model with these labels. right, left and unknown
    count pictures."""
    sides = [f"{name}_{side}" for name in ("positive", "dr_grade") for side in SIDES]
    after = ["referable", "ungradable", "errors", "acquired", "images", "model"]
    return ["patient", "issuer", "known_by", *SIDES, *labels, *sides, *after]


def patient_sink(format: Format, labels: LabelSet, stream: TextIO | None) -> Sink:
    """Return what writes a row a patient to the terminal or a stream."""
    if format is Format.table:
        return GatheredSink(labels, partial(_print_table, labels=labels))
    return GatheredSink(labels, stream_of(partial(_lines, format=format, labels=labels), stream))


def patient_file(format: Format, labels: LabelSet) -> Write:
    """Return what writes a file of a row a patient from the rows a picture."""
    if format is Format.parquet:
        return partial(_write_parquet, labels=labels)
    return file_of(partial(_lines, format=format, labels=labels))


def _lines(rows: Iterable[Row], format: Format, labels: LabelSet) -> Iterator[str]:
    if format is Format.csv:
        yield csv_line(patient_columns(labels))
    for patient in by_patient(rows):
        row = patient.to_json()
        yield json_line(row) if format is Format.jsonl else _csv_row(row, labels)


def _flat(row: Row) -> Row:
    """Return a patient's row by the names of its columns."""
    sides = {f"{name}_{s}": row[name][s] for name in ("positive", "dr_grade") for s in SIDES}
    return {**row, **row["eyes"], **row["probabilities"], **sides}


def _csv_row(row: Row, labels: LabelSet) -> str:
    values: dict[str, Any] = _flat(row)
    values["referable"] = _REFERABLE[row["referable"]]
    # A semicolon of a name must not look like the one between two.
    values["images"] = [_without_semicolon(image) for image in row["images"]]
    cells = [values.get(name) for name in patient_columns(labels)]
    texts = [";".join(cell) if isinstance(cell, list) else cell for cell in cells]
    return csv_line(["" if text is None else text for text in texts])


def _without_semicolon(image: str) -> str:
    if ";" not in image:
        return image
    whole = from_printable(image).replace("\\", "\\\\").replace(";", "\\x3b")
    return "".join(map(printable, whole))


def _write_parquet(path: Path, rows: Iterator[Row], labels: LabelSet) -> None:
    import pyarrow
    from pyarrow import parquet

    text, texts, count = pyarrow.string(), pyarrow.list_(pyarrow.string()), pyarrow.int32()
    types = dict.fromkeys(patient_columns(labels), text)
    types |= dict.fromkeys(labels, pyarrow.float32())
    types |= dict.fromkeys((*SIDES, "ungradable", "errors"), count)
    types |= {f"positive_{side}": texts for side in SIDES}
    types |= {f"dr_grade_{side}": pyarrow.int8() for side in SIDES}
    types |= {"referable": pyarrow.bool_(), "acquired": texts, "images": texts}
    schema = pyarrow.schema(list(types.items()))
    patients = (_flat(patient.to_json()) for patient in by_patient(rows))
    with atomic_write(path) as partly, parquet.ParquetWriter(partly, schema) as writer:
        while part := list(islice(patients, ROWS_AT_ONCE)):
            writer.write_table(pyarrow.Table.from_pylist(part, schema))


def _print_table(rows: Iterable[Row], labels: LabelSet) -> None:
    width = stdout.width if stdout.is_terminal else 100
    name = max(12, min(40, width - 5 * len(labels) - 22))
    header = Text(f"{'patient':<{name}}  R  L  ?", style="bold")
    for condition in labels.conditions:
        header.append(f" {condition.short:<4}")
    stdout.print(header.append(" gr R L ? ref"), soft_wrap=True)
    for patient in by_patient(rows):
        row = patient.to_json()
        shown = row["patient"]
        line = Text((shown if len(shown) <= name else "…" + shown[1 - name :]).ljust(name))
        line.append("".join(f" {row['eyes'][side] or '':>2}" for side in SIDES))
        found = {label for labels in row["positive"].values() for label in labels}
        for label in labels:
            value = patient.probabilities.get(label)
            cell = "" if value is None else f"{value:.2f}".removeprefix("0")
            cell = ("1.0" if cell == "1.00" else cell) + ("*" if label in found else "")
            line.append(f" {cell:<4}", style=label_style(label, label in found))
        grades = [row["dr_grade"][side] for side in SIDES]
        line.append("    " + " ".join("-" if g is None else str(g) for g in grades))
        word = _REFERABLE[row["referable"]] or "?"
        line.append(f" {word:<3}", style="bold" if row["referable"] else "")
        counts = {"ungradable": patient.ungradable, "not read": patient.errors}
        unread = [f"{count} {word}" for word, count in counts.items() if count]
        stdout.print(line.append(f" {', '.join(unread)}", style="yellow"), soft_wrap=True)
    stdout.print(
        "R, L, ?: pictures of the right, left and an unknown eye; * positive in one of them; gr: "
        "highest ICDR grade by eye; ref: referable",
        style="dim",
    )
