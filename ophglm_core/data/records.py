"""Labelled photographs, from whichever form a set of them comes in."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import numpy as np

from ..conditions import (
    CONDITIONS,
    DEFAULT_LABELS,
    MACULAR_OEDEMA,
    LabelSet,
    canonical,
    normalized,
)
from ..errors import InputError
from ..eye_names import EYES
from ..inputs import find_images
from ..picture_files import EXTENSIONS
from .classes import class_key, class_labels, denied, is_known, spoken_of
from .keywords import grade_from_keywords, labels_from_keywords, odir_labels
from .public_sets import (
    NO_LABEL,
    UNKNOWN_VALUES,
    PublicSet,
    folder_set,
    graded,
    patient_and_eye,
    public_set,
)
from .report import NOT_USED, ReadReport
from .tables import PICTURE_COLUMNS, TEXT_TABLES, Table, read_table

#: Columns of labels.csv that are no labels.
_NOT_LABELS = frozenset({"patient", "eye", "age", "sex", "quality", "keywords", "source"})
#: Columns of ICDR grades (0 to 4), and those of the risk of macular oedema with the value from
#: which hard exudates lie near the centre.
_GRADES = ("dr_grade",)
_OEDEMA = {"dme_risk": 2}
#: Columns of what belongs together in a split, the same picture twice included.
_PATIENTS = ("patient", "dup_group")
_EXTRA = ("age", "sex", "quality")
_VALUES = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}

#: What reading passes over, as it is counted.
NO_FILE = "rows without their photograph"
NO_TABLE = "tables that cannot be read"
NO_CLASS = "photographs passed over, which lie in no folder of a class"
MASKS = "pictures passed over, which are masks"
NO_PAIRS = "photographs whose eyes may be parted, as messidor-2.csv does not pair them"

# Words in the names of folders and tables that say which part of a set they hold.
_PARTS = {"train": "train", "test": "test", "val": "val", "eval": "val"}
_MASKS = ("mask", "annotation", "segmentation", "groundtruth", "contour")
_SETS = "APTOS, EyePACS, Messidor-2, IDRiD, DDR, RFMiD, AIROGS, REFUGE, PAPILA, ODIR-5K and JSIEC"


@dataclass(frozen=True)
class Record:
    """One photograph and what is known of it.

    labels: maps labels to 0 or 1; one that is absent is unknown (a set that files each picture
    under one disease does not say that no other is there). laterality: 'left', 'right' or None.
    extra: age, sex and quality, where they are given. declared: the labels that the whole set
    speaks of. grade: of diabetic retinopathy by the ICDR scale, 0 to 4, or None.
    """

    image: Path
    patient: str
    labels: dict[str, int]
    laterality: str | None = None
    keywords: str | None = None
    source: str = ""
    extra: dict[str, str] = field(default_factory=dict, compare=False)
    declared: tuple[str, ...] = ()
    grade: int | None = None

    def value_of(self, label: str) -> float:
        """Return 0 or 1, or NaN where it is not known.

        Up to mild retinopathy there are microaneurysms at most (Wilkinson et al. 2003), so no hard
        exudates and no macular oedema, unless another disease may have brought them.
        """
        if label in self.labels:
            return float(self.labels[label])
        others = self.labels.get("amd"), self.labels.get("other")
        spared = label == MACULAR_OEDEMA and self.grade in (0, 1) and not any(others)
        return 0.0 if spared else math.nan

    def is_complete(self, labels: Iterable[str]) -> bool:
        """Whether each of these labels is known."""
        return all(label in self.labels for label in labels)

    def can_judge(self, labels: Iterable[str]) -> bool:
        """Whether enough is known to measure with: each of these labels, or the grade of diabetic
        retinopathy."""
        labels = tuple(labels)
        return self.is_complete(labels) or ("dr" in labels and self.grade is not None)


def read_records(data: Path, report: ReadReport | None = None) -> list[Record]:
    """Read a labelled set of photographs.

    `data` is one of: a folder with `labels.csv` or one other table of photographs; a folder of a
    public set as it circulates (see `public_sets`, and ODIR-5K's `full_df.csv` or .xlsx); such a
    table itself; a folder of folders, one a class, of which `Non-X` says that X is not there.
    report: counts what is passed over.

    A value that is not understood is unknown, and counted, in a public set and in a column of
    one's own; in one that is named for a known condition, and in dr_grade and dme_risk, it is more
    likely a mistake in a table that somebody made for this and can mend, so it is an error.

    Raises InputError if there is nothing to read, a column is missing, a known condition has such a
    value, or no picture is found.
    """
    report = ReadReport() if report is None else report
    if data.is_file():
        if data.suffix.lower() not in (*TEXT_TABLES, ".xlsx"):
            raise InputError(f"{data} is no table of labels; name a .csv, an .xlsx or a folder.")
        table = read_table(data)
        records = _read_table(table, _Pictures(_root_of(table)), report)
    elif data.is_dir():
        records = _read_folder(data, report)
    else:
        raise InputError(f"No such file or folder: {data}.")
    if not records:
        reasons = " ".join(report.sentences())
        raise InputError(
            f"{data} names no photograph that is there and has a label. {reasons}".rstrip()
        )
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


def _read_folder(folder: Path, report: ReadReport) -> list[Record]:
    pictures = _Pictures(folder)
    for name in ("labels.csv", "full_df.csv"):
        if (folder / name).is_file():
            return _read_table(read_table(folder / name), pictures, report)
    tables = list(_tables(folder, report))
    known = [t for t in tables if _is_odir(t) or _public_set_of(t)]
    if sum(map(_is_odir, known)) > 1:
        raise _several(folder, list(filter(_is_odir, known)))
    if known:
        records: dict[tuple[Path, str], Record] = {}
        for table in known:
            for record in _read_table(table, pictures, report):
                # Sets circulate with copies of their tables; what says the same is read once.
                said = f"{sorted(record.labels.items())} {record.grade}"
                records.setdefault((record.image, said), record)
        return list(records.values())
    own = [t for t in tables if t.path.parent == folder and _names_pictures(t)]
    if len(own) > 1:
        raise _several(folder, own)
    if own:
        return _read_table(own[0], pictures, report)
    return _read_class_folders(folder, report)


def _several(folder: Path, tables: Sequence[Table]) -> InputError:
    names = ", ".join(t.path.name for t in tables)
    return InputError(f"{folder} holds several tables ({names}); name one of them.")


def _root_of(table: Table) -> Path:
    """Return the folder to look for a table's photographs in: its own; a public set's may also
    stand in a folder beside them."""
    folder = table.path.absolute().parent
    beside = _public_set_of(table) is not None and not any(find_images(folder))
    return folder.parent if beside else table.path.parent


def _tables(folder: Path, report: ReadReport) -> Iterator[Table]:
    """Yield the tables below a folder, without those that only look like tables."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(place, name)
            suffix = path.suffix.lower()
            # DDR's lists apart, a text below the top is a contour or a note.
            note = suffix == ".txt" and path.parent != folder and not _part_of(path.stem)
            # An example of a submission has the columns of a challenge's labels and says nothing.
            if note or name.startswith((".", "~")) or "submission" in name.lower():
                continue
            if suffix == ".xlsx":
                yield read_table(path)
            elif suffix in TEXT_TABLES:
                try:
                    yield read_table(path)
                except InputError:
                    report.add(folder.name, NO_TABLE, name)


def _where(table: Table) -> str:
    """Return what a table is called in a report, where many are labels.csv."""
    return f"{table.path.absolute().parent.name}/{table.path.name}"


def _is_odir(table: Table) -> bool:
    return "Left-Fundus" in table.columns


def _public_set_of(table: Table) -> PublicSet | None:
    """Return the set that the table is one of; the names that are ours make it somebody's own."""
    plain = set(map(normalized, table.columns))
    return None if plain & {*_GRADES, *_OEDEMA, "label"} else public_set(plain)


def _names_pictures(table: Table) -> bool:
    return len(table.columns) > 1 and any(normalized(c) in PICTURE_COLUMNS for c in table.columns)


def _part_of(name: str) -> str | None:
    """Return 'train', 'test' or 'val' where a name says so."""
    words = re.split(r"[^a-z]+", name.lower())
    return next(
        (part for w in words for start, part in _PARTS.items() if w.startswith(start)), None
    )


def _is_mask(folders: Sequence[str]) -> bool:
    return any(word in name.lower() for name in folders for word in _MASKS)


class _Pictures:
    """The pictures below a folder, by the names that tables give them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._direct: dict[str, Path] = {}  # by the path below the folder
        self._by_name: dict[str, list[Path]] = {}  # in lower case, with the suffix and without
        found = [(_is_mask(p.relative_to(folder).parts[:-1]), p) for p in find_images(folder)]
        for _, path in sorted(found, key=lambda pair: pair[0]):  # masks last
            self._direct[path.relative_to(folder).as_posix()] = path
            for name in (path.name.lower(), path.stem.lower()):
                self._by_name.setdefault(name, []).append(path)

    def find(self, name: str, table: Path, part: str | None = None) -> Path | None:
        """Return the picture that a table means by a name, or None.

        Case and suffix need not agree; of several the one nearest to the table counts. part:
        'train', 'test' or 'val'; pictures in folders of another part are others, as sets number
        each part from 1.
        """
        written = name.strip().replace("\\", "/")
        if written in self._direct:
            return self._direct[written]
        last = written.rsplit("/", 1)[-1]
        stem, dot, suffix = last.lower().rpartition(".")
        found = self._by_name.get(last.lower(), [])
        if not found and f"{dot}{suffix}" in EXTENSIONS:
            found = self._by_name.get(stem, [])
        if part is not None:
            parts = {path: self._part_of(path) for path in found}
            here = [path for path in found if parts[path] == part]
            found = here or [path for path in found if parts[path] is None]
        if len(found) < 2:
            return found[0] if found else None
        return max(found, key=lambda path: (path.name == last, _shared_folders(path, table)))

    def _part_of(self, path: Path) -> str | None:
        folders = path.relative_to(self.folder).parts[:-1]
        return next(filter(None, map(_part_of, reversed(folders))), None)


def _shared_folders(one: Path, other: Path) -> int:
    pairs = zip(one.absolute().parts, other.absolute().parts, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _read_class_folders(folder: Path, report: ReadReport) -> list[Record]:
    places = [(image, image.relative_to(folder).parts[:-1]) for image in find_images(folder)]
    known = folder_set({name for _, names in places for name in names})
    said = known.folders if known else {}
    first = [n for _, names in places for n, name in enumerate(names) if _speaks(name, said, n)]
    tops = {names[0] for _, names in places if names}
    # Classes lie below 'train' and 'test', or below whatever folder those that are known lie in.
    depth = min(first) if first else int(bool(tops) and all(map(_part_of, tops)))
    records, classes = [], {}
    for image, names in places:
        if _is_mask(names):
            report.add(folder.name, MASKS, image.name)
            continue
        speaking = [name for n, name in enumerate(names) if _speaks(name, said, n)]
        # The innermost counts: AMD/Training/Non-AMD is the way challenges nest their folders.
        name = speaking[-1] if speaking else names[depth] if len(names) > depth else None
        if name is None:
            report.add(folder.name, NO_CLASS, image.name)
            continue
        labels, grade = said.get(normalized(name)) or (class_labels(name), None)
        if not labels:
            report.add(folder.name, f"photographs passed over, as {name} says nothing sure", name)
            continue
        classes[name] = labels
        records.append((image, name, labels, _grade(labels, None) if grade is None else grade))
    if not records:
        raise InputError(
            f"{folder} has neither a table of labels nor the layout of a set that is known "
            f"({_SETS}) nor folders of photographs named for conditions "
            f"({', '.join(CONDITIONS)})."
        )
    declared = spoken_of(classes.values())
    source = known.name if known else folder.name
    return [
        Record(
            image,
            f"{class_key(name)}/{image.stem}",
            labels,
            source=source,
            declared=declared,
            grade=grade,
        )
        for image, name, labels, grade in records
    ]


def _speaks(name: str, said: Mapping[str, object], depth: int) -> bool:
    """Whether a folder is named for a class that is known; the one-letter names of conditions only
    at the top, where a folder C is not a camera's."""
    return normalized(name) in said or (is_known(name) and (len(name) > 1 or depth == 0))


def _read_table(table: Table, pictures: _Pictures, report: ReadReport) -> list[Record]:
    if _is_odir(table):
        return _read_odir(table, pictures, report)
    if known := _public_set_of(table):
        return _read_public(table, known, pictures, report)
    names = {normalized(column): column for column in table.columns}
    image = next((names[name] for name in PICTURE_COLUMNS if name in names), None)
    if image is None:
        raise InputError(
            f"{table.path} has no column 'image' (columns: {', '.join(table.columns) or 'none'})."
        )
    read = _read_single_labels if "label" in names else _read_label_columns
    return read(table, names, _rows_with_pictures(table, image, pictures, report), report)


#: A row with its line number and its picture.
_Row = tuple[int, dict[str, str], Path]


def _rows_with_pictures(
    table: Table, column: str, pictures: _Pictures, report: ReadReport
) -> list[_Row]:
    result = []
    for number, row in table.rows:
        image = pictures.find(row[column], table.path)
        if image is None:
            report.add(_where(table), NO_FILE, row[column] or f"line {number}")
        else:
            result.append((number, row, image))
    return result


def _read_public(
    table: Table, known: PublicSet, pictures: _Pictures, report: ReadReport
) -> list[Record]:
    where, part = _where(table), _part_of(table.path.stem)
    names = {column: normalized(column) for column in table.columns}
    column = next(c for plain in known.image for c in table.columns if names[c] == plain)
    pairs = _pairs(pictures.folder, report) if known.pairs else {}
    for other in table.columns:
        if names[other] not in known.columns and not known.rest:
            report.add(where, NOT_USED, other)
    records = []
    for number, row in table.rows:
        name = row[column]
        if known.picture:
            digits = re.search(r"\d+", name)
            if digits is None:
                continue  # a further row of headers
            name = known.picture.format(patient=digits[0], eye=table.path.stem[-2:])
        image = pictures.find(name, table.path, part)
        if image is None:
            report.add(where, NO_FILE, name or f"line {number}")
            continue
        reading = known.read({names[c]: value for c, value in row.items()})
        for unknown, value in reading.unknown:
            report.add(where, UNKNOWN_VALUES, f"line {number}: {unknown} {value}")
        if reading.passed:
            report.add(where, reading.passed, name)
            continue
        if not reading.labels:
            continue
        stem = image.stem.lower()
        patient, eye = pairs.get(stem) or patient_and_eye(known, image.stem)
        if known.pairs and stem not in pairs:
            report.add(where, NO_PAIRS, name)
        grade = _grade(reading.labels, None) if reading.grade is None else reading.grade
        records.append(
            Record(
                image,
                patient,
                reading.labels,
                eye,
                source=known.name,
                declared=known.declared,
                grade=grade,
            )
        )
    return records


def _pairs(folder: Path, report: ReadReport) -> dict[str, tuple[str, str]]:
    """Return the patient and the eye of each photograph, by its name without the suffix, that a
    table with the columns left and right gives."""
    result = {}
    for table in _tables(folder, report):
        sides = {normalized(c): c for c in table.columns}
        if {"left", "right"} <= set(sides):
            for number, row in table.rows:
                for side in ("left", "right"):
                    stem = Path(row[sides[side]]).stem.lower()
                    result[stem] = (f"{table.path.stem} {number}", side)
    return result


def _read_single_labels(
    table: Table, names: dict[str, str], rows: list[_Row], report: ReadReport
) -> list[Record]:
    where, column = _where(table), names["label"]
    classes = {row[column]: class_labels(row[column]) for _, row, _ in rows if row[column]}
    declared = spoken_of(classes.values())
    _report_not_used(table, {column}, report)
    records = []
    for number, row, image in rows:
        if row[column]:
            labels = classes[row[column]]
            records.append(
                Record(
                    image,
                    _patient(row, names, image),
                    labels,
                    _laterality(row, names),
                    source=table.path.parent.name,
                    declared=declared,
                    grade=_grade(labels, None),
                )
            )
        else:
            report.add(where, NO_LABEL, f"line {number}")
    return records


def _read_label_columns(
    table: Table, names: dict[str, str], rows: list[_Row], report: ReadReport
) -> list[Record]:
    """Read a table with a column of 0, 1 or nothing for each label, or of grades."""
    path, keys = table.path, _label_columns(table)
    grades = next((names[name] for name in _GRADES if name in names), None)
    oedema = next((names[name] for name in _OEDEMA if name in names), None)
    if not keys and grades is None and oedema is None:
        raise InputError(
            f"{path} has no column of labels: name columns for conditions ({', '.join(CONDITIONS)} "
            "or your own) and fill them with 0, 1 or nothing."
        )
    declared = dict.fromkeys(keys.values())
    if grades is not None:
        declared |= {"dr": None}
    if oedema is not None:
        declared |= {MACULAR_OEDEMA: None}
    _report_not_used(table, {*keys, grades, oedema}, report)
    records = []
    for number, row, image in rows:
        labels = {}
        for column, key in keys.items():
            text = row[column]
            if text in _VALUES:
                # A column `No DR` denies what it is named for.
                labels[key] = _VALUES[text] ^ int(denied(column) == key)
            elif text and key in CONDITIONS:
                raise InputError(
                    f"{path}, line {number}: column {column} says '{text}', not 0 or 1."
                )
            elif text:
                report.add(_where(table), UNKNOWN_VALUES, f"line {number}: {column} {text}")
        grade = _whole(row, grades, 4, path, number)
        risk = _whole(row, oedema, 2, path, number)
        if grade is not None:
            labels |= graded(grade)
        if oedema is not None and risk is not None:
            labels[MACULAR_OEDEMA] = int(risk >= _OEDEMA[normalized(oedema)])
        if not labels:
            report.add(_where(table), NO_LABEL, f"line {number}")
            continue
        keywords = _cell(row, names, "keywords") or None
        records.append(
            Record(
                image,
                _patient(row, names, image),
                labels,
                _laterality(row, names),
                keywords,
                path.parent.name,
                {k: _cell(row, names, k) for k in _EXTRA if _cell(row, names, k)},
                tuple(declared),
                _grade(labels, keywords) if grade is None else grade,
            )
        )
    return records


def _cell(row: dict[str, str], names: dict[str, str], name: str) -> str:
    """Return what a column says, by the column's name as `normalized` writes it."""
    return row[names[name]] if name in names else ""


def _patient(row: dict[str, str], names: dict[str, str], image: Path) -> str:
    for column in _PATIENTS:
        if text := _cell(row, names, column):
            return text if column == "patient" else f"{column} {text}"
    return image.stem


def _whole(
    row: dict[str, str], column: str | None, largest: int, path: Path, number: int
) -> int | None:
    """Return the whole number in a column, or None where it is blank."""
    text = row[column] if column is not None else ""
    if not text:
        return None
    value = text.removesuffix(".0")
    if not value.isdigit() or int(value) > largest:
        raise InputError(
            f"{path}, line {number}: column {column} says '{text}', not 0 to {largest}."
        )
    return int(value)


def _grade(labels: dict[str, int], keywords: str | None) -> int | None:
    """Return the grade of diabetic retinopathy that labels and keywords give: 0 without it."""
    if labels.get("dr") == 0:
        return 0
    return grade_from_keywords(keywords) if labels.get("dr") and keywords else None


def _label_columns(table: Table) -> dict[str, str]:
    """Return the columns that hold labels, with the key of each.

    A column that is named for a condition is one; another one is if half of what it holds is 0 or
    1 and the rest is no number ('?', 'n/a'), which would be a scale or a measurement.
    """
    keys = {}
    for column in table.columns:
        plain = normalized(column)
        if plain in _NOT_LABELS or plain in (*PICTURE_COLUMNS, *_GRADES, *_OEDEMA, *_PATIENTS):
            continue
        values = [row[column] for _, row in table.rows if row[column]]
        others = [value for value in values if value not in _VALUES]
        binary = 2 * len(others) < len(values) and not any(map(_is_number, set(others)))
        known = next((k for k in (canonical(column), denied(column)) if k in CONDITIONS), None)
        if known is not None or binary:
            keys[column] = known or plain
    return keys


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?\d+([.,]\d+)?", text) is not None


def _report_not_used(table: Table, used: Collection[str | None], report: ReadReport) -> None:
    for column in table.columns:
        plain = normalized(column)
        if column not in used and plain not in (*_NOT_LABELS, *PICTURE_COLUMNS, *_PATIENTS):
            report.add(_where(table), NOT_USED, column)


def _laterality(row: dict[str, str], names: dict[str, str]) -> str | None:
    return EYES.get(_cell(row, names, "eye").lower())


def _read_odir(table: Table, pictures: _Pictures, report: ReadReport) -> list[Record]:
    where = _where(table)
    records = []
    for number, row in table.rows:
        # The challenge has one row a patient; full_df.csv one an eye, which 'filename' names.
        for eye, side in (("left", "Left"), ("right", "Right")):
            name, keywords = row[f"{side}-Fundus"], row[f"{side}-Diagnostic Keywords"]
            if row.get("filename", "") not in ("", name):
                continue
            image, labels = pictures.find(name, table.path), labels_from_keywords(keywords)
            if image is None:
                report.add(where, NO_FILE, name or f"line {number}")
            elif labels is None:
                report.add(where, NO_LABEL, f"{name}: {keywords}")
            else:
                extra = {"age": row.get("Patient Age", ""), "sex": row.get("Patient Sex", "")}
                records.append(
                    Record(
                        image,
                        row.get("ID") or image.stem.split("_")[0],
                        labels,
                        eye,
                        keywords,
                        table.path.parent.name,
                        extra,
                        odir_labels(),
                        _grade(labels, keywords),
                    )
                )
    return records


def count_labels(records: Iterable[Record], labels: Iterable[str]) -> dict[str, int]:
    """Count how many records show each of these labels."""
    records = list(records)
    return {label: sum(r.labels.get(label, 0) for r in records) for label in labels}


def label_matrix(records: Sequence[Record], labels: LabelSet) -> np.ndarray:
    """float32 [N, L]: 0, 1, or NaN where a record does not say."""
    rows = [[r.value_of(label) for label in labels] for r in records]
    return np.array(rows, dtype=np.float32).reshape(len(records), len(labels))
