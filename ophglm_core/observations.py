"""What a record is told of a picture and of a study, in whatever format it is written.

Codes are only such as the project's reference notes verified: DICOM (PS3.16), LOINC 71490-7 and
71491-5 with the answers of LL2117-1, SNOMED CT's eye and sides as DICOM has them (CID 4209, 244),
WHO ICD-10. All else is words, under codes of ophglm's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .conditions import NORMAL, Condition, LabelSet
from .findings import LIKELY
from .grading import GRADE_NAMES
from .patients import Patient, Row

DICOM, LOINC, SNOMED, ICD10 = "DCM", "LN", "SCT", "I10"
#: The scheme of what no terminology has a code for.
OWN = "99OPHGLM"


@dataclass(frozen=True)
class Code:
    """A coded concept. scheme: its designator as DICOM writes it (PS3.16 section 8). meaning: at
    most 64 characters, which is as many as DICOM takes."""

    scheme: str
    value: str
    meaning: str


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


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One thing that is said of a picture or of a study.

    code: what is observed; text: the same in words, which say more. One of probability (0 to 1),
    answer (answer_text in words) and absent (why there is none) is the value. interpretation: what
    follows from a probability. condition: which one was looked for, not said to be present.
    threshold: the probability from which it is flagged, and threshold_text of what. note: what to
    know besides.
    """

    code: Code
    text: str
    probability: float | None = None
    answer: Code | None = None
    answer_text: str = ""
    absent: str | None = None
    interpretation: tuple[Code, ...] = ()
    condition: Code | None = None
    threshold: float | None = None
    threshold_text: str = "threshold for screening"
    note: str | None = None


PROBABILITY = Code(DICOM, "122157", "Probability")
QUALITY = Code(DICOM, "111029", "Image Quality Rating")
# Never the codes of an "entire left eye" and the like: public tables often swap the two.
EYE = Code(SNOMED, "81745001", "Eye")
SIDES = {
    "right": Code(SNOMED, "24028007", "Right"),
    "left": Code(SNOMED, "7771000", "Left"),
}
METHOD = Code(OWN, "photo-classifier", "automated classification of a colour fundus photograph")
CONDITION = Code(OWN, "looked-for", "condition looked for; not a statement that it is present")
_GRADE_OF = {
    "left": Code(
        LOINC, "71490-7", "Left eye Diabetic retinopathy severity level by Ophthalmoscopy"
    ),
    "right": Code(
        LOINC, "71491-5", "Right eye Diabetic retinopathy severity level by Ophthalmoscopy"
    ),
}
_GRADE = Code(OWN, "dr-grade", "Suggested grade of diabetic retinopathy (ICDR scale)")
#: LL2117-1's answers for ICDR grades 0 to 4; there is no LA18647.
_GRADES = ("LA18643-9", "LA18644-7", "LA18645-4", "LA18646-2", "LA18648-8")
_REFERRAL = Code(OWN, "referral", "Referral for diabetic retinopathy or macular oedema")
_GRADABLE = Code(OWN, "gradable", "gradable")
_NOT_GRADABLE = Code(OWN, "not-gradable", "not gradable")
_REFER = {
    True: Code(OWN, "suggested", "suggested"),
    False: Code(OWN, "not-suggested", "not suggested"),
}
_FLAGGED = Code(OWN, "flagged", "flagged: at or above its threshold for screening")
_BY_GRADE = Code(
    OWN, "flagged-by-grade", "flagged, as the grade reaches the threshold for referral"
)
_NOT_FLAGGED = Code(OWN, "not-flagged", "not flagged: below its threshold for screening")
_NONE_FLAGGED = Code(
    OWN, "none-flagged", "at or above its threshold; no condition looked for is flagged"
)
_NOT_CONCLUDED = Code(OWN, "not-concluded", "not concluded, as a condition is flagged")
_OUTWEIGHED = Code(OWN, "outweighed", "not flagged: a normal retina is far more probable")
_RATHER_NOT = Code(OWN, "rather-absent", "more likely absent than present, but to be checked")


