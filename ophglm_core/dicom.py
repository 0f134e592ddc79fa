"""DICOM files of fundus photographs: the picture, and what the tags say of eye, patient and day.

Read through pydicom (extra `dicom`). Tags and their order: DICOM PS3.3 C.8.17.5 (Ocular Region
Imaged), PS3.6; laterality codes: CID 244.
"""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from .depth import to_eight_bits
from .errors import InputError
from .file_names import printable
from .files import Source, readable

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.pixels.decoders.base import Decoder
    from pydicom.uid import UID

SUFFIXES = frozenset({".dcm", ".dicom", ".ima"})
_EYES = {"R": "right", "L": "left"}
_SIDES = {"24028007": "right", "7771000": "left"}
_BOTH = {"B", "51440002"}
#: Storage classes that hold photographs, by the start of their UID: Ophthalmic Photography of 8 and
#: 16 bit, wide field; Secondary Capture with its multi-frame kinds; VL Endoscopic, Microscopic,
#: Slide-Coordinates and Photographic.
CLASSES = (
    *(f"1.2.840.10008.5.1.4.1.1.77.1.5.{n}" for n in (1, 2, 5, 6)),
    "1.2.840.10008.5.1.4.1.1.7",
    *(f"1.2.840.10008.5.1.4.1.1.7.{n}" for n in (1, 2, 3, 4)),
    *(f"1.2.840.10008.5.1.4.1.1.77.1.{n}" for n in (1, 2, 3, 4)),
)
_PLUGINS = ("pillow", "pylibjpeg", "pyjpegls")
#: gdcm alone reads lossless JPEG, but aborts on some damaged files, and Python with it.
_GDCM = """
import io, sys, numpy, pydicom.pixels
source = sys.argv[1] if sys.argv[1:] else io.BytesIO(sys.stdin.buffer.read())
frame = pydicom.pixels.pixel_array(source, index=0, decoding_plugin="gdcm")
numpy.save(sys.stdout.buffer, frame)
"""
_GDCM_SECONDS = 120


@dataclass(frozen=True)
class Origin:
    """Where a DICOM file belongs. issuer: who gave the patient's id (IssuerOfPatientID, else
    InstitutionName), as ids of two sites may be the same. study, instance: UIDs."""

    issuer: str | None = None
    study: str | None = None
    instance: str | None = None


@dataclass(frozen=True)
class Tags:
    """What a file says of its photograph besides the pixels.

    laterality: 'left', 'right', or 'both' where the tags name both eyes or contradict each other.
    acquired: the day, as 2024-05-03. remark: a sentence on what was not read, or not as expected.
    origin: None where the file is no DICOM.
    """

    laterality: str | None = None
    patient: str | None = None
    acquired: str | None = None
    remark: str | None = None
    origin: Origin | None = None


