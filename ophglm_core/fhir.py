"""Findings as a FHIR R4 Bundle: a preliminary DiagnosticReport a study, with its Observations.

Plain values, made for FHIR 4.0.1 (hl7.org/fhir/R4). What is said, and its codes: `observations`.
No profile is claimed: HL7's eye care guide has none for fundus photographs.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any

from .findings import NOTICE
from .observations import (
    CONDITION,
    DICOM,
    EYE,
    ICD10,
    LOINC,
    METHOD,
    OWN,
    SIDES,
    SNOMED,
    Code,
    Observation,
    Software,
    eye_text,
    observations_of,
    referral,
)
from .patients import NAME, TAGS, Patient, PatientKey, Row, by_study

Resource = dict[str, Any]

_SYSTEMS = {
    DICOM: "http://dicom.nema.org/resources/ontology/DCM",
    LOINC: "http://loinc.org",
    SNOMED: "http://snomed.info/sct",
    ICD10: "http://hl7.org/fhir/sid/icd-10",
}
_UCUM = "http://unitsofmeasure.org"
_BODY_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/bodySite"
#: How a patient without a number is called in an identifier's type.
_KNOWN_BY = {NAME: "common part of the pictures' file names", TAGS: "patient's number"}


def bundle_lines(rows: Iterable[Row], software: Software, issued: str) -> Iterator[str]:
    """Yield the lines of a FHIR R4 Bundle (type collection) in JSON, a resource a line.

    rows: `Findings.to_json`'s values. issued: when, as an ISO 8601 time with its zone.
    """
    head = {"resourceType": "Bundle", "type": "collection", "timestamp": issued}
    yield json.dumps(head)[:-1] + ', "entry": [\n'
    separator = ""
    for entry in entries(rows, software, issued):
        yield separator + json.dumps(entry, ensure_ascii=False)
        separator = ",\n"
    yield "\n]}\n"


def entries(rows: Iterable[Row], software: Software, issued: str) -> Iterator[Resource]:
    """Yield the Bundle's entries: the Device, then by patient and study what was found.

    A study is a DICOM study; pictures of a patient without one are one study. A resource has the
    same address whenever it has the same content.
    """
    device = _entry(_device(software))
    yield device
    for key, groups in by_study(rows).items():
        patient = _entry(_patient(key))
        yield patient
        eyes: dict[str, str] = {}
        for side in ("right", "left"):
            if any(row["eye"] == side for group in groups.values() for row in group):
                structure = _entry(_body_structure(side, patient["fullUrl"]))
                eyes[side] = structure["fullUrl"]
                yield structure
        for study, group in groups.items():
            common = _Common(software, issued, patient["fullUrl"], device["fullUrl"], eyes)
            yield from _study(key, study, group, common)


def _study(
    key: PatientKey, study: str | None, rows: list[Row], common: _Common
) -> Iterator[Resource]:
    results, media, whole = [], [], Patient(key)
    for row in {row["image"]: row for row in rows}.values():  # a wrong name may be given twice
        whole.add(row)
        picture = _entry(_media(row, common))
        media.append(picture["fullUrl"])
        yield picture
        about = {**_effective([row["acquired"]]), **_site(row, common)}
        for said in observations_of(row, common.software):
            entry = _entry(_observation(said, [picture["fullUrl"]], common, **about))
            results.append(entry["fullUrl"])
            yield entry
    of_all = referral(whole, common.software)
    if of_all is not None:
        entry = _entry(_observation(of_all, media, common, **_effective(whole.acquired)))
        results.append(entry["fullUrl"])
        yield entry
    report: Resource = {
        "resourceType": "DiagnosticReport",
        "status": "preliminary",
        "code": {"text": "Automated classification of colour fundus photographs"},
        "subject": _reference(common.patient),
        **_effective(whole.acquired),
        "issued": common.issued,
        "result": [_reference(url) for url in results],
        "media": [{"link": _reference(url)} for url in media],
        "conclusion": NOTICE,
    }
    if study:
        identifier = {"system": "urn:dicom:uid", "value": f"urn:oid:{study}"}
        report["imagingStudy"] = [{"type": "ImagingStudy", "identifier": identifier}]
    yield _entry(report)


@dataclass(frozen=True)
class _Common:
    """What all resources of a study share; the addresses of patient, device and eyes by side."""

    software: Software
    issued: str
    patient: str
    device: str
    eyes: Mapping[str, str]


def _observation(
    said: Observation, pictures: list[str], common: _Common, **about: Resource
) -> Resource:
    """Return one Observation. about: when and of which eye."""
    if said.probability is not None:
        value = {"valueQuantity": _quantity(said.probability)}
    elif said.answer is not None:
        value = {"valueCodeableConcept": _concept(said.answer, said.answer_text)}
    else:
        value = {"dataAbsentReason": {"text": said.absent}}
    words = "; ".join(code.meaning for code in said.interpretation)
    components: list[Resource] = []
    if said.condition is not None:
        components.append(
            {
                "code": _concept(CONDITION, CONDITION.meaning),
                "valueCodeableConcept": _concept(said.condition, said.condition.meaning),
            }
        )
    if said.threshold is not None:
        code = {"text": said.threshold_text}
        components.append({"code": code, "valueQuantity": _quantity(said.threshold)})
    return {
        "resourceType": "Observation",
        "status": "preliminary",
        "code": _concept(said.code, said.text),
        "subject": _reference(common.patient),
        "issued": common.issued,
        "method": _concept(METHOD, METHOD.meaning),
        "device": _reference(common.device),
        "derivedFrom": [_reference(url) for url in pictures],
        **about,
        **value,
        **({"interpretation": [{"text": words}]} if words else {}),
        **({"note": [{"text": said.note}]} if said.note else {}),
        **({"component": components} if components else {}),
    }


def _coding(code: Code) -> Resource:
    display = {"display": code.meaning} if code.scheme == DICOM else {}
    return {"system": _SYSTEMS[code.scheme], "code": code.value, **display}


def _concept(code: Code, text: str) -> Resource:
    """Return a CodeableConcept; what has no code but ophglm's own is text alone."""
    return {**({} if code.scheme == OWN else {"coding": [_coding(code)]}), "text": text}


