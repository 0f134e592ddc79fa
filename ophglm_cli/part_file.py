"""The rows of a run that writes a file, kept as they are found, so that a stopped run goes on."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock

from ophglm_core.archives import archive_of, member_state
from ophglm_core.conditions import LabelSet
from ophglm_core.errors import InputError, UsageError
from ophglm_core.file_names import printable
from ophglm_core.files import FileKeys
from ophglm_core.findings import Findings
from ophglm_core.remote_files import RemotePath, ask_ahead, path_of, state_of, upload

from .classify_output import Format, Sink, write_rows
from .output_lock import lock_output, unlock_output

_DONE = ("ok", "ungradable")
#: How a part file begins.
_MARK = b'{"rows of'


class PartFile(Sink):
    """A file that is there, under its name, only when it is complete.

    Until then the rows stand in `FILE.part`, one JSON line each, behind a line that names the
    model. A row belongs to its picture's path, size and times of change: a run that finds the rows
    of pictures that it was given goes on from these. Pictures that could not be read are tried
    again. A lock, `FILE.part.lock`, keeps a second run out. The rows of a file that is to lie on an
    object store stand in the folder that the run was started in.
    """

    def __init__(
        self,
        path: Path,
        format: Format,
        model: str,
        labels: LabelSet,
        pictures: Sequence[Path],
        overwrite: bool = False,
    ):
        """Open the part file.

        pictures: all that the run is about, in the order of the finished file. overwrite: whether
        rows of another run may be thrown away. Raises UsageError if another run is at it or the
        rows are another run's, InputError if nothing can be written there.
        """
        self._path, self._format, self._labels = path, format, labels
        self.is_remote = isinstance(path, RemotePath)
        #: Where the rows stand until the file is complete.
        self.place = part_of(path)
        self._keys = FileKeys()
        self._pictures = {self._keys.of(picture): picture for picture in pictures}
        self._unusable: list[str] = []
        #: Where the row of a picture begins in the part file, by the picture's key.
        self._at: dict[str, int] = {}
        #: How many of the rows that were there were of pictures that have changed since.
        self.changed = 0
        #: How many of these were of pictures that this run was not given.
        self.left_out = 0
        self._lock = self._locked()
        try:
            self._stream: BinaryIO = self.place.open("a+b")
            self._take_up(model, overwrite)
        except OSError as error:
            unlock_output(self._lock)
            raise self._cannot(error) from None
        except BaseException:
            unlock_output(self._lock)
            raise

    def _locked(self) -> FileLock:
        taken = f"Another run is writing {self._path}; wait for it or give another --out."
        try:
            return lock_output(self.place, taken)
        except OSError as error:
            raise self._cannot(error) from None

    def _cannot(self, error: OSError) -> InputError:
        kept = (
            f"; what was found is kept in {self.place.name}, and the same command goes on"
            if self._at
            else ""
        )
        reason = error.strerror or type(error).__name__
        return InputError(f"{self._path} cannot be written ({reason}){kept}.")

    def _take_up(self, model: str, overwrite: bool) -> None:
        """Read what an earlier run has left, and go on behind it."""
        header = {"rows of": "ophglm classify", "model": model}
        self._stream.seek(0)
        start = self._stream.read(len(_MARK))
        found, entries, end = self._read()
        foreign = found != header or not (
            entries == [] or any(entry["key"] in self._pictures for entry in entries)
        )
        if foreign and not overwrite and (entries or start not in (b"", _MARK)):
            raise UsageError(
                f"{self.place} is of another run, which was stopped; give --overwrite to throw its "
                "rows away, or another --out."
            )
        if foreign:
            self._stream.truncate(0)
            self._append(header)
        else:
            self._stream.truncate(end)  # the line that a kill has cut off
            self._index(entries)

    def _read(self) -> tuple[Any, list[dict[str, Any]], int]:
        """Return the first line, what the others say of the pictures' rows, and where the last
        whole line ends."""
        self._stream.seek(0)
        first: Any = None
        entries: list[dict[str, Any]] = []
        end = 0
        for number, line in enumerate(self._stream):
            if not line.endswith(b"\n"):
                break
            at, end = end, end + len(line)
            try:
                content = json.loads(line)
            except ValueError:
                content = None
            if number == 0:
                first = content
            elif isinstance(content, dict) and content.get("state") and "row" in content:
                row = content.pop("row")
                entries.append({**content, "at": at, "status": row["status"]})
        return first, entries, end

    def _index(self, entries: list[dict[str, Any]]) -> None:
        keys = {entry["key"] for entry in entries} & self._pictures.keys()
        ask_ahead(self._pictures[key] for key in keys)
        for entry in entries:
            key = entry["key"]
            if key not in self._pictures:
                self.left_out += 1
            elif entry["state"] != _state(self._pictures[key]):
                self._at.pop(key, None)
                self.changed += 1
            elif entry["status"] in _DONE:
                self._at[key] = entry["at"]

    def holds(self, picture: Path) -> bool:
        """Whether a picture's row is there."""
        return self._keys.of(picture) in self._at

    def row(self, picture: Path) -> dict[str, Any]:
        """Return the row of a picture that is there, as `Findings.to_json` gave it."""
        return self._row(self._keys.of(picture))

    def _row(self, key: str) -> dict[str, Any]:
        self._stream.seek(self._at[key])
        row: dict[str, Any] = json.loads(self._stream.readline())["row"]
        if key in self._pictures:  # the earlier run may have named it from another folder
            row["image"] = printable(str(self._pictures[key]))
        return row

    def write(self, findings: Findings) -> None:
        """Add one row. Raises InputError if the disk is full."""
        named = path_of(findings.image)
        key = self._keys.of(named)
        picture = self._pictures.get(key, named)
        if key not in self._pictures:
            key = f"{key} (names no picture)"
            self._unusable.append(key)
        entry = {"key": key, "state": _state(picture), "row": findings.to_json(self._labels)}
        try:
            self._at[key] = self._append(entry)
        except OSError as error:
            raise self._cannot(error) from None

    def _append(self, entry: dict[str, Any]) -> int:
        """Write a line and return where it begins."""
        at = self._stream.seek(0, os.SEEK_END)
        try:
            self._stream.write(json.dumps(entry).encode() + b"\n")
            self._stream.flush()
        except OSError:
            # What stays in the buffer would be written, or fail, at the next line.
            self._stream = _reopened(self._stream, self.place)
            raise
        return at

    def close(self, complete: bool) -> None:
        """Write the file from the rows if they are complete, in the order of the pictures."""
        try:
            if complete:
                self._complete()
            self._stream.close()
            if complete:
                self.place.unlink(missing_ok=True)
        finally:
            unlock_output(self._lock)

    def _complete(self) -> None:
        path = self.place.with_suffix(".whole") if self.is_remote else self._path
        try:
            self._write_file(path, self._rows())
            if isinstance(self._path, RemotePath):
                upload(path, self._path)
        except OSError as error:
            raise self._cannot(error) from None
        except InputError as error:
            raise InputError(
                f"{str(error).rstrip('.')}; what was found is kept in {self.place}, and the same "
                "command goes on."
            ) from None
        finally:
            if self.is_remote:
                path.unlink(missing_ok=True)

    def _write_file(self, path: Path, rows: Iterator[dict[str, Any]]) -> None:
        """Write the finished file of these rows. Raises OSError if it cannot."""
        write_rows(path, self._format, rows, self._labels)

    def _rows(self) -> Iterator[dict[str, Any]]:
        yield from (self._row(key) for key in self._unusable)
        yield from (self._row(key) for key in self._pictures if key in self._at)


def part_of(path: Path) -> Path:
    """Return where the rows of a file stand until it is complete."""
    if isinstance(path, RemotePath):
        return Path(re.sub(r"[^\w.]+", "-", path.address) + ".part")
    return path.with_name(path.name + ".part")


def _reopened(stream: BinaryIO, path: Path) -> BinaryIO:
    with suppress(OSError):
        stream.close()
    return path.open("a+b")


def _state(picture: Path) -> list[Any] | None:
    """Return by what a picture is known to be the same: its size in bytes, the time that it says it
    was changed, and the time when its content or its name was, which no program can set; in an
    archive or on an object store its size and checksum."""
    try:
        if isinstance(picture, RemotePath):
            return state_of(picture)
        if archive_of(picture) is not None:
            return member_state(picture)
        found = os.stat(picture)
    except (OSError, ValueError, InputError):
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]
