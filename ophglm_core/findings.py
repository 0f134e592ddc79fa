"""What the picture gave: the findings of one photograph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from .conditions import NORMAL
from .dicom import Origin
from .file_names import printable
from .images import Picture
from .later import Later

#: The probability from which a disease is more likely than not.
LIKELY = 0.5
#: Said once by every output.
NOTICE = "Decision support for research, not a diagnosis; a clinician must review the image."
NOTICE_ZH = "仅供科研辅助决策，不构成诊断；须由临床医生阅片。"


def notice(language: str) -> str:
    """Return the notice in 'en' or 'zh'."""
    return NOTICE_ZH if language == "zh" else NOTICE


class LaterMaps:
    """Class activation maps [L, h, w] that are made when the first of them is looked at.

    make: makes them all.
    """

    def __init__(self, make: Callable[[], np.ndarray]):
        self._maps = Later(make)

    def __getitem__(self, row: int) -> np.ndarray:
        found: np.ndarray = self._maps.get()[row]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._maps.get(), dtype=dtype)


@dataclass(frozen=True)
class Findings:
    """The findings of one photograph.

    image: its path, or what a picture in memory is called. status: 'ok', 'ungradable' or 'error'.
    probabilities: calibrated, per label (0 to 1). positive: the diseases that are flagged, by
    `positive_labels` or by the grade; ['normal'] if there is none and 'normal' reaches its own.
    outweighed: those that reach their threshold and are not flagged, as 'normal' is too probable.
    grade: of diabetic
    retinopathy by the ICDR scale, 0 to 4, the median of grade_probabilities (of each grade);
    referable: whether moderate retinopathy or worse, or macular oedema, reaches its threshold; all
    None or empty where the model does not grade. laterality: 'left', 'right' or None; it comes from
    the tags of a DICOM file, else from the file's name or its folder's, and is then no more certain
    than that. patient, acquired (the day, as 2024-05-03) and origin: from the tags. message: why
    there is nothing, or what to know of the file. cams and features: class activation maps
    [L, h, w] and the last feature map [C, h, w], where they were asked for. picture: what was
    classified. eye_given: whether a person or the file's tags said which eye it is, and not its
    name alone.

    Example:
        for finding in assistant.classify("photographs/"):
            print(finding.image, finding.positive, finding.probabilities)
    """

    image: str
    status: str
    model: str
    probabilities: dict[str, float] = field(default_factory=dict)
    positive: list[str] = field(default_factory=list)
    grade: int | None = None
    grade_probabilities: tuple[float, ...] = ()
    referable: bool | None = None
    message: str | None = None
    laterality: str | None = None
    patient: str | None = None
    acquired: str | None = None
    cams: np.ndarray | LaterMaps | None = field(default=None, compare=False, repr=False)
    features: np.ndarray | None = field(default=None, compare=False, repr=False)
    picture: Picture | None = field(default=None, compare=False, repr=False)
    eye_given: bool = False
    origin: Origin | None = None
    outweighed: list[str] = field(default_factory=list)

    @property
    def diseases(self) -> list[str]:
        """The positive labels without 'normal', the most probable first."""
        found = [label for label in self.positive if label != NORMAL]
        return sorted(found, key=lambda label: -self.probabilities[label])

    def to_json(self, labels: Iterable[str] = ()) -> dict[str, Any]:
        """Return the findings as a JSON line's values, in their published order.

        labels: the model's, each of which is null where the photograph could not be judged. Names
        are as `file_names.printable` writes them.
        """
        probabilities = dict.fromkeys(labels) | {
            label: round(value, 4) for label, value in self.probabilities.items()
        }
        return {
            "image": printable(self.image),
            "status": self.status,
            "probabilities": probabilities,
            "positive": self.positive,
            "dr_grade": self.grade,
            "referable": self.referable,
            "message": printable(self.message) if self.message else None,
            "eye": self.laterality,
            "patient": printable(self.patient) if self.patient else None,
            "acquired": self.acquired,
            "model": self.model,
            "dicom": asdict(self.origin) if self.origin else None,
            "eye_given": self.eye_given if self.laterality else None,
        }


def positive_labels(
    probabilities: Mapping[str, float],
    thresholds: Mapping[str, float],
    rule_out: float | None = None,
) -> list[str]:
    """Return the diseases at or above their threshold, or ['normal'] if none is and normal is.

    rule_out: see `limits_of`.
    """
    limits = limits_of(probabilities, thresholds, rule_out)
    reached = [label for label, value in probabilities.items() if value >= limits[label]]
    return [label for label in reached if label != NORMAL] or reached


def limits_of(
    probabilities: Mapping[str, float],
    thresholds: Mapping[str, float],
    rule_out: float | None = None,
) -> dict[str, float]:
    """Return the probability from which each label of one photograph is flagged: its threshold.

    rule_out: the probability of 'normal' from which a disease is flagged only where it is more
    likely than not. Thresholds for screening are low, and with eight of them nearly every healthy
    eye would reach one.
    """
    if rule_out is None or probabilities.get(NORMAL, 0.0) < rule_out:
        return dict(thresholds)
    return {k: limit if k == NORMAL else max(limit, LIKELY) for k, limit in thresholds.items()}
