"""`ophglm listen`: a row for each photograph that is sent by DICOM."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer

from .appending import Out, Quiet, Tell
from .common_options import Model


def listen(
    inbox: Annotated[
        Path, typer.Argument(help="A folder for what is sent; made if it is not there.")
    ],
    out: Out,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="To listen on; 0 takes a free one.")
    ] = 11112,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for all of this machine.")
    ] = "127.0.0.1",
    aet: Annotated[
        str, typer.Option(help="Application entity title; who calls another is refused.")
    ] = "OPHGLM",
    sr: Annotated[
        Path | None,
        typer.Option(
            help="Also write a DICOM Structured Report of each photograph into this folder."
        ),
    ] = None,
    model: Model = None,
    quiet: Quiet = False,
) -> None:
    """Take photographs sent by DICOM, classify them, and append their rows to a file.

    Each is kept as INBOX/UID.dcm; those that are there without a row come first. Ctrl-C or SIGTERM
    ends it, and the same command goes on from there. Without TLS, so for a network that is trusted.
    """
    from .appending import append_rows
    from .packages import need_packages

    need_packages("pynetdicom", "pydicom", "watchfiles", extra="listen")
    if sr is not None:
        _check_reports(sr, inbox)
    from ophglm_core.dicom_listener import DicomListener

    # What a sender gets wrong is said by the row or the refusal, in a sentence.
    warnings.filterwarnings("ignore", module="pydicom")

    @contextmanager
    def source(tell: Tell) -> Iterator[str]:
        with DicomListener(inbox, aet, host, port, tell) as listener:
            address, number = listener.address
            if not ip_address(address).is_loopback:
                tell(
                    "DICOM without TLS is not encrypted, and whoever reaches this port can store "
                    "pictures."
                )
            yield f"Listening on {address}:{number} as {listener.aet}, into {inbox}"

    append_rows(inbox, out, model, source, quiet, reports=sr)


def _check_reports(folder: Path, inbox: Path) -> None:
    """Raise UsageError if reports cannot be made, or would be taken for photographs that came."""
    from ophglm_core.errors import UsageError

    from .sr_output import need_reports

    need_reports()
    if folder.resolve().is_relative_to(inbox.resolve()):
        raise UsageError(f"{folder} lies in {inbox}; name a folder for reports that does not.")
