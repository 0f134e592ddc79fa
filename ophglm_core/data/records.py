"""Labelled photographs, from whichever form a set of them comes in."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..images import find_images
from ..labels import CONDITIONS, LABELS, canonical
from .keywords import labels_from_keywords


@dataclass(frozen=True)
class Record:
    """One photograph and what is known of it.

    `labels` maps each of the six labels to 0 or 1; a label that is absent is unknown (a set that
    files each picture under one disease does not say that no other is there).
    """

    image: Path
    patient: str
    labels: dict[str, int]
    eye: str | None = None
    keywords: str | None = None
    source: str = ""
    extra: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def complete(self) -> bool:
        """Whether every label is known."""
        return len(self.labels) == len(LABELS)


def read_records(data: Path) -> list[Record]:
    """Read a labelled set of photographs.

    `data` is one of: a folder with `labels.csv`; ODIR-5K's table (`full_df.csv` or the challenge's
    .xlsx), or the folder that holds it; a folder of folders, one a class.

    Raises InputError if there is nothing to read, a column is missing or no picture is found.
    """
    if data.is_file():
        if data.suffix.lower() == ".xlsx":
            records = _read_odir_xlsx(data)
        elif data.suffix.lower() == ".csv":
            records = _read_csv(data)
        else:
            raise InputError(f"{data} is no table of labels; name a .csv, an .xlsx or a folder.")
    elif data.is_dir():
        records = _read_folder(data)
    else:
        raise InputError(f"No such file or folder: {data}.")
    if not records:
        raise InputError(f"{data} names no photograph that is there and has a label.")
    return records


def _read_folder(folder: Path) -> list[Record]:
    for name in ("labels.csv", "full_df.csv"):
        if (folder / name).is_file():
            return _read_csv(folder / name)
    workbooks = sorted(p for p in folder.glob("*.xlsx") if not p.name.startswith("~"))
    if len(workbooks) > 1:
        names = ", ".join(p.name for p in workbooks)
        raise InputError(f"{folder} holds several tables ({names}); name one of them.")
    if workbooks:
        return _read_odir_xlsx(workbooks[0])
    return _read_class_folders(folder)


def _read_class_folders(folder: Path) -> list[Record]:
    records = []
    classes = {p: canonical(p.name) for p in sorted(folder.iterdir()) if p.is_dir()}
    known = {p: label for p, label in classes.items() if label is not None}
    if not known:
        raise InputError(
            f"{folder} has neither a labels.csv nor ODIR-5K's table nor folders named for "
            f"conditions ({', '.join(LABELS)})."
        )
    for place, label in known.items():
        for image in find_images(place):
            labels = _single(label)
            records.append(Record(image, f"{label}/{image.stem}", labels, source=folder.name))
    return records


def _single(label: str) -> dict[str, int]:
    """Labels of a picture filed under one class: normal excludes all, a disease excludes normal."""
    if label == "normal":
        return {key: int(key == "normal") for key in LABELS}
    return {"normal": 0, label: 1}


def _read_csv(path: Path) -> list[Record]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        columns = list(reader.fieldnames or [])
        rows = list(reader)
    if "Left-Fundus" in columns:  # ODIR-5K's full_df.csv
        return _read_full_df(path, rows)
    if "image" not in columns:
        raise InputError(f"{path} has no column 'image' (columns: {', '.join(columns) or 'none'}).")
    find = _finder(path.parent)
    records: list[Record] = []
    if "label" in columns and not any(key in columns for key in LABELS):
        for row in rows:
            label, image = canonical(row["label"]), find(row["image"])
            if label is not None and image is not None:
                patient = row.get("patient") or image.stem
                records.append(
                    Record(image, patient, _single(label), _eye(row), source=path.parent.name)
                )
        return records
    missing = [key for key in LABELS if key not in columns]
    if missing:
        raise InputError(f"{path} lacks the columns {', '.join(missing)}.")
    for number, row in enumerate(rows, start=2):
        image = find(row["image"])
        if image is None:
            continue
        labels = {}
        for key in LABELS:
            text = (row[key] or "").strip()
            if text in {"0", "1", "0.0", "1.0"}:
                labels[key] = int(float(text))
            elif text:
                raise InputError(f"{path}, line {number}: column {key} says '{text}', not 0 or 1.")
        records.append(
            Record(
                image,
                row.get("patient") or image.stem,
                labels,
                _eye(row),
                row.get("keywords") or None,
                path.parent.name,
                {k: row[k] for k in ("age", "sex", "quality") if row.get(k)},
            )
        )
    return records


def _eye(row: dict[str, str]) -> str | None:
    eye = (row.get("eye") or "").strip().lower()
    return {"left": "left", "l": "left", "right": "right", "r": "right"}.get(eye)


def _read_full_df(path: Path, rows: list[dict[str, str]]) -> list[Record]:
    eyes = []
    for row in rows:
        # One row an eye: 'filename' says which of the two the row is about.
        for eye, column in (("left", "Left"), ("right", "Right")):
            name = row[f"{column}-Fundus"]
            if row.get("filename") in (None, "", name):
                eyes.append((row, eye, name, row[f"{column}-Diagnostic Keywords"]))
    return _odir_records(path, eyes)


def _read_odir_xlsx(path: Path) -> list[Record]:
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise InputError(
            f"Reading {path.name} needs openpyxl; run pip install 'ophglm[train]'."
        ) from None
    try:
        sheet = load_workbook(path, read_only=True, data_only=True).active
    except Exception as error:
        raise InputError(f"{path} cannot be read as an Excel workbook ({error}).") from None
    table = [
        ["" if v is None else str(v) for v in row] for row in sheet.iter_rows(values_only=True)
    ]
    if not table or "Left-Fundus" not in table[0]:
        raise InputError(f"{path} is not ODIR-5K's table: it has no column 'Left-Fundus'.")
    rows = [dict(zip(table[0], line, strict=False)) for line in table[1:]]
    eyes = [
        (row, eye, row[f"{side}-Fundus"], row[f"{side}-Diagnostic Keywords"])
        for row in rows
        for eye, side in (("left", "Left"), ("right", "Right"))
    ]
    return _odir_records(path, eyes)


def _odir_records(path: Path, eyes: Iterable[tuple[dict[str, str], str, str, str]]) -> list[Record]:
    find = _finder(path.parent)
    records = []
    for row, eye, name, keywords in eyes:
        image, labels = find(name), labels_from_keywords(keywords)
        if image is None or labels is None:
            continue
        extra = {
            "age": row.get("Patient Age", ""),
            "sex": row.get("Patient Sex", ""),
        }
        patient = row.get("ID") or image.stem.split("_")[0]
        records.append(Record(image, patient, labels, eye, keywords, path.parent.name, extra))
    return records


def _finder(folder: Path) -> Callable[[str], Path | None]:
    """Return a look-up of pictures by the name a table gives, anywhere below the table's folder."""
    direct: dict[str, Path] = {}
    by_name: dict[str, Path] = {}
    for path in find_images(folder):
        direct[path.relative_to(folder).as_posix()] = path
        by_name.setdefault(path.name, path)

    def find(name: str) -> Path | None:
        name = name.strip()
        return direct.get(name) or by_name.get(Path(name).name)

    return find


def count_labels(records: Iterable[Record]) -> dict[str, int]:
    """Count how many records show each label."""
    records = list(records)
    return {c.key: sum(r.labels.get(c.key, 0) for r in records) for c in CONDITIONS}


def label_matrix(records: list[Record]) -> np.ndarray:
    """float32 [N, L]: 0, 1, or NaN where a record does not say."""
    rows = [[r.labels.get(label, np.nan) for label in LABELS] for r in records]
    return np.array(rows, dtype=np.float32).reshape(len(records), len(LABELS))
