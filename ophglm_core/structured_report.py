"""Findings as DICOM Structured Reports: of each study a Measurement Report (PS3.16 TID 1500).

Made by highdicom (extra `dicom`) as Comprehensive 3D SR, the storage class that IHE's AI Results
names. What is said, and its codes: `observations`; each is a measurement group (TID 1501). No
conformance to a profile is claimed: there is none for fundus photographs.
"""

from __future__ import annotations

import io
import json
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.valuerep import DA, TM

from .errors import InputError
from .file_names import from_printable, printable
from .files import write_bytes
from .findings import NOTICE
from .observations import (
    CONDITION,
    EYE,
    METHOD,
    OWN,
    SIDES,
    Code,
    Observation,
    Software,
    eye_text,
    observations_of,
    referral,
)
from .patients import Patient, Row, by_study, patient_key
from .picture_files import dicom_header

_NAME = "ophglm"
#: What a viewer's list of series shows.
_SERIES = "Automated findings for research, not a diagnosis (ophglm)"
#: Behind what cameras number.
_SERIES_NUMBER = 900
_NOT_DETERMINED = Code(OWN, "not-determined", "not determined")
_INTERPRETATION = Code(OWN, "screening", "result of screening")
_THRESHOLD = codes.DCM.ThresholdValue
#: What the modules of patient and study must have, if empty (PS3.3 C.7.1.1, C.7.2.1), by its kind.
_REQUIRED: dict[str, Callable[[str], object]] = {
    **dict.fromkeys(("PatientBirthDate", "StudyDate"), DA),
    "StudyTime": TM,
    **dict.fromkeys(("PatientID", "PatientName", "PatientSex", "AccessionNumber"), str),
    **dict.fromkeys(("StudyID", "ReferringPhysicianName"), str),
}
#: What a reference to a picture consists of.
_REFERENCE = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_UTF_8 = "ISO_IR 192"


@dataclass(frozen=True)
class _Picture:
    """A picture's row, and the tags of its file."""

    row: Row
    header: Dataset

    def reference(self) -> SourceImageForMeasurementGroup:
        frames = int(self.header.get("NumberOfFrames") or 1)
        return SourceImageForMeasurementGroup(
            self.header.SOPClassUID, self.header.SOPInstanceUID, [1] if frames > 1 else None
        )


@dataclass(frozen=True)
class Report:
    """A report as a file. uid: its SOP instance UID, the same whenever study, pictures and software
    are. encoded: the file's content."""

    uid: str
    encoded: bytes

    def write(self, folder: Path) -> Path:
        """Write it as FOLDER/<uid>.dcm, atomically, and return that path.

        Raises InputError if it cannot be written.
        """
        path = folder / f"{self.uid}.dcm"
        write_bytes(path, self.encoded)
        return path


def study_reports(rows: Iterable[Row], software: Software, left_out: list[str]) -> Iterator[Report]:
    """Yield a report of each DICOM study: what its files say of patient and study, and what was
    found in them.

    rows: `Findings.to_json`'s values. left_out: is given a sentence for each picture that no report
    can refer to; those that could not be read at all are passed over.
    """
    for studies in by_study(rows).values():
        for group in studies.values():
            pictures = {}
            for row in group:
                if row["status"] == "error":
                    continue
                try:
                    picture = _picture(row)
                except InputError as error:
                    left_out.append(str(error))
                else:  # a copy of the same file is the same instance
                    pictures[str(picture.header.SOPInstanceUID)] = picture
            try:
                if pictures:
                    yield _report(list(pictures.values()), software)
            except InputError as error:
                left_out += [str(error)] * len(pictures)


def picture_report(row: Row, software: Software) -> Report:
    """Return a report of one picture. row: `Findings.to_json`'s values.

    Raises InputError if no report can refer to it.
    """
    return _report([_picture(row)], software)


def _picture(row: Row) -> _Picture:
    """Read a picture's tags once more. Raises InputError if no report can refer to it."""
    name = row["image"]
    header = dicom_header(Path(from_printable(name)))
    with _damage(name):
        missing = [keyword for keyword in _REFERENCE if not header.get(keyword)]
        if missing:
            raise InputError(f"{name} has no {', '.join(missing)}.")
        origin = row.get("dicom") or {}
        found = (origin.get("study"), origin.get("instance"))
        if found != (header.StudyInstanceUID, header.SOPInstanceUID):
            raise InputError(f"{name} is not what it was when it was classified.")
        header.decode()
        for keyword, kind in _REQUIRED.items():
            if not _is_valid(header.get(keyword), kind):
                setattr(header, keyword, "")
        if header.PatientSex not in ("F", "M", "O"):
            header.PatientSex = ""
    return _Picture(row, header)


def _is_valid(value: object, kind: Callable[[str], object]) -> bool:
    """Whether a tag is there and is what it is to be; old systems write a date as 00000000."""
    try:
        kind(str(value or ""))
    except ValueError:
        return False
    return value is not None


