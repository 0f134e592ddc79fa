"""Lists of photographs: a table with a column of their names, or a text with one name a line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .conditions import normalized
from .data.tables import PICTURE_COLUMNS, Table, read_table
from .errors import InputError
from .eye_names import EYES
from .file_names import from_printable
from .remote_files import RemotePath, path_of

#: Endings of files that name photographs.
SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".xlsx", ".parquet"})
_PATIENTS = ("patient", "patient_id")
_EYES = ("eye", "laterality")


@dataclass(frozen=True)
class Listed:
    """A photograph that a list names. patient: as it is written there. eye: 'left', 'right' or
    None."""

    path: Path
    patient: str | None = None
    eye: str | None = None


def is_list(path: Path) -> bool:
    """Whether a path names a list of photographs, by its suffix."""
    return path.suffix.lower() in SUFFIXES and path.is_file()


def read_list(path: Path) -> Iterator[Listed]:
    """Yield what a list names, in its order: paths as they are, or from the list's folder;
    addresses (see `remote_files`).

    A text has one name a line. A table has a column of them (PICTURE_COLUMNS) and may have columns
    `patient` and `eye`. Raises InputError if it cannot be read, has no such column or names
    nothing.
    """
    if path.suffix.lower() == ".txt":
        try:
            lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}).") from None
        listed = [Listed(_placed(os.fsdecode(line), path)) for line in lines if line.strip()]
    else:
        listed = list(_rows(read_table(path)))
    if not listed:
        raise InputError(f"{path} names no photographs.")
    yield from listed


def _rows(table: Table) -> Iterator[Listed]:
    names = {normalized(column): column for column in reversed(table.columns)}

    def column(known: tuple[str, ...]) -> str | None:
        return next((names[name] for name in known if name in names), None)

    image, patient, eye = column(PICTURE_COLUMNS), column(_PATIENTS), column(_EYES)
    if image is None:
        raise InputError(
            f"{table.path} has no column 'image' (columns: {', '.join(table.columns) or 'none'})."
        )
    for _, row in table.rows:
        if row[image]:
            side = EYES.get(row[eye].lower()) if eye else None
            yield Listed(
                _placed(row[image], table.path), (row[patient] if patient else "") or None, side
            )


def _placed(name: str, beside: Path) -> Path:
    r"""Return the path that a list means: as it is written where that is there, else from the
    list's folder. A name that `ophglm classify` wrote, with `\xff` for a byte, is found again."""
    address = path_of(name)
    if isinstance(address, RemotePath):
        return address
    places = [Path(text) for text in dict.fromkeys((name, from_printable(name)))]
    for place in (where for p in places for where in (beside.parent / p, p)):
        if os.path.lexists(place):
            return place
    return beside.parent / places[0]
