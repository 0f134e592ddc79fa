"""`ophglm classify --format fhir`: a FHIR R4 Bundle, on a stream or in a file."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TextIO

from ophglm_core.assistant import Assistant
from ophglm_core.fhir import bundle_lines

from .classify_output import Sink
from .gathered_output import GatheredSink, Lines, Write, file_of, software_of, stream_of


def is_fhir_name(path: Path) -> bool:
    """Whether a file's name says that it is FHIR."""
    return path.name.lower().endswith(".fhir.json")


def fhir_sink(assistant: Assistant, stream: TextIO | None) -> Sink:
    """Return what writes a Bundle to a stream, or to standard output."""
    return GatheredSink(assistant.labels, stream_of(_lines(assistant), stream))


def fhir_file(assistant: Assistant) -> Write:
    """Return what writes a file of a Bundle from the rows a picture."""
    return file_of(_lines(assistant))


def _lines(assistant: Assistant) -> Lines:
    issued = datetime.now(UTC).isoformat(timespec="seconds")
    return partial(bundle_lines, software=software_of(assistant), issued=issued)
