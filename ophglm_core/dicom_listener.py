"""A DICOM listener: photographs that cameras and archives send become files in a folder.

The acceptor's side of C-ECHO and C-STORE (DICOM PS3.4 annexes A and B, PS3.7 9.1; status codes:
PS3.4 B.2.3) through pynetdicom (extra `listen`). Without TLS: what comes is not encrypted.
"""

from __future__ import annotations

import errno
import filecmp
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any, Self, cast

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dsutils import create_file_meta, encode_file_meta
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined, unused-ignore]

from .dicom import CLASSES, readable_syntaxes
from .errors import InputError, UsageError
from .file_names import printable

#: Bytes at most of one instance, and bytes that are left free on the disk, for the rows.
MOST_BYTES = 1 << 30
SPARE_BYTES = 64 << 20
#: So often, in bytes of an instance, it is looked how much is free.
_LOOK_EVERY = 4 << 20
#: Seconds that what is being sent may take once the listener ends, and that a sender then has to
#: release its association.
_FINISH, _RELEASE = 10.0, 1.0
#: A UID names a file, so no other character gets through.
_UID = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)
_UNFINISHED = re.compile(r"\.[0-9.]+\.[0-9a-f]{8}\.part", re.ASCII)
#: Seconds after which an unfinished file is no one's: a sender that is silent is cut off earlier.
_ABANDONED = 3600.0

_SUCCESS = 0x0000
_OUT_OF_RESOURCES = 0xA700
_CANNOT_UNDERSTAND = 0xC000


