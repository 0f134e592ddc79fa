"""Findings as a FHIR R4 Bundle: a preliminary DiagnosticReport a study, with its Observations.

Plain values, made for FHIR 4.0.1 (hl7.org/fhir/R4). Codes are only such as the project's reference
notes verified: DICOM (PS3.16), LOINC 71490-7 and 71491-5 with the answers of LL2117-1, SNOMED CT's
eye and sides as DICOM has them (CID 4209, 244), WHO ICD-10. All else is text. No profile is
claimed: HL7's eye care guide has none for fundus photographs.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any

from .conditions import NORMAL, LabelSet
from .findings import NOTICE
from .grading import GRADE_NAMES
from .patients import NAME, TAGS, Patient, PatientKey, Row, patient_key

Resource = dict[str, Any]

_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_LOINC = "http://loinc.org"
_SNOMED = "http://snomed.info/sct"
_ICD10 = "http://hl7.org/fhir/sid/icd-10"
_UCUM = "http://unitsofmeasure.org"
_PROBABILITY = {"system": _DICOM, "code": "122157", "display": "Probability"}
_QUALITY = {"system": _DICOM, "code": "111029", "display": "Image Quality Rating"}
# Never the codes of an "entire left eye" and the like: public tables often swap the two.
_EYE = {"system": _SNOMED, "code": "81745001"}
_SIDES = {
    "right": {"system": _SNOMED, "code": "24028007"},
    "left": {"system": _SNOMED, "code": "7771000"},
}
_GRADE_OF = {
    "left": {"system": _LOINC, "code": "71490-7"},
    "right": {"system": _LOINC, "code": "71491-5"},
}
#: LL2117-1's answers for ICDR grades 0 to 4; there is no LA18647.
_GRADES = ("LA18643-9", "LA18644-7", "LA18645-4", "LA18646-2", "LA18648-8")
_BODY_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/bodySite"
_METHOD = {"text": "automated classification of a colour fundus photograph"}
#: How a patient without a number is called in an identifier's type.
_KNOWN_BY = {NAME: "common part of the pictures' file names", TAGS: "patient's number"}


@dataclass(frozen=True)
class Software:
    """What made the findings. thresholds: per label, the probability from which it is flagged.
    referable: the same of referable retinopathy; None if the model does not grade. model: its
    identity. version: of ophglm."""

    labels: LabelSet
    thresholds: Mapping[str, float]
    referable: float | None
    model: str
    version: str


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
    studies: dict[PatientKey, dict[str | None, list[Row]]] = {}
    for row in rows:
        study = (row.get("dicom") or {}).get("study")
        studies.setdefault(patient_key(row), {}).setdefault(study, []).append(row)
    for key, groups in studies.items():
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
        for observation in _observations(row, picture["fullUrl"], common):
            entry = _entry(observation)
            results.append(entry["fullUrl"])
            yield entry
    if common.software.referable is not None:
        referral = _entry(_referral(whole, media, common))
        results.append(referral["fullUrl"])
        yield referral
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

    def observation(self, code: Resource, pictures: list[str], **values: Any) -> Resource:
        return {
            "resourceType": "Observation",
            "status": "preliminary",
            "code": code,
            "subject": _reference(self.patient),
            "issued": self.issued,
            "method": _METHOD,
            "device": _reference(self.device),
            "derivedFrom": [_reference(url) for url in pictures],
            **values,
        }


def _observations(row: Row, picture: str, common: _Common) -> Iterator[Resource]:
    about = {**_effective([row["acquired"]]), **_site(row, common)}

    def observation(code: Resource, **values: Any) -> Resource:
        return common.observation(code, [picture], **about, **values)

    yield observation(
        {"coding": [_QUALITY], "text": "Whether the photograph can be graded"},
        **_quality(row),
    )
    if row["status"] != "ok":
        return
    for label, probability in row["probabilities"].items():
        yield observation(
            _probability_code(label, common.software),
            **_probability(label, probability, row, common),
        )
    if row["dr_grade"] is not None:
        coding = {"coding": [_GRADE_OF[row["eye"]]]} if row["eye"] in _GRADE_OF else {}
        text = "Suggested grade of diabetic retinopathy (ICDR scale), from a photograph"
        yield observation({**coding, "text": text}, **_grade(row))


def _quality(row: Row) -> Resource:
    if row["status"] == "error":
        values = _absent("the picture could not be read")
    else:
        text = "gradable" if row["status"] == "ok" else "not gradable"
        values = {"valueCodeableConcept": {"text": text}}
    return {**values, **_note(row["message"])}


def _probability_code(label: str, software: Software) -> Resource:
    return {"coding": [_PROBABILITY], "text": f"Probability of {software.labels[label].finding}"}


def _probability(label: str, value: float, row: Row, common: _Common) -> Resource:
    condition = common.software.labels[label]
    threshold = common.software.thresholds[label]
    coding = {"coding": [{"system": _ICD10, "code": condition.icd10}]} if condition.icd10 else {}
    looked_for = {
        "code": {"text": "condition looked for; not a statement that it is present"},
        "valueCodeableConcept": {**coding, "text": condition.name},
    }
    at = {
        "code": {"text": "threshold for screening"},
        "valueQuantity": _quantity(round(threshold, 4)),
    }
    flagged = label in row["positive"]
    return {
        "valueQuantity": _quantity(value),
        "interpretation": [{"text": _interpretation(label, value, threshold, row)}],
        **_note(condition.caution if flagged else None),
        "component": [at] if label == NORMAL else [looked_for, at],
    }


def _interpretation(label: str, value: float, threshold: float, row: Row) -> str:
    if label not in row["positive"]:
        if value >= threshold:  # 'normal' beside a condition
            return "not concluded, as a condition is flagged"
        return "not flagged: below its threshold for screening"
    if label == NORMAL:
        return "at or above its threshold, and no condition that it looks for is flagged"
    # A row's probabilities have four digits.
    if value < round(threshold, 4):
        text = "flagged, as the grade reaches the threshold for referral"
    else:
        text = "flagged: at or above its threshold for screening"
    return text if value >= 0.5 else f"{text}; more likely absent than present, but to be checked"


def _grade(row: Row) -> Resource:
    """The grade, where flags and grade agree and nothing hides the retina."""
    grade, flagged = row["dr_grade"], "dr" in row["positive"]
    if "dr" in row["probabilities"] and flagged != (grade > 0):
        state = "flagged" if flagged else "not flagged"
        return _absent(f"retinopathy is {state}, which grade {grade} does not bear out")
    if grade == 0 and "cataract" in row["positive"]:
        return _absent("the haze may hide retinopathy")
    coding = [{"system": _LOINC, "code": _GRADES[grade]}]
    text = f"suggested: {grade}, {GRADE_NAMES['en'][grade]}"
    return {"valueCodeableConcept": {"coding": coding, "text": text}}


def _referral(whole: Patient, pictures: list[str], common: _Common) -> Resource:
    words = {True: "suggested", False: "not suggested"}
    if whole.referable is None:
        values = _absent("not every eye that is known of was judged")
    else:
        values = {"valueCodeableConcept": {"text": words[whole.referable]}}
    text = (
        "Referral for diabetic retinopathy (moderate or worse) or macular oedema, of all pictures"
    )
    at = {
        "code": {"text": "threshold for moderate retinopathy or worse"},
        "valueQuantity": _quantity(round(common.software.referable or 0.0, 4)),
    }
    return common.observation(
        {"text": text}, pictures, **_effective(whole.acquired), **values, component=[at]
    )


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
        "location": {"coding": [_EYE], "text": "eye"},
        "locationQualifier": [{"coding": [_SIDES[side]], "text": side}],
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
        **({"bodySite": {"coding": [_EYE], "text": _eye_text(row)}} if row["eye"] else {}),
        "content": {"title": row["image"]},
    }


def _site(row: Row, common: _Common) -> Resource:
    if row["eye"] is None:
        return {}
    structure = {"url": _BODY_STRUCTURE, "valueReference": _reference(common.eyes[row["eye"]])}
    return {"bodySite": {"extension": [structure], "coding": [_EYE], "text": _eye_text(row)}}


def _eye_text(row: Row) -> str:
    return f"{row['eye']} eye" + ("" if row.get("eye_given") else " by its file name")


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


def _absent(reason: str) -> Resource:
    return {"dataAbsentReason": {"text": reason}}


def _note(text: str | None) -> Resource:
    return {"note": [{"text": text}]} if text else {}


def _reference(url: str) -> Resource:
    return {"reference": url}


def _entry(resource: Resource) -> Resource:
    content = json.dumps(resource, sort_keys=True)
    return {"fullUrl": uuid.uuid5(uuid.NAMESPACE_URL, content).urn, "resource": resource}
