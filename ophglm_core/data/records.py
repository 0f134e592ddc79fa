"""Labelled photographs, from whichever form a set of them comes in."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..conditions import CONDITIONS, DEFAULT_LABELS, NORMAL, LabelSet, canonical, normalized
from ..errors import InputError
from ..images import find_images
from .keywords import labels_from_keywords, odir_labels

#: Columns of labels.csv that are no labels.
_NOT_LABELS = frozenset({"image", "patient", "eye", "age", "sex", "quality", "keywords", "source"})
_EXTRA = ("age", "sex", "quality")


@dataclass(frozen=True)
class Record:
    """One photograph and what is known of it.

    labels: maps labels to 0 or 1; one that is absent is unknown (a set that files each picture
    under one disease does not say that no other is there). declared: the labels that the whole set
    speaks of. laterality: 'left', 'right' or None. extra: age, sex and quality, where they are
    given.
    """

    image: Path
    patient: str
    labels: dict[str, int]
    laterality: str | None = None
    keywords: str | None = None
    source: str = ""
    extra: dict[str, str] = field(default_factory=dict, compare=False)
    declared: tuple[str, ...] = ()

    def is_complete(self, labels: Iterable[str]) -> bool:
        """Whether each of these labels is known."""
        return all(label in self.labels for label in labels)


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


def choose_labels(records: Sequence[Record], wanted: Sequence[str] = ()) -> LabelSet:
    """Return the labels to learn from these records.

    wanted: the keys, aliases or columns that were asked for. Without them it is DEFAULT_LABELS
    where the sets speak of all of these, else all labels that the sets speak of: those of the table
    first. Raises InputError if a wanted label is in no set.
    """
    declared = list(dict.fromkeys(label for r in records for label in r.declared))
    if wanted:
        chosen = [canonical(name) or normalized(name) for name in wanted]
        missing = [label for label in chosen if label not in declared]
        if missing:
            raise InputError(
                f"No photograph is labelled {', '.join(missing)} (the labels are: "
                f"{', '.join(declared)})."
            )
    elif set(DEFAULT_LABELS) <= set(declared):
        chosen = list(DEFAULT_LABELS)
    else:
        chosen = [key for key in CONDITIONS if key in declared]
        chosen += [label for label in declared if label not in CONDITIONS]
    return LabelSet.of(chosen, own=[label for label in chosen if label not in CONDITIONS])


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
    found = {p: list(find_images(p)) for p in sorted(folder.iterdir()) if p.is_dir()}
    classes = {p: canonical(p.name) or normalized(p.name) for p, images in found.items() if images}
    if not classes:
        raise InputError(
            f"{folder} has neither a labels.csv nor ODIR-5K's table nor folders of photographs "
            f"named for conditions ({', '.join(CONDITIONS)})."
        )
    declared = tuple(dict.fromkeys(classes.values()))
    return [
        Record(
            image,
            f"{label}/{image.stem}",
            _single_label(label),
            source=folder.name,
            declared=declared,
        )
        for place, label in classes.items()
        for image in found[place]
    ]


def _single_label(label: str) -> dict[str, int]:
    """Labels of a picture filed under one class: normal excludes all known conditions, one of them
    excludes normal. What a class that the table does not know excludes is not known."""
    if label == NORMAL:
        return {key: int(key == NORMAL) for key in CONDITIONS}
    return {NORMAL: 0, label: 1} if label in CONDITIONS else {label: 1}


def _read_csv(path: Path) -> list[Record]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns = list(reader.fieldnames or [])
            rows = list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a table in UTF-8 ({error}).") from None
    if "Left-Fundus" in columns:  # ODIR-5K's full_df.csv
        return _read_full_df(path, rows)
    if "image" not in columns:
        raise InputError(f"{path} has no column 'image' (columns: {', '.join(columns) or 'none'}).")
    if "label" in columns:
        return _read_single_labels(path, rows)
    return _read_label_columns(path, columns, rows)


def _read_single_labels(path: Path, rows: list[dict[str, str]]) -> list[Record]:
    find = _finder(path.parent)
    labels = [canonical(row["label"] or "") or normalized(row["label"] or "") for row in rows]
    declared = tuple(dict.fromkeys(label for label in labels if label))
    records = []
    for row, label in zip(rows, labels, strict=True):
        image = find(row["image"])
        if label and image is not None:
            records.append(
                Record(
                    image,
                    row.get("patient") or image.stem,
                    _single_label(label),
                    _laterality(row),
                    source=path.parent.name,
                    declared=declared,
                )
            )
    return records


def _read_label_columns(path: Path, columns: list[str], rows: list[dict[str, str]]) -> list[Record]:
    """Read a table with a column of 0, 1 or nothing for each label."""
    keys = _label_columns(columns, rows)
    if not keys:
        raise InputError(
            f"{path} has no column of labels: name columns for conditions ({', '.join(CONDITIONS)} "
            "or your own) and fill them with 0, 1 or nothing."
        )
    find, declared = _finder(path.parent), tuple(dict.fromkeys(keys.values()))
    records = []
    for number, row in enumerate(rows, start=2):
        image = find(row["image"])
        if image is None:
            continue
        labels = {}
        for column, key in keys.items():
            text = (row[column] or "").strip()
            if text in _VALUES:
                labels[key] = _VALUES[text]
            elif text:
                raise InputError(
                    f"{path}, line {number}: column {column} says '{text}', not 0 or 1."
                )
        records.append(
            Record(
                image,
                row.get("patient") or image.stem,
                labels,
                _laterality(row),
                row.get("keywords") or None,
                path.parent.name,
                {k: row[k] for k in _EXTRA if row.get(k)},
                declared,
            )
        )
    return records


_VALUES = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}


def _label_columns(columns: list[str], rows: list[dict[str, str]]) -> dict[str, str]:
    """Return the columns that hold labels, with the key of each.

    A column that is named for a condition is one; another one is if it holds 0, 1 and blanks only.
    """
    keys = {}
    for column in columns:
        if not column or normalized(column) in _NOT_LABELS:
            continue
        known = canonical(column)
        values = {(row[column] or "").strip() for row in rows}
        if known is not None or (values - {""} <= set(_VALUES) and values - {""}):
            keys[column] = known or normalized(column)
    return keys


def _laterality(row: dict[str, str]) -> str | None:
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
        extra = {"age": row.get("Patient Age", ""), "sex": row.get("Patient Sex", "")}
        patient = row.get("ID") or image.stem.split("_")[0]
        records.append(
            Record(image, patient, labels, eye, keywords, path.parent.name, extra, odir_labels())
        )
    return records


def _finder(folder: Path) -> Callable[[str], Path | None]:
    """Return a look-up of pictures by the name a table gives, anywhere below the table's folder."""
    direct: dict[str, Path] = {}
    by_name: dict[str, Path] = {}
    for path in find_images(folder):
        direct[path.relative_to(folder).as_posix()] = path
        by_name.setdefault(path.name, path)

    def find(name: str) -> Path | None:
        name = (name or "").strip()
        return direct.get(name) or by_name.get(Path(name).name)

    return find


def count_labels(records: Iterable[Record], labels: Iterable[str]) -> dict[str, int]:
    """Count how many records show each of these labels."""
    records = list(records)
    return {label: sum(r.labels.get(label, 0) for r in records) for label in labels}


def label_matrix(records: Sequence[Record], labels: LabelSet) -> np.ndarray:
    """float32 [N, L]: 0, 1, or NaN where a record does not say."""
    rows = [[r.labels.get(label, np.nan) for label in labels] for r in records]
    return np.array(rows, dtype=np.float32).reshape(len(records), len(labels))
