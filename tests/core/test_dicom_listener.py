"""The listener on the loopback, asked by pynetdicom's own sender."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ophglm_core.errors import InputError, UsageError

from ..conftest import draw_fundus
from ..dicom_sender import SECONDARY_CAPTURE, association, store
from .test_dicom import dataset

pytest.importorskip("pynetdicom")

from ophglm_core import dicom_listener
from ophglm_core.dicom_listener import DicomListener

OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0xA700, 0xC000


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.asarray(draw_fundus((150, 140)))


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DicomListener]:
    said: list[str] = []
    inbox = tmp_path_factory.mktemp("listener") / "inbox"
    with DicomListener(inbox, port=0, tell=said.append) as made:
        made.said = said  # type: ignore[attr-defined]
        yield made


@pytest.fixture
def inbox(listener: DicomListener) -> Iterator[Path]:
    """The folder, empty, with nothing said yet."""
    listener.said.clear()  # type: ignore[attr-defined]
    for path in listener._inbox.iterdir():
        path.unlink()
    yield listener._inbox
    assert not [path for path in listener._inbox.iterdir() if path.name.startswith(".")]


def said(listener: DicomListener) -> list[str]:
    found: list[str] = listener.said  # type: ignore[attr-defined]
    return found


def test_echo(listener: DicomListener, inbox: Path) -> None:
    with association(listener.address) as made:
        assert made.send_c_echo().Status == 0


def test_an_instance_becomes_a_file(
    listener: DicomListener, inbox: Path, pixels: np.ndarray
) -> None:
    import pydicom

    photograph = dataset(pixels, PatientID="7", ImageLaterality="L")
    capture = dataset(pixels, SOPClassUID=SECONDARY_CAPTURE)
    assert store(listener.address, photograph, capture) == [0, 0]
    assert len(list(inbox.iterdir())) == 2
    for sent in (photograph, capture):
        kept = pydicom.dcmread(inbox / f"{sent.SOPInstanceUID}.dcm")
        assert kept == sent
        assert kept.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
        assert kept.file_meta.MediaStorageSOPClassUID == sent.SOPClassUID
    assert said(listener) == []


def test_another_called_title_is_refused(listener: DicomListener, inbox: Path) -> None:
    with association(listener.address, "OTHER") as made:
        assert made.is_rejected
    until(lambda: said(listener))
    assert said(listener) == ["CAMERA (127.0.0.1) was refused: it calls OTHER, and this is OPHGLM."]


def test_two_at_once(listener: DicomListener, inbox: Path, pixels: np.ndarray) -> None:
    sent = [dataset(pixels) for _ in range(2)]
    with (
        association(listener.address) as one,
        association(listener.address) as two,
        ThreadPoolExecutor(2) as threads,
    ):
        assert one.is_established
        answers = threads.map(lambda m, d: m.send_c_store(d).Status, (one, two), sent)
        assert list(answers) == [0, 0]
    assert {path.stem for path in inbox.iterdir()} == {s.SOPInstanceUID for s in sent}


def test_the_same_instance_again(listener: DicomListener, inbox: Path, pixels: np.ndarray) -> None:
    photograph = dataset(pixels)
    store(listener.address, photograph)
    path = inbox / f"{photograph.SOPInstanceUID}.dcm"
    before = os.stat(path)
    assert store(listener.address, photograph) == [0]
    assert os.path.samestat(before, os.stat(path))
    photograph.PatientID = "other"
    assert store(listener.address, photograph) == [0]
    assert not os.path.samestat(before, os.stat(path))
    assert b"other" in path.read_bytes()


def test_one_that_came_as_one_with_its_command(
    listener: DicomListener, inbox: Path, pixels: np.ndarray
) -> None:
    photograph = dataset(pixels[:40, :40].copy())
    with association(listener.address) as made:
        command, *rest = pieces(made, photograph)
        values = [v for piece in (command, *rest) for v in piece.presentation_data_value_list]
        command.presentation_data_value_list = [list(value) for value in values]
        made.dul.send_pdu(command)
        assert answer(made) == 0
    assert (inbox / f"{photograph.SOPInstanceUID}.dcm").stat().st_size > 40 * 40 * 3


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("uid", ["../../evil", "1.2/3", "1..2", ".1", "1.2.", "a", "1\n2"])
def test_no_name_leads_out(
    listener: DicomListener, inbox: Path, pixels: np.ndarray, uid: str
) -> None:
    photograph = dataset(pixels)
    with association(listener.address) as made:
        for piece in pieces(made, photograph, uid):
            made.dul.send_pdu(piece)
        assert answer(made) == CANNOT_UNDERSTAND
        assert made.send_c_store(photograph).Status == 0
    assert [path.stem for path in inbox.iterdir()] == [photograph.SOPInstanceUID]
    assert {path.name for path in inbox.parent.iterdir()} == {"inbox"}
    assert "its SOP instance UID is none" in said(listener)[0]


def test_what_is_too_large_is_refused(
    listener: DicomListener, inbox: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_most", 50_000)
    large, small = dataset(pixels), dataset(pixels[:90, :90].copy())
    assert store(listener.address, large, small) == [OUT_OF_RESOURCES, 0]
    assert [path.stem for path in inbox.iterdir()] == [small.SOPInstanceUID]
    assert "is larger than" in said(listener)[0]


@pytest.mark.parametrize("kind", ["nearly full", "full"])
def test_a_full_disk_refuses_and_the_listener_goes_on(
    listener: DicomListener,
    inbox: Path,
    pixels: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    photograph = dataset(pixels)
    with association(listener.address) as made, monkeypatch.context() as patch:
        if kind == "nearly full":
            patch.setattr(dicom_listener.shutil, "disk_usage", lambda p: SimpleNamespace(free=1000))
        else:
            if not Path("/dev/full").exists():
                pytest.skip("no full device")
            real = Path.open

            def full(path: Path, mode: str) -> Any:
                real(path, mode).close()
                return open("/dev/full", "wb")

            patch.setattr(Path, "open", full)
        got = made.send_c_store(photograph)
        assert got.Status == OUT_OF_RESOURCES
        assert "full" in got.ErrorComment or "No space" in got.ErrorComment
        patch.undo()
        assert list(inbox.iterdir()) == []
        assert made.send_c_store(photograph).Status == 0
    assert len(said(listener)) == 1


def pieces(made: Any, instance: Any, uid: str | None = None) -> list[Any]:
    """Return the packets of a C-STORE request, which the test then sends itself."""
    from io import BytesIO

    from pynetdicom.dimse_messages import C_STORE_RQ
    from pynetdicom.dimse_primitives import C_STORE
    from pynetdicom.dsutils import encode

    made._reactor_checkpoint.clear()  # else its own thread takes the answer
    until(lambda: made._is_paused)
    [context] = [c for c in made.accepted_contexts if c.abstract_syntax == instance.SOPClassUID]
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = instance.SOPClassUID
    request.AffectedSOPInstanceUID = instance.SOPInstanceUID if uid is None else uid
    request.Priority = 2
    request.DataSet = BytesIO(encode(instance, False, True) or b"")
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    return list(message.encode_msg(context.context_id, 16382))


def answer(made: Any) -> int:
    _, message = made.dimse.get_msg(block=True)
    made._reactor_checkpoint.set()
    status: int = message.Status
    return status


def test_a_sender_that_breaks_off_leaves_nothing(
    listener: DicomListener, inbox: Path, pixels: np.ndarray
) -> None:
    with association(listener.address) as made:
        for piece in pieces(made, dataset(pixels))[:3]:
            made.dul.send_pdu(piece)
        until(lambda: list(inbox.glob(".*.part")))
        made.abort()
    until(lambda: not list(inbox.iterdir()))


@pytest.mark.parametrize("tag", ["CommandField", "CommandDataSetType", "AffectedSOPInstanceUID"])
def test_a_damaged_command_ends_its_association_alone(
    listener: DicomListener, inbox: Path, pixels: np.ndarray, tag: str
) -> None:
    from pydicom.datadict import tag_for_keyword

    mark = (tag_for_keyword(tag) or 0).to_bytes(4, "little")
    mark = mark[2:] + mark[:2]
    with association(listener.address) as made:
        sent = pieces(made, dataset(pixels))
        [[context, value]] = sent[0].presentation_data_value_list
        assert mark in value
        sent[0].presentation_data_value_list = [[context, value.replace(mark, b"\x00\x00\x99\x00")]]
        for piece in sent[:3]:
            made.dul.send_pdu(piece)
        made._reactor_checkpoint.set()
        if tag != "AffectedSOPInstanceUID":  # of which the answer would only come at the end
            until(lambda: made.is_aborted)
        made.abort()
    until(lambda: not listener._entity.active_associations)
    assert store(listener.address, dataset(pixels)) == [0]


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x01\0\xff\xff\xff\xffabc", b"\x01"])
def test_what_speaks_something_else(listener: DicomListener, inbox: Path, sent: bytes) -> None:
    with socket.create_connection(listener.address) as connection:
        connection.sendall(sent)
    until(lambda: not listener._entity.active_associations)
    test_echo(listener, inbox)


def test_what_is_being_sent_is_still_taken_at_the_end(tmp_path: Path, pixels: np.ndarray) -> None:
    listener = DicomListener(tmp_path, port=0)
    photograph, address = dataset(pixels), listener.address
    with (
        association(address) as made,
        association(address) as idle,
        socket.create_connection(address),
        ThreadPoolExecutor(1) as thread,
    ):
        first, *rest = pieces(made, photograph)
        made.dul.send_pdu(first)
        made.dul.send_pdu(rest.pop(0))
        until(lambda: list(tmp_path.glob(".*.part")))
        closing = thread.submit(listener.close)
        until(lambda: listener._closing)
        for piece in rest:
            made.dul.send_pdu(piece)
        assert answer(made) == 0
        made.release()
        closing.result(timeout=20)
        until(lambda: idle.is_aborted)
    assert [path.name for path in tmp_path.iterdir()] == [f"{photograph.SOPInstanceUID}.dcm"]
    with association(address) as made:
        assert not made.is_established


def test_what_a_killed_listener_left_is_removed(tmp_path: Path) -> None:
    old, new, other = (
        tmp_path / n for n in (".1.2.0123abcd.part", ".1.3.0123abcd.part", ".x.part")
    )
    for path in (old, new, other):
        path.touch()
    os.utime(old, (0, 0))
    os.utime(other, (0, 0))
    DicomListener(tmp_path, port=0).close()
    assert set(tmp_path.iterdir()) == {new, other}


def test_bad_usage(listener: DicomListener, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Port \d+ of 127\.0\.0\.1 cannot be listened on"):
        DicomListener(tmp_path, port=listener.address[1])
    for host in ("nowhere.invalid", "a" * 70, "192.0.2.1"):  # the last one is no one's (RFC 5737)
        with pytest.raises(UsageError, match=rf"{host} cannot be listened on .* --host"):
            DicomListener(tmp_path, host=host)
    for aet in ("", "seventeen letters", "back\\slash", "眼"):
        with pytest.raises(UsageError, match="application entity title"):
            DicomListener(tmp_path, aet)
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="cannot be written into"):
            DicomListener(folder, port=0)
