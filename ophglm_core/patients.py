"""From rows a picture to rows a patient: which pictures are of one patient, and what they come to.

Rows are `Findings.to_json`'s values. Whose a picture is comes from its row alone, so that the same
picture belongs to the same patient in whatever company it is classified.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .conditions import NORMAL
from .eye_names import read_eye_name
from .file_names import from_printable, printable

Row = dict[str, Any]
#: The eyes that a picture can be of.
SIDES = ("right", "left", "unknown")
#: How it is known whose a picture is.
TAGS, NAME, PICTURE = "tags", "name", "picture"


@dataclass(frozen=True)
class PatientKey:
    """What tells one patient from another; pictures are of one patient only if all of it agrees.

    source: 'tags': id is the patient's id in the tags (or in a table), issuer who gave that id,
    which is empty where nothing says it; an id of one issuer is never that of another, nor that of
    none. 'name': id is the path without the word for the eye (see `eye_names`), so pictures are of
    one patient if nothing but that word tells their paths apart. 'picture': id is the path, and the
    picture a patient of its own.
    """

    source: str
    id: str
    issuer: str = ""


def patient_key(row: Mapping[str, Any]) -> PatientKey:
    """Return whose the picture of a row is."""
    if row["patient"]:
        origin = row.get("dicom") or {}
        return PatientKey(TAGS, row["patient"], printable(origin.get("issuer") or ""))
    rest = read_eye_name(Path(from_printable(row["image"]))).rest
    if rest is not None:
        return PatientKey(NAME, printable(rest))
    return PatientKey(PICTURE, row["image"])


def side_of(row: Mapping[str, Any]) -> str:
    """Return 'right', 'left' or 'unknown'."""
    return row["eye"] or "unknown"


@dataclass
class Patient:
    """What the pictures of one patient come to.

    images: their names. eyes: how many are of each eye. probabilities: per label the highest of
    all pictures; of 'normal' the lowest, as a patient is as normal as the least normal picture.
    positive: by eye, what is positive in any of its pictures; 'normal' only if it is in all that
    were graded. grades: by eye, the highest of diabetic retinopathy. ungradable, errors: how many
    pictures could not be judged, and not be read. acquired: the days.
    """

    key: PatientKey
    images: list[str] = field(default_factory=list)
    eyes: Counter[str] = field(default_factory=Counter)
    probabilities: dict[str, float | None] = field(default_factory=dict)
    positive: dict[str, list[str]] = field(default_factory=dict)
    grades: dict[str, int] = field(default_factory=dict)
    ungradable: int = 0
    errors: int = 0
    acquired: set[str] = field(default_factory=set)
    model: str = ""
    _judged: Counter[str] = field(default_factory=Counter)
    _referable: bool = False

    def add(self, row: Mapping[str, Any]) -> None:
        """Count one more picture of this patient in."""
        side = side_of(row)
        self.images.append(row["image"])
        self.eyes[side] += 1
        self.model = row["model"] or self.model
        if row["acquired"]:
            self.acquired.add(row["acquired"])
        for label in row["probabilities"]:
            self.probabilities.setdefault(label, None)
        if row["status"] == "ok":
            self._add_graded(side, row)
        elif row["status"] == "error":
            self.errors += 1
        else:
            self.ungradable += 1

    def _add_graded(self, side: str, row: Mapping[str, Any]) -> None:
        for label, value in row["probabilities"].items():
            before = self.probabilities[label]
            choose = min if label == NORMAL else max
            self.probabilities[label] = value if before is None else choose(before, value)
        found = list(row["positive"])
        if side in self.positive:
            earlier = self.positive[side]
            both_normal = NORMAL in found and NORMAL in earlier
            found = [*earlier, *(label for label in found if label not in earlier)]
            if not both_normal:
                found = [label for label in found if label != NORMAL]
        self.positive[side] = found
        if row["dr_grade"] is not None:
            self.grades[side] = max(row["dr_grade"], self.grades.get(side, 0))
        if row["referable"] is not None:
            self._judged[side] += 1
            self._referable |= row["referable"]

    @property
    def referable(self) -> bool | None:
        """True if any picture is. False only if each eye that is known of was judged in at least
        one; else None. A picture that was not judged and does not say its eye may be of one that
        no other picture shows."""
        if self._referable:
            return True
        known = [side for side in ("right", "left") if self.eyes[side]]
        if not self._judged or not all(self._judged[side] for side in known):
            return None
        unseen = self.eyes["unknown"] > self._judged["unknown"]
        return None if unseen and len(known) < 2 else False

    def to_json(self) -> Row:
        """Return the patient as a JSON line's values, in their published order."""
        return {
            "patient": self.key.id,
            "issuer": self.key.issuer or None,
            "known_by": self.key.source,
            "eyes": {side: self.eyes[side] for side in SIDES},
            "probabilities": self.probabilities,
            "positive": {side: self.positive.get(side, []) for side in SIDES},
            "dr_grade": {side: self.grades.get(side) for side in SIDES},
            "referable": self.referable,
            "ungradable": self.ungradable,
            "errors": self.errors,
            "acquired": sorted(self.acquired),
            "images": self.images,
            "model": self.model,
        }


def by_patient(rows: Iterable[Row]) -> Iterator[Patient]:
    """Gather rows a picture into patients, in the order of their first pictures.

    Holds some hundred bytes a picture. Whose each picture is: see `PatientKey`.
    """
    patients: dict[PatientKey, Patient] = {}
    for row in rows:
        key = patient_key(row)
        patients.setdefault(key, Patient(key)).add(row)
    yield from patients.values()


def by_study(rows: Iterable[Row]) -> dict[PatientKey, dict[str | None, list[Row]]]:
    """Gather rows by patient and DICOM study's UID; those of a patient without one are together.

    Holds the rows.
    """
    studies: dict[PatientKey, dict[str | None, list[Row]]] = {}
    for row in rows:
        study = (row.get("dicom") or {}).get("study")
        studies.setdefault(patient_key(row), {}).setdefault(study, []).append(row)
    return studies
