"""A file of rows that grows as pictures come, and goes on where it was after a restart."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from ophglm_core.arrivals import State, state_of
from ophglm_core.conditions import LabelSet
from ophglm_core.errors import InputError, UsageError
from ophglm_core.file_names import from_printable
from ophglm_core.files import FileKeys
from ophglm_core.findings import Findings

from .classify_output import SUFFIXES, Format, columns, csv_line, csv_row, json_line
from .output_lock import lock_output, unlock_output


class RowLog:
    """CSV or JSON lines to which rows are appended, the last row of a picture being what counts.

    Beside it, `FILE.seen` says in which state each picture was (size and time of change); a picture
    that has a row and is in that state is held. Who takes rows out of the file has these pictures
    done again. A lock, `FILE.lock`, keeps a second program out.
    """

    def __init__(self, path: Path, labels: LabelSet):
        """Open the file, or begin it.

        Raises UsageError if its suffix is of no such format, another program is at it, or its
        columns are another model's; InputError if nothing can be written there.
        """
        format = SUFFIXES.get(path.suffix.lower())
        if format not in (Format.csv, Format.jsonl):
            raise UsageError(f"Rows are appended to .csv or .jsonl, not to {path}.")
        if path.exists() and not path.is_file():
            raise UsageError(f"{path} is no file that rows can be appended to.")
        self._path, self._format, self._labels = path, format, labels
        self._keys = FileKeys()
        self._state: dict[str, State] = {}
        try:
            self._lock = lock_output(
                path, f"Another program is writing {path}; give another --out."
            )
        except OSError as error:
            raise self._cannot(error) from None
        try:
            self._rows: BinaryIO = path.open("a+b")
            self._seen: BinaryIO = path.with_name(path.name + ".seen").open("a+b")
            self._take_up()
        except OSError as error:
            unlock_output(self._lock)
            raise self._cannot(error) from None
        except BaseException:
            unlock_output(self._lock)
            raise

    def _cannot(self, error: OSError) -> InputError:
        return InputError(f"{self._path} cannot be written ({error.strerror}).")

    def _take_up(self) -> None:
        """Read what has a row, and in which state it was then."""
        header = csv_line(columns(self._labels)).encode() if self._format is Format.csv else b""
        lines = _whole_lines(self._rows)
        first = next(lines, None) if header else None
        if first not in (None, header):
            raise UsageError(f"{self._path} has other columns than this model; give another --out.")
        names = filter(None, map(self._image, lines))
        named = {self._keys.of(Path(from_printable(name))) for name in names}
        for line in _whole_lines(self._seen):
            with suppress(ValueError, KeyError, TypeError):
                entry = json.loads(line)
                if entry["key"] in named:
                    size, changed = entry["state"]
                    self._state[entry["key"]] = (int(size), int(changed))
        for key in named - self._state.keys():  # stopped between the two files
            if (state := state_of(Path(key))) is not None:
                self._state[key] = state
        if header and first is None:
            self._put(self._rows, header)

    def _image(self, line: bytes) -> str:
        """Return the picture that a row names, '' if it is no row."""
        text = line.decode(errors="replace")
        try:
            name = json.loads(text)["image"] if self._format is Format.jsonl else ""
            if self._format is Format.csv:
                name = next(csv.reader([text]))[0]
        except (ValueError, KeyError, TypeError, IndexError, StopIteration, csv.Error):
            return ""
        return name if isinstance(name, str) else ""

    @property
    def pictures(self) -> int:
        """How many pictures have a row."""
        return len(self._state)

    def holds(self, picture: Path, state: State) -> bool:
        """Whether a picture has its row and has not changed since."""
        return self._state.get(self._keys.of(picture)) == state

    def append(self, findings: Findings, picture: Path, state: State) -> None:
        """Add the row of a picture that was found in this state.

        Raises InputError if the disk is full.
        """
        row = findings.to_json(self._labels)
        line = csv_row(row) if self._format is Format.csv else json_line(row)
        key = self._keys.of(picture)
        self._put(self._rows, line.encode())
        self._put(self._seen, json.dumps({"key": key, "state": state}).encode() + b"\n")
        self._state[key] = state

    def _put(self, stream: BinaryIO, line: bytes) -> None:
        try:
            stream.write(line)
            stream.flush()
        except OSError as error:
            raise self._cannot(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for stream in (self._rows, self._seen):
            with suppress(OSError):  # of a full disk, which has been said
                stream.close()
        unlock_output(self._lock)


def _whole_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines; one that was cut off as it was written is removed from the file's end."""
    stream.seek(0)
    end = 0
    for line in stream:
        if not line.endswith(b"\n"):
            stream.truncate(end)
            break
        end += len(line)
        yield line
