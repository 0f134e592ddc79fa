"""DICOM Structured Reports in a folder: of each study (`ophglm classify --format sr`), or of each
picture as it comes (`ophglm listen --sr`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ophglm_core.assistant import Assistant
from ophglm_core.errors import InputError, UsageError
from ophglm_core.findings import Findings
from ophglm_core.patients import Row

from .gathered_output import Write, software_of
from .packages import need_packages
from .part_file import part_of
from .terminal import stderr


def need_reports() -> None:
    """Raise UsageError if a package that reports need is not there."""
    need_packages("pydicom", "highdicom", extra="dicom")


def check_folder(folder: Path, overwrite: bool) -> None:
    """Raise UsageError if reports cannot be written there, or are there already.

    A run that was stopped has left its rows beside the folder, and goes on.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder; reports are files of their own, one a study.")
    part = part_of(Path(os.path.realpath(folder)))
    if folder.exists() and any(folder.iterdir()) and not (overwrite or part.exists()):
        raise UsageError(
            f"{folder} has files already; give --overwrite, which replaces reports of the same "
            "name, or another --out."
        )


def sr_folder(assistant: Assistant) -> Write:
    """Return what writes a report a study into a folder from the rows a picture."""

    def write(folder: Path, rows: Iterator[Row]) -> None:
        from ophglm_core.structured_report import study_reports

        left_out: list[str] = []
        written = 0
        for report in study_reports(rows, software_of(assistant), left_out):
            report.write(folder)
            written += 1
        if left_out:
            many = "1 picture is" if len(left_out) == 1 else f"{len(left_out)} pictures are"
            stderr.print(
                f"{many} in no report, which can only refer to DICOM files of a study; the first: "
                f"{left_out[0]}",
                markup=False,
                style="yellow",
            )
        if left_out and not written:
            raise InputError("No report was written: no picture is a DICOM file of a study.")

    return write


def picture_reports(
    assistant: Assistant, folder: Path, tell: Callable[[str], None]
) -> Callable[[Findings], None]:
    """Return what writes a report of one picture into a folder, or tells why there is none."""
    from ophglm_core.structured_report import picture_report

    software = software_of(assistant)

    def write(findings: Findings) -> None:
        if findings.status == "error":
            return
        try:
            report = picture_report(findings.to_json(assistant.labels), software)
        except InputError as error:
            tell(f"There is no report: {error}")
        else:
            report.write(folder)

    return write