def observations_of(row: Row, software: Software) -> Iterator[Observation]:
    """Yield what is said of one picture: whether it can be graded; if so, a probability a label
    and the suggested grade. row: `Findings.to_json`'s values."""
    yield _quality(row)
    if row["status"] != "ok":
        return
    for label, probability in row["probabilities"].items():
        yield _probability(label, probability, row, software)
    if row["dr_grade"] is not None:
        yield _grade(row)


def referral(whole: Patient, software: Software) -> Observation | None:
    """Return what is said of all pictures of a study; None if the model does not grade."""
    if software.referable is None:
        return None
    known = whole.referable
    return Observation(
        code=_REFERRAL,
        text="Referral for diabetic retinopathy (moderate or worse) or macular oedema, of all "
        "pictures that this report names",
        answer=None if known is None else _REFER[known],
        answer_text="" if known is None else _REFER[known].meaning,
        absent="not every eye that is known of was judged" if known is None else None,
        threshold=round(software.referable, 4),
        threshold_text="threshold for moderate retinopathy or worse",
    )


def eye_text(row: Row) -> str:
    """Return which eye a row is of, and how that is known; '' if it is not."""
    if row["eye"] is None:
        return ""
    return f"{row['eye']} eye" + ("" if row.get("eye_given") else " by its file name")


def _quality(row: Row) -> Observation:
    text, note = "Whether the photograph can be graded", row["message"]
    if row["status"] == "error":
        absent = "the picture could not be read"
        return Observation(code=QUALITY, text=text, absent=absent, note=note)
    answer = _GRADABLE if row["status"] == "ok" else _NOT_GRADABLE
    return Observation(
        code=QUALITY, text=text, answer=answer, answer_text=answer.meaning, note=note
    )


def _probability(label: str, value: float, row: Row, software: Software) -> Observation:
    condition = software.labels[label]
    threshold = software.thresholds[label]
    return Observation(
        code=PROBABILITY,
        text=f"Probability of {condition.finding}",
        probability=value,
        interpretation=_interpretation(label, value, threshold, row),
        condition=None if label == NORMAL else _code_of(condition),
        threshold=round(threshold, 4),
        note=(condition.caution or None) if label in row["positive"] else None,
    )


def _code_of(condition: Condition) -> Code:
    name = condition.name
    if condition.icd10:
        return Code(ICD10, condition.icd10, name)
    return Code(OWN, condition.key, name)


def _interpretation(label: str, value: float, threshold: float, row: Row) -> tuple[Code, ...]:
    if label not in row["positive"]:
        if value < threshold:
            return (_NOT_FLAGGED,)
        return (_NOT_CONCLUDED if label == NORMAL else _OUTWEIGHED,)
    if label == NORMAL:
        return (_NONE_FLAGGED,)
    # A row's probabilities have four digits.
    flagged = _BY_GRADE if value < round(threshold, 4) else _FLAGGED
    return (flagged,) if value >= LIKELY else (flagged, _RATHER_NOT)


def _grade(row: Row) -> Observation:
    """The grade, where flags and grade agree and nothing hides the retina."""
    grade, flagged = row["dr_grade"], "dr" in row["positive"]
    code = _GRADE_OF.get(row["eye"], _GRADE)
    text = "Suggested grade of diabetic retinopathy (ICDR scale), from a photograph"
    absent = None
    if "dr" in row["probabilities"] and flagged != (grade > 0):
        state = "flagged" if flagged else "not flagged"
        absent = f"retinopathy is {state}, which grade {grade} does not bear out"
    elif grade == 0 and "cataract" in row["positive"]:
        absent = "the haze may hide retinopathy"
    if absent:
        return Observation(code=code, text=text, absent=absent)
    name = GRADE_NAMES["en"][grade]
    return Observation(
        code=code,
        text=text,
        answer=Code(LOINC, _GRADES[grade], name),
        answer_text=f"suggested: {grade}, {name}",
    )