class _RefusedError(Exception):
    """An instance is not taken. status: the answer to C-STORE."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status = status


class _Arriving(BytesIO):
    """An instance's data set as it comes: written to a hidden file and not held in memory.

    Once it is refused, the rest is read and dropped, as the answer can only follow it.
    """

    def __init__(self, association: Association, refused: _RefusedError | None = None):
        super().__init__()
        self.association, self._refused = association, refused
        self._path: Path | None = None
        self._size = self._looked = 0
        # The association ends in another thread than the one that writes.
        self._lock = Lock()

    def open(self, path: Path, head: bytes, most: int) -> Self:
        """Begin the file with its meta information. most: bytes of the data set at most."""
        self._most = most
        try:
            self._stream = path.open("xb")
            self._path = path
            self._stream.write(head)
            self._see_space(path)
        except (OSError, _RefusedError) as problem:
            self._refuse(problem)
        return self

    def write(self, data: Any, /) -> int:
        """Take a part of it. Raises nothing, as that would break the association."""
        with self._lock:
            if self._refused is None and self._path is not None:
                try:
                    self._size += len(data)
                    if self._size > self._most:
                        megabytes = self._most / 1e6
                        reason = f"it is larger than {megabytes:,.0f} MB"
                        raise _RefusedError(_OUT_OF_RESOURCES, reason)
                    self._stream.write(data)
                    if self._size - self._looked > _LOOK_EVERY:
                        self._looked = self._size
                        self._see_space(self._path)
                except (OSError, _RefusedError) as problem:
                    self._refuse(problem)
        return len(data)

    def _see_space(self, path: Path) -> None:
        if shutil.disk_usage(path.parent).free < SPARE_BYTES:
            raise _RefusedError(_OUT_OF_RESOURCES, "the disk is full")

    def _refuse(self, problem: OSError | _RefusedError) -> None:
        if isinstance(problem, OSError):
            problem = _RefusedError(_OUT_OF_RESOURCES, f"it cannot be written ({problem.strerror})")
        self._refused = self._refused or problem
        if self._path is not None:
            with suppress(OSError):  # of what its buffer still holds
                self._stream.close()
            with suppress(OSError):
                self._path.unlink()
            self._path = None

    def finish(self, name: Path) -> None:
        """Give the whole file its name. The same instance sent again stays what it is.

        Raises _RefusedError.
        """
        with self._lock:
            if self._refused is None and self._path is not None:
                try:
                    if not self._size:
                        raise _RefusedError(_CANNOT_UNDERSTAND, "it has no data set")
                    self._stream.close()
                    if name.is_file() and filecmp.cmp(self._path, name, shallow=False):
                        self._path.unlink()
                    else:
                        self._path.replace(name)
                    self._path = None
                except (OSError, _RefusedError) as problem:
                    self._refuse(problem)
            if self._refused is not None:
                raise self._refused

    def drop(self) -> None:
        """Remove it, if it is unfinished."""
        with self._lock:
            if self._path is not None:
                self._refuse(_RefusedError(_OUT_OF_RESOURCES, "the association ended"))


class _Receiver(DIMSEServiceProvider):
    """Lets a data set go to the disk as it comes, where pynetdicom would hold it in memory.

    begin: makes what a data set is written to, from association, context and instance UID.
    """

    def __init__(self, association: Association, begin: Callable[..., _Arriving]):
        super().__init__(association)
        self._begin = begin

    def receive_primitive(self, primitive: Any) -> None:
        """Take a packet."""
        try:
            message = self.message
            if (
                message is not None
                and message.context_id is not None
                and type(message.data_set) is BytesIO
            ):
                uid = message.command_set.get("AffectedSOPInstanceUID")
                message.data_set = self._begin(self.assoc, message.context_id, uid)
            super().receive_primitive(primitive)
        except Exception:
            # A damaged command raises what it happens to, and pynetdicom's thread would end with a
            # traceback; it is what pynetdicom calls an invalid PDU, and ends the association.
            self.dul.event_queue.put("Evt19")


class DicomListener:
    """Listens from when it is made until it is closed; each instance that it takes is a file
    INBOX/<SOPInstanceUID>.dcm, there as a whole or not at all, before success is answered.

    What has the UID of an earlier instance and other content takes its place.
    """

    def __init__(
        self,
        inbox: Path,
        aet: str = "OPHGLM",
        host: str = "127.0.0.1",
        port: int = 11112,
        tell: Callable[[str], None] = lambda sentence: None,
        most_bytes: int = MOST_BYTES,
    ):
        """inbox: a folder, made if it is not there. aet: the application entity title that senders
        must call. port: 0 takes a free one. tell: is given a sentence for each refusal, from any
        thread. most_bytes: of an instance.

        Raises UsageError if the title, host or port cannot be used, InputError if the folder.
        """
        self._inbox, self._tell, self._most = inbox, tell, most_bytes
        self._closing = False
        self._arriving: set[_Arriving] = set()
        _config.LOG_HANDLER_LEVEL = "none"  # else each packet is described for a log no one reads
        self._entity = _entity(aet)
        self._entity.require_called_aet = True
        for kind in CLASSES:
            self._entity.add_supported_context(kind, readable_syntaxes())
        self._entity.add_supported_context(Verification)
        _make_ready(inbox)
        handlers: list[Any] = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_CONN_OPEN, self._opened),
            (evt.EVT_CONN_CLOSE, self._left),
            (evt.EVT_REJECTED, self._rejected),
        ]
        place = _resolved(host, port)
        try:
            # None only where it blocks
            self._server = cast(
                Any, self._entity.start_server(place, block=False, evt_handlers=handlers)
            )
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise _no_host(host, error.strerror) from None
            raise UsageError(
                f"Port {port} of {printable(host)} cannot be listened on ({error.strerror}); name "
                "another one with --port."
            ) from None
        #: Where it listens: an IP address and a port.
        self.address: tuple[str, int] = self._server.server_address[:2]
        self.aet = aet.strip()

    def _opened(self, event: evt.Event) -> None:
        event.assoc.dimse = _Receiver(event.assoc, self._begin)

    def _begin(self, association: Association, context_id: int, uid: object) -> _Arriving:
        accepted = {context.context_id: context for context in association.accepted_contexts}
        context, name = accepted.get(context_id), str(uid)
        if context is None or not _UID.fullmatch(name) or len(name) > 64:
            reason = "its SOP instance UID is none"
            return _Arriving(association, _RefusedError(_CANNOT_UNDERSTAND, reason))
        if self._closing:
            return _Arriving(
                association, _RefusedError(_OUT_OF_RESOURCES, "the listener is ending")
            )
        meta = create_file_meta(
            sop_class_uid=UID(str(context.abstract_syntax)),
            sop_instance_uid=UID(name),
            transfer_syntax=context.transfer_syntax[0],
        )
        head = bytes(128) + b"DICM" + encode_file_meta(meta)
        hidden = self._inbox / f".{name}.{secrets.token_hex(4)}.part"
        arriving = _Arriving(association)
        self._arriving.add(arriving)
        return arriving.open(hidden, head, self._most)

    def _store(self, event: evt.Event) -> int | Dataset:
        """Answer a C-STORE request with its status."""
        request: Any = event.request
        uid, arriving = request.AffectedSOPInstanceUID, request.DataSet
        if not isinstance(arriving, _Arriving):  # so small that it came as one with its command
            arriving = self._begin(event.assoc, event.context.context_id, uid)
            arriving.write(request.DataSet.getvalue())
        try:
            arriving.finish(self._inbox / f"{uid}.dcm")
        except _RefusedError as refused:
            self._tell(f"{printable(str(uid))} of {_sender(event)} was refused: {refused}.")
            answer = Dataset()
            answer.Status = refused.status
            answer.ErrorComment = str(refused)[:64]
            return answer
        finally:
            self._arriving.discard(arriving)
        return _SUCCESS

    def _left(self, event: evt.Event) -> None:
        """Remove what an association that has ended did not send to its end."""
        for arriving in [a for a in self._arriving.copy() if a.association is event.assoc]:
            arriving.drop()
            self._arriving.discard(arriving)
        if event.assoc.requestor.primitive is None:
            # It never asked for an association, for which pynetdicom would still wait half a
            # minute, and count it among those that it has.
            waited_for: Any = event.assoc.dul.to_user_queue
            waited_for.put(None)

    def _rejected(self, event: evt.Event) -> None:
        asked: Any = event.assoc.requestor.primitive
        called = str(asked.called_ae_title).strip()
        if called != self.aet:
            self._tell(
                f"{_sender(event)} was refused: it calls {printable(called)}, and this is "
                f"{self.aet}."
            )

    def close(self) -> None:
        """Take no more: wait for what is being sent, then end the associations."""
        self._closing = True
        self._server.shutdown()
        last = time.monotonic() + _FINISH
        while self._arriving and time.monotonic() < last:
            time.sleep(0.02)
        last = time.monotonic() + _RELEASE
        while self._entity.active_associations and time.monotonic() < last:
            time.sleep(0.02)
        for association in self._entity.active_associations:
            connection = association.dul.socket
            if connection is not None and not association.is_established:  # it never asked for one
                connection.close()
        self._entity.shutdown()
        for arriving in self._arriving.copy():
            arriving.drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _entity(aet: str) -> AE:
    try:
        return AE(aet.strip())
    except ValueError:
        raise UsageError(
            f"'{printable(aet)}' is no application entity title: 1 to 16 ASCII characters without "
            "a backslash."
        ) from None


def _resolved(host: str, port: int) -> Any:
    """Return the address of a host, of IPv4 where it has one."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise _no_host(host, error.strerror) from None
    except UnicodeError:
        raise _no_host(host, "no such name") from None
    return min(found, key=lambda entry: entry[0] != socket.AF_INET)[4]


def _no_host(host: str, reason: str | None) -> UsageError:
    return UsageError(
        f"{printable(host)} cannot be listened on ({reason}); give an address of this machine with "
        "--host."
    )


def _make_ready(inbox: Path) -> None:
    """Make the folder, for its owner alone, and remove what a killed listener left in it."""
    try:
        if not inbox.exists():
            inbox.mkdir(mode=0o700, parents=True)
        for path in inbox.iterdir():
            if _UNFINISHED.fullmatch(path.name):
                with suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > _ABANDONED:
                        path.unlink()
        if not os.access(inbox, os.W_OK | os.X_OK):
            raise PermissionError(0, "Permission denied")
    except OSError as error:
        raise InputError(f"{inbox} cannot be written into ({error.strerror}).") from None


def _sender(event: evt.Event) -> str:
    """Return who sends, as its title and address."""
    requestor = event.assoc.requestor
    return f"{printable(str(requestor.ae_title).strip())} ({requestor.address})"
