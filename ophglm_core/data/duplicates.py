"""Photographs that are there more than once, within a set or in several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..files import file_sha256
from .records import Record, read_records
from .report import ReadReport

SAME_PICTURE = "photographs that are there more than once, kept on one side of the split"
CONTRADICTIONS = "photographs that are there more than once, with labels that contradict each other"


def read_sets(data: Sequence[Path], report: ReadReport) -> dict[Path, list[Record]]:
    """Read several sets by `read_records`, and let copies of a photograph share a patient.

    Raises InputError as `read_records` does.
    """
    found = {place: read_records(place, report) for place in data}
    grouped = iter(group_duplicates([r for records in found.values() for r in records], report))
    return {place: [next(grouped) for _ in records] for place, records in found.items()}


def group_duplicates(records: Sequence[Record], report: ReadReport) -> list[Record]:
    """Return the records in their order, those of files with equal bytes with the same patient, so
    that no split parts them.

    All photographs of the patients concerned get the name of one of these. report: counts each
    picture that is there more than once, and those whose labels contradict each other; all of them
    are kept as they are.
    """
    same_patient: dict[str, str] = {}
    for copies in _equal_files(records):
        where = " and ".join(sorted({r.source for r in copies}))
        names = " = ".join(dict.fromkeys(r.image.name for r in copies))
        report.add(where, SAME_PICTURE, names)
        if _contradict(copies):
            report.add(where, CONTRADICTIONS, names)
        for record in copies[1:]:
            one, other = (_first_of(same_patient, r.patient) for r in (copies[0], record))
            if one != other:
                same_patient[other] = one
    return [
        replace(r, patient=_first_of(same_patient, r.patient)) if same_patient else r
        for r in records
    ]


def _first_of(same_patient: dict[str, str], patient: str) -> str:
    while patient in same_patient:
        patient = same_patient[patient]
    return patient


def _equal_files(records: Sequence[Record]) -> list[list[Record]]:
    """Return the groups of two records or more whose files hold the same bytes."""
    by_size: dict[int, list[Record]] = defaultdict(list)
    for record in records:
        by_size[record.image.stat().st_size].append(record)
    by_content: dict[str, list[Record]] = defaultdict(list)
    for candidates in by_size.values():
        if len(candidates) > 1:  # reading every file would take minutes
            for record in candidates:
                by_content[file_sha256(record.image)].append(record)
    return [copies for copies in by_content.values() if len(copies) > 1]


def _contradict(copies: Sequence[Record]) -> bool:
    labels = {label for record in copies for label in record.labels}
    said = [{r.labels[label] for r in copies if label in r.labels} for label in labels]
    grades = {record.grade for record in copies} - {None}
    return any(len(values) > 1 for values in said) or len(grades) > 1
