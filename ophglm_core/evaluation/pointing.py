"""Does a heat map point at what a doctor marked? The pointing game (Zhang et al. 2016, arXiv
1608.00507): the strongest point of a label's map lies in one of the boxes drawn for it, or not."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..classifier import Classifier
from ..data.records import Record
from ..errors import InputError
from ..heatmaps import strongest_point
from ..images import disc_square, open_photograph
from .metrics import confidence_interval

_COLUMNS = ("image", "class", "cx", "cy", "w", "h")
#: What the maps of a label should point at, by the names that box files have for it.
POINTED_AT = {
    "dr": ("hard_exudates", "soft_exudates", "haemorrhage_or_microaneurysm", "lesion"),
    "macular_oedema": ("hard_exudates",),
    "glaucoma": ("optic_disc",),
}
_ROUNDS = 200


@dataclass(frozen=True)
class Box:
    """A marked box; centre, width and height are fractions of the picture's."""

    kind: str
    cx: float
    cy: float
    width: float
    height: float

    def holds(self, x: float, y: float) -> bool:
        """Whether a point, in fractions of the picture, lies in the box."""
        return abs(x - self.cx) <= self.width / 2 and abs(y - self.cy) <= self.height / 2


def read_boxes(path: Path) -> dict[str, list[Box]]:
    """Read a table with the columns image, class, cx, cy, w and h: boxes by a picture's name.

    Raises InputError if the file cannot be read, lacks a column or a number is none.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a table ({error}).") from None
    missing = [c for c in _COLUMNS if not rows or c not in rows[0]]
    if missing:
        raise InputError(f"{path} has no column {', '.join(missing)}.")
    boxes: dict[str, list[Box]] = defaultdict(list)
    for number, row in enumerate(rows, start=2):
        try:
            place = [float(row[c]) for c in _COLUMNS[2:]]
        except ValueError:
            raise InputError(f"{path}, line {number}: a box is four numbers.") from None
        boxes[row["image"]].append(Box(row["class"], *place))
    return dict(boxes)


def pointing_game(
    classifier: Classifier,
    records: Sequence[Record],
    boxes: dict[str, list[Box]],
    progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, Any]:
    """Return for each label of POINTED_AT that the model gives how often its map points right.

    A photograph counts for a label if it has boxes of what the label's map should point at, and,
    for a disease that the record speaks of, if it shows it; the optic disc is in every photograph.
    'share' is that of hits with its interval over photographs, 'chance' the mean share of the
    retina's square that the boxes cover. Raises InputError if no photograph has boxes.
    """
    marked = [r for r in records if r.image.name in boxes]
    if not marked:
        raise InputError("None of the photographs has boxes.")
    hits: dict[str, list[float]] = defaultdict(list)
    covered: dict[str, list[float]] = defaultdict(list)
    found = classifier.classify((r.image for r in marked), keep_outputs=True, fine=True)
    for done, (record, finding) in enumerate(zip(marked, found, strict=True), start=1):
        progress(done, len(marked))
        if finding.status != "ok" or finding.cams is None:
            continue
        picture = open_photograph(record.image)
        left, top, right, _ = disc_square(picture)
        for label, kinds in POINTED_AT.items():
            wanted = [b for b in boxes[record.image.name] if b.kind in kinds]
            shown = label == "glaucoma" or record.labels.get(label, 1)
            if label not in classifier.model.labels or not wanted or not shown:
                continue
            column = classifier.model.labels.index(label)
            x, y = strongest_point(finding.cams[column])
            x = (left + x * (right - left)) / picture.width
            y = (top + y * (right - left)) / picture.height
            hits[label].append(float(any(box.holds(x, y) for box in wanted)))
            covered[label].append(_share(wanted, picture.size, right - left))
    return {
        label: {
            "photographs": len(values),
            "share": float(np.mean(values)),
            "confidence_interval": _interval(values),
            "chance": float(np.mean(covered[label])),
        }
        for label, values in hits.items()
    }


def _share(boxes: Sequence[Box], size: tuple[int, int], side: float) -> float:
    """Return the share of the retina's square that boxes cover, overlaps counted once."""
    width, height = size
    grid = np.zeros((200, 200), dtype=bool)
    y, x = (np.mgrid[:200, :200] + 0.5) / 200
    for box in boxes:
        grid |= (abs(x - box.cx) <= box.width / 2) & (abs(y - box.cy) <= box.height / 2)
    return float(grid.mean() * width * height / side**2)


def _interval(values: Sequence[float]) -> list[float] | None:
    rng = np.random.default_rng(0)
    drawn = rng.choice(np.array(values), (_ROUNDS, len(values)))
    return confidence_interval(list(drawn.mean(axis=1)))