class DicomPicture:
    """An opened DICOM file: its size and tags are known, its pixels not yet decoded."""

    def __init__(self, path: Path, source: Source):
        """Read the tags.

        path: what the file is called. source: what it is read from. Raises InputError if the file
        is no photograph or pydicom is missing.
        """
        if util.find_spec("pydicom") is None:
            raise InputError(
                f"{path} is a DICOM file, which needs pydicom; run pip install 'ophglm[dicom]'."
            )
        import pydicom

        logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # a row says what is wrong
        self._path, self._source = path, source
        # A named .dcm file may lack the preamble; older devices wrote such.
        self._tags: Dataset = pydicom.dcmread(
            readable(source),
            stop_before_pixels=True,
            defer_size=1 << 16 if isinstance(source, Path) else None,
            force=True,
        )
        kind = str(self._tags.get("SOPClassUID") or "")
        if kind and kind not in CLASSES:
            name = _plain(pydicom.uid.UID(kind).name.removesuffix(" Storage"))
            raise InputError(f"{path} is no fundus photograph but DICOM of the kind {name}.")
        if not self._tags.get("Rows") or not self._tags.get("Columns"):
            raise InputError(f"{path} is a DICOM file without a picture.")
        #: Width and height in pixels.
        self.size = int(self._tags.Columns), int(self._tags.Rows)

    @property
    def header(self) -> Dataset:
        """All that the file says besides the pixels."""
        return self._tags

    def tags(self) -> Tags:
        """Return laterality, patient and day of acquisition."""
        frames = int(self._tags.get("NumberOfFrames") or 1)
        return Tags(
            laterality=_laterality(self._tags),
            patient=_text(self._tags, "PatientID"),
            acquired=_day(self._tags),
            remark=f"Only the first of its {frames} frames was read." if frames > 1 else None,
            origin=Origin(
                _text(self._tags, "IssuerOfPatientID") or _text(self._tags, "InstitutionName"),
                _text(self._tags, "StudyInstanceUID"),
                _text(self._tags, "SOPInstanceUID"),
            ),
        )

    def decode(self) -> Image.Image:
        """Return the first frame as RGB.

        Raises InputError if no installed decoder reads it.
        """
        values = self._frame()
        interpretation = str(self._tags.get("PhotometricInterpretation") or "")
        if interpretation == "PALETTE COLOR":
            from pydicom.pixels import apply_color_lut

            values = apply_color_lut(values, self._tags)
        stored = int(self._tags.get("BitsStored") or 8)
        # A stored depth below that of the words is the camera's; 16 of 16 need not be.
        known = None if interpretation == "PALETTE COLOR" or stored in (16, 32) else stored
        pixels = to_eight_bits(values, known)
        if interpretation == "MONOCHROME1":
            pixels = 255 - pixels
        return Image.fromarray(pixels).convert("RGB")

    def _frame(self) -> np.ndarray:
        meta = getattr(self._tags, "file_meta", None)
        syntax = meta.get("TransferSyntaxUID") if meta is not None else None
        if syntax is None:
            raise InputError(f"{self._path} does not say how its picture is compressed.")
        decoder = _decoder(syntax)
        if decoder is None:
            raise InputError(
                f"{self._path} is DICOM packed as {_plain(syntax.name)}, which is not read."
            )
        if not decoder.is_available:
            raise InputError(
                f"{self._path} is DICOM packed as {_plain(syntax.name)}; to read it run "
                "pip install 'ophglm[dicom]'."
            )
        if set(decoder.available_plugins) == {"gdcm"}:
            return self._decoded_apart()
        return self._decoded([p for p in _PLUGINS if p in decoder.available_plugins] or [""])

    def _decoded(self, plugins: list[str]) -> np.ndarray:
        """Return the first frame by the first of these decoders that can read it."""
        import pydicom
        from pydicom.pixels import pixel_array

        problem: Exception | None = None
        for plugin in plugins:
            try:
                return pixel_array(readable(self._source), index=0, decoding_plugin=plugin)
            except Exception as error:  # each decoder has its own
                problem = problem or error
        try:  # the frame alone is not found in files whose tags are not coded as they say
            whole = pydicom.dcmread(readable(self._source), force=True)
            return pixel_array(whole, index=0, decoding_plugin=plugins[0])
        except Exception:
            raise self._cannot_decode(str(problem)) from None

    def _decoded_apart(self) -> np.ndarray:
        """Return the first frame by gdcm in a process of its own, which may end as it likes."""
        packed = isinstance(self._source, bytes)
        try:
            done = subprocess.run(
                [sys.executable, "-c", _GDCM, *([] if packed else [os.path.abspath(self._path)])],
                input=self._source if isinstance(self._source, bytes) else b"",
                capture_output=True,
                check=True,
                timeout=_GDCM_SECONDS,
            )
            frame: np.ndarray = np.load(io.BytesIO(done.stdout), allow_pickle=False)
        except subprocess.CalledProcessError as error:
            raise self._cannot_decode(error.stderr.decode(errors="replace")) from None
        except subprocess.TimeoutExpired:
            raise self._cannot_decode("it takes too long") from None
        return frame

    def _cannot_decode(self, message: str) -> InputError:
        lines = message.split("\n") if message.strip() else ["no reason given"]
        last = next(line for line in reversed(lines) if line.strip())
        reason = _plain(last.partition(": ")[2] or last).rstrip(".")
        return InputError(f"{self._path} is DICOM that cannot be decoded ({reason}).")


def readable_syntaxes() -> list[UID]:
    """Return the transfer syntaxes that the installed decoders read."""
    from pydicom.uid import AllTransferSyntaxes

    found = ((syntax, _decoder(syntax)) for syntax in AllTransferSyntaxes)
    return [syntax for syntax, decoder in found if decoder is not None and decoder.is_available]


def _decoder(syntax: UID) -> Decoder | None:
    """Return pydicom's decoder of a transfer syntax, None if it has none that is to be used."""
    from pydicom.pixels import get_decoder

    try:
        # A deflated file has to be unpacked whole, and says nowhere how large it then is.
        return None if syntax.is_deflated else get_decoder(syntax)
    except NotImplementedError:
        return None


def _plain(text: str) -> str:
    """Return what a damaged file says as one line."""
    return printable(" ".join(text.split()))


def _text(tags: Dataset, name: str) -> str | None:
    return str(tags.get(name) or "").strip() or None


def _laterality(tags: Dataset) -> str | None:
    found = set(_named_eyes(tags))
    return (found.pop() if len(found) == 1 else "both") if found else None


def _named_eyes(tags: Dataset) -> Iterator[str]:
    for value in (tags.get("ImageLaterality"), *_frame_lateralities(tags), tags.get("Laterality")):
        letter = str(value or "").strip().upper()
        if letter in _EYES or letter in _BOTH:
            yield _EYES.get(letter, "both")
    for region in tags.get("AnatomicRegionSequence") or []:
        for modifier in region.get("AnatomicRegionModifierSequence") or []:
            code = str(modifier.get("CodeValue") or "")
            if code in _SIDES or code in _BOTH:
                yield _SIDES.get(code, "both")


def _frame_lateralities(tags: Dataset) -> Iterator[Any]:
    """Of the first frame: what holds for all frames, and what holds for that one."""
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in (tags.get(name) or [])[:1]:
            for anatomy in group.get("FrameAnatomySequence") or []:
                yield anatomy.get("FrameLaterality")


def _day(tags: Dataset) -> str | None:
    for name in ("AcquisitionDateTime", "AcquisitionDate", "ContentDate", "StudyDate"):
        digits = str(tags.get(name) or "")[:8]
        if len(digits) == 8 and digits.isdigit():
            return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
    return None
