"""What `watch` and `listen` share: rows that are appended as pictures come, until it is stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ophglm_core.arrivals import State
    from ophglm_core.assistant import Assistant
    from ophglm_core.conditions import LabelSet
    from ophglm_core.findings import Findings

    from .row_log import RowLog

Out = Annotated[
    Path, typer.Option(help="Append rows to this file, .csv or .jsonl; a restart goes on.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say only what could not be read.")]

#: Says a sentence that is not to be missed.
Tell = Callable[[str], None]


def append_rows(
    folder: Path,
    out: Path,
    model: str | None,
    source: Callable[[Tell], AbstractContextManager[str]],
    quiet: bool = False,
    poll: bool = False,
    reports: Path | None = None,
) -> None:
    """Append a row for each picture that is in a folder or comes into it, until a signal.

    source: what brings the pictures, for as long as its block lasts; gives what is being done as
    the beginning of a sentence. poll: look through the folder every few seconds. reports: a folder
    for a DICOM report of each picture, which is there before its row.
    """
    import ophglm_core as ophglm
    from ophglm_core.arrivals import arrivals
    from ophglm_core.findings import NOTICE

    from .row_log import RowLog
    from .sr_output import picture_reports
    from .terminal import stderr

    def tell(sentence: str) -> None:
        stderr.print(sentence, markup=False, style="yellow")

    assistant = ophglm.load(model)
    before = picture_reports(assistant, reports, tell) if reports is not None else None
    with RowLog(out, assistant.labels) as log, stopping() as stop, source(tell) as doing:
        stderr.print(NOTICE, style="dim")
        if not quiet:
            stderr.print(
                f"{doing}; {log.pictures} pictures have rows in {out}. Ctrl-C ends.",
                markup=False,
            )
        coming = arrivals(folder, log.holds, stop, poll=poll, tell=tell)
        added = classify_arrivals(assistant, log, coming, stop, quiet, before)
    if not quiet:
        stderr.print(f"Stopped; {added} rows added.")


@contextmanager
def stopping() -> Iterator[Event]:
    """Give an event that Ctrl-C and SIGTERM set; the second time they do what they did before."""
    stop = Event()
    before: dict[int, signal._HANDLER] = {}

    def set_it(number: int, frame: object) -> None:
        stop.set()
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, set_it)
    try:
        yield stop
    finally:
        restore()


def classify_arrivals(
    assistant: Assistant,
    log: RowLog,
    coming: Iterable[list[tuple[Path, State]]],
    stop: Event,
    quiet: bool = False,
    before: Callable[[Findings], None] | None = None,
) -> int:
    """Classify pictures as they come, until `stop` is set, and return how many rows were added.

    before: is given the findings of each before its row is there, so that a row means that what it
    does is done.
    """
    from .terminal import stderr

    added = 0
    for wave in coming:
        found = assistant.classifier.classify([path for path, _ in wave])
        for (path, state), findings in zip(wave, found, strict=True):
            if findings.status == "error" and not os.path.exists(path):
                continue  # taken away meanwhile: there is nothing to say of it
            if before is not None:
                before(findings)
            log.append(findings, path, state)
            added += 1
            if findings.status == "error" or not quiet:
                style = None if findings.status == "ok" else "yellow"
                stderr.print(line_of(findings, assistant.labels), style=style, markup=False)
            if stop.is_set():
                return added
    return added


def line_of(findings: Findings, labels: LabelSet) -> str:
    """Return what a picture gave as one line, with the time of day."""
    from ophglm_core.file_names import printable
    from ophglm_core.wording import percent

    now = f"{datetime.now():%H:%M:%S}"
    if findings.status == "error":
        return f"{now} {printable(findings.message or '')}"
    if findings.status == "ungradable":
        said = findings.message or ""
    else:
        shown = findings.diseases or findings.positive
        parts = [f"{labels[key].name} {percent(findings.probabilities[key])}" for key in shown]
        said = ", ".join(parts) or "uncertain, nothing reaches its threshold"
        said = f"flagged: {said}" if findings.diseases else said
        said += "; referable" if findings.referable else ""
    return f"{now} {printable(findings.image)}: {printable(said)}"