def _report(pictures: list[_Picture], software: Software) -> Report:
    """pictures: of one study. Raises InputError if their tags are such that none can be made."""
    with _damage(", ".join(picture.row["image"] for picture in pictures)):
        made = _document(pictures, software)
        encoded = io.BytesIO()
        made.save_as(encoded)
    return Report(str(made.SOPInstanceUID), encoded.getvalue())


@contextmanager
def _damage(names: str) -> Iterator[None]:
    """Turn whatever goes wrong with the tags of pictures into an InputError of one sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they tell a name without ^, and what is left out
            yield
    except InputError:
        raise
    except Exception as error:  # each library raises what it happens to meet
        reason = printable(" ".join(str(error).split())).rstrip(".") or type(error).__name__
        raise InputError(f"The tags of {names} do not make a report ({reason}).") from None


def _document(pictures: list[_Picture], software: Software) -> Comprehensive3DSR:
    study = str(pictures[0].header.StudyInstanceUID)
    made_by = json.dumps(
        [software.model, software.version, dict(software.thresholds), software.referable]
    )
    instances = sorted(str(picture.header.SOPInstanceUID) for picture in pictures)
    uid = _uid("report", made_by, study, *instances)
    whole = Patient(patient_key(pictures[0].row))
    groups: list[MeasurementsAndQualitativeEvaluations] = []
    for picture in pictures:
        whole.add(picture.row)
        for said in observations_of(picture.row, software):
            track = _uid(uid, str(len(groups)))
            groups.append(_group(said, track, [picture], picture.row["eye"], software))
    said_of_all = referral(whole, software)
    if said_of_all is not None:
        track = _uid(uid, str(len(groups)))
        groups.append(_group(said_of_all, track, pictures, None, software))
    content = MeasurementReport(
        ObservationContext(observer_device_context=_observer(software)),
        procedure_reported=codes.DCM.OphthalmicPhotography,
        imaging_measurements=groups,
    )
    content[0].ContentSequence.insert(-1, _comment(NOTICE))  # the measurements come last
    return Comprehensive3DSR(
        evidence=[picture.header for picture in pictures],
        content=content,
        series_instance_uid=_uid("series", made_by, study),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=uid,
        instance_number=1,
        series_description=_SERIES,
        manufacturer=_NAME,
        manufacturer_model_name=software.model[:64],
        software_versions=software.version,
        # A clinician completes and verifies it, and makes it final.
        is_complete=False,
        is_final=False,
        is_verified=False,
        coding_schemes=[CodingSchemeIdentificationItem(OWN, name="codes of ophglm's own")],
        specific_character_set=_UTF_8,
    )


def _group(
    said: Observation,
    track: str,
    pictures: list[_Picture],
    eye: str | None,
    software: Software,
) -> MeasurementsAndQualitativeEvaluations:
    """Return what is said once as a measurement group. track: its UID."""
    measurements, evaluations = [], []
    if said.probability is not None:
        measurements.append(Measurement(_coded(said.code), said.probability, codes.UCUM.NoUnits))
    else:
        evaluations.append(
            QualitativeEvaluation(_coded(said.code), _coded(said.answer or _NOT_DETERMINED))
        )
    if said.threshold is not None:
        measurements.append(Measurement(_THRESHOLD, said.threshold, codes.UCUM.NoUnits))
    if said.condition is not None:
        evaluations.append(QualitativeEvaluation(_coded(CONDITION), _coded(said.condition)))
    evaluations += [
        QualitativeEvaluation(_coded(_INTERPRETATION), _coded(code)) for code in said.interpretation
    ]
    whose = eye_text(pictures[0].row) if eye else ""
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=track, identifier=f"{said.text} ({whose})" if whose else said.text
        ),
        method=_coded(METHOD),
        algorithm_id=AlgorithmIdentification(
            name=_NAME,
            version=software.version,
            parameters=[f"model and the start of its weights' SHA-256: {software.model}"],
            family=codes.DCM.ArtificialIntelligence,
        ),
        finding_sites=[FindingSite(_coded(EYE), laterality=_coded(SIDES[eye]))] if eye else None,
        measurements=measurements,
        qualitative_evaluations=evaluations,
        source_images=[picture.reference() for picture in pictures],
    )
    beside = said.answer_text if said.answer and said.answer_text != said.answer.meaning else None
    for text in (beside, said.absent, said.note):
        if text:
            group[0].ContentSequence.append(_comment(text))
    return group


def _observer(software: Software) -> ObserverContext:
    identity = DeviceObserverIdentifyingAttributes(
        uid=_uid("device", software.model, software.version),
        name=_NAME,
        model_name=software.model,
    )
    return ObserverContext(codes.DCM.Device, identity)


def _comment(text: str) -> TextContentItem:
    return TextContentItem(codes.DCM.Comment, text, RelationshipTypeValues.CONTAINS)


def _coded(code: Code) -> CodedConcept:
    return CodedConcept(code.value, code.scheme, code.meaning[:64])


def _uid(*parts: str) -> str:
    """Return a UID that is the same whenever the parts are (PS3.5 B.2: a UUID as a UID)."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(parts)).int}"