def _device(software: Software) -> Resource:
    return {
        "resourceType": "Device",
        "deviceName": [{"name": "ophglm", "type": "user-friendly-name"}],
        "type": {"text": "research software for colour fundus photographs"},
        "version": [
            {"type": {"text": "software"}, "value": software.version},
            {
                "type": {"text": "model and the start of its weights' SHA-256"},
                "value": software.model,
            },
        ],
        "note": [{"text": "Not cleared or approved by any regulator; for research."}],
    }


def _patient(key: PatientKey) -> Resource:
    kind = {"text": _KNOWN_BY.get(key.source, "file name of a picture that names no patient")}
    identifier: Resource = {"type": kind, "value": key.id}
    if key.source != TAGS:
        identifier["use"] = "temp"
    if key.issuer:
        identifier["assigner"] = {"display": key.issuer}
    return {"resourceType": "Patient", "identifier": [identifier]}


def _body_structure(side: str, patient: str) -> Resource:
    return {
        "resourceType": "BodyStructure",
        "location": _concept(EYE, "eye"),
        "locationQualifier": [_concept(SIDES[side], side)],
        "patient": _reference(patient),
    }


def _media(row: Row, common: _Common) -> Resource:
    instance = (row.get("dicom") or {}).get("instance")
    uid = {"system": "urn:dicom:uid", "value": f"urn:oid:{instance}"}
    days = _days([row["acquired"]])
    created = {"createdDateTime": days[0]} if days else {}
    return {
        "resourceType": "Media",
        **({"identifier": [uid]} if instance else {}),
        "status": "completed",
        "modality": {"text": "fundus photograph"},
        "subject": _reference(common.patient),
        **created,
        **({"bodySite": _concept(EYE, eye_text(row))} if row["eye"] else {}),
        "content": {"title": row["image"]},
    }


def _site(row: Row, common: _Common) -> Resource:
    if row["eye"] is None:
        return {}
    structure = {"url": _BODY_STRUCTURE, "valueReference": _reference(common.eyes[row["eye"]])}
    return {"bodySite": {"extension": [structure], **_concept(EYE, eye_text(row))}}


def _days(values: Iterable[str | None]) -> list[str]:
    """Return the days that are one, sorted: tags also hold 2024-00-00, which FHIR refuses."""
    days = []
    for value in filter(None, values):
        with suppress(ValueError):
            days.append(date.fromisoformat(value).isoformat())
    return sorted(days)


def _effective(values: Iterable[str | None]) -> Resource:
    days = _days(values)
    if not days:
        return {}
    if days[0] == days[-1]:
        return {"effectiveDateTime": days[0]}
    return {"effectivePeriod": {"start": days[0], "end": days[-1]}}


def _quantity(value: float) -> Resource:
    return {"value": value, "unit": "1", "system": _UCUM, "code": "1"}


def _reference(url: str) -> Resource:
    return {"reference": url}


def _entry(resource: Resource) -> Resource:
    content = json.dumps(resource, sort_keys=True)
    return {"fullUrl": uuid.uuid5(uuid.NAMESPACE_URL, content).urn, "resource": resource}
