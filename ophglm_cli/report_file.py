"""The HTML page of a run of `ophglm classify`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ophglm_core.errors import UsageError
from ophglm_core.files import write_text

if TYPE_CHECKING:
    from ophglm_core.assistant import Assistant


class ReportFile:
    """A page that is written at the end of a run, of all the run's rows."""

    def __init__(self, path: Path, assistant: Assistant):
        from ophglm_core.classification_report import ClassificationReport

        classifier = assistant.classifier
        self._path = path
        self._report = ClassificationReport(
            assistant.labels, classifier.thresholds, classifier.referable, assistant.model.identity
        )

    def add(self, row: dict[str, Any], image: Path | None = None) -> None:
        """Count a row, `Findings.to_json`'s values, of this photograph."""
        self._report.add(row, image)

    def write(self, passed_over: Mapping[str, int]) -> None:
        """Write the page atomically. Raises InputError if it cannot be written."""
        write_text(self._path, self._report.html(passed_over))


def check_report(path: Path, out: Path | None, overwrite: bool) -> None:
    """Raise UsageError for what speaks against writing a page there, before anything is
    computed."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"A report is an HTML page: {path} should end in .html.")
    if path.is_dir() or (path.exists() and not overwrite):
        raise UsageError(f"{path} is there already; give --overwrite, or another --report.")
    if out is not None and path.absolute() == out.absolute():
        raise UsageError(f"{path} cannot be both --report and --out.")
