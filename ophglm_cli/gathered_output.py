"""Output that is put together from all rows once they are there: it has more than a row a picture.

With a file, the rows stand in its part file until then, so that a stopped run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from ophglm_core import __version__
from ophglm_core.assistant import Assistant
from ophglm_core.conditions import LabelSet
from ophglm_core.files import atomic_write
from ophglm_core.findings import Findings
from ophglm_core.observations import Software
from ophglm_core.patients import Row

from .classify_output import Format, Sink, put_line, standard_output
from .part_file import PartFile

#: From all rows to the lines of a text.
Lines = Callable[[Iterable[Row]], Iterator[str]]
#: Writes a whole file of rows to where it is told.
Write = Callable[[Path, Iterator[Row]], None]


def software_of(assistant: Assistant) -> Software:
    """Return what is said in a record of what made the findings."""
    classifier = assistant.classifier
    return Software(
        assistant.labels,
        classifier.thresholds,
        classifier.referable,
        assistant.model.identity,
        __version__,
    )


class GatheredSink(Sink):
    """Keeps the rows and gives all of them to `show` at the end of a run that was not stopped."""

    def __init__(self, labels: LabelSet, show: Callable[[list[Row]], None]):
        self._labels, self._show = labels, show
        self._rows: list[Row] = []

    def write(self, findings: Findings) -> None:
        """Keep one row."""
        self._rows.append(findings.to_json(self._labels))

    def close(self, complete: bool) -> None:
        """Show what the rows come to. Raises InputError if the stream's disk is full."""
        if complete:
            self._show(self._rows)


class GatheredFile(PartFile):
    """A part file whose rows become a file that `gather` writes."""

    def __init__(
        self,
        path: Path,
        gather: Write,
        model: str,
        labels: LabelSet,
        pictures: Sequence[Path],
        overwrite: bool = False,
    ):
        """Open the part file, and raise, as `PartFile` does."""
        super().__init__(path, Format.jsonl, model, labels, pictures, overwrite)
        self._gather = gather

    def _write_file(self, path: Path, rows: Iterator[Row]) -> None:
        self._gather(path, rows)


def stream_of(lines: Lines, stream: TextIO | None) -> Callable[[list[Row]], None]:
    """Return what writes these lines to a stream, or to standard output."""

    def show(rows: list[Row]) -> None:
        out = stream or standard_output()
        for line in lines(rows):
            put_line(out, line)

    return show


def file_of(lines: Lines) -> Write:
    """Return what writes these lines to a file, which is there only when it is whole."""

    def write(path: Path, rows: Iterator[Row]) -> None:
        with (
            atomic_write(path) as partial,
            partial.open("w", encoding="utf-8", newline="") as stream,
        ):
            stream.writelines(lines(rows))

    return write
