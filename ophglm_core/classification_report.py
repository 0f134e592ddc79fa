"""A run of classification as one self-contained HTML page: counts, and thumbnails by condition.

The page is the template beside this module. However many photographs a run has, only counts and
short lists are held; thumbnails are made of what stands in these when the page is written.
"""

from __future__ import annotations

import base64
import io
from bisect import insort
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from . import __version__
from .conditions import NORMAL, LabelSet
from .errors import InputError
from .file_names import from_printable
from .findings import NOTICE
from .grading import GRADE_NAMES
from .images import Picture, crop_disc
from .templates import load_template
from .wording import percent, sentence_case

#: Of each condition, and of what cannot be graded, so many are shown.
MOST_SHOWN = 24
#: So many names of ungradable and of unreadable ones are listed.
MOST_LISTED = 200
#: The side of a thumbnail in pixels.
_SIZE = 150


@dataclass
class _First:
    """The first of what was added, by their keys. total: how many were added. entries: key, row
    and picture, in order."""

    most: int
    total: int = 0
    entries: list[tuple[tuple[Any, ...], dict[str, Any], Picture]] = field(default_factory=list)

    def add(self, key: tuple[Any, ...], row: dict[str, Any], picture: Picture) -> None:
        """Count a row, and keep it if it is among the first."""
        self.total += 1
        # By the key alone: rows cannot be compared, nor can pictures.
        insort(self.entries, (key, row, picture), key=lambda entry: entry[0])
        del self.entries[self.most :]


class ClassificationReport:
    """Gathers the rows of a run, in any order, for its page.

    Example:
        report = ClassificationReport(classifier.model.labels, classifier.thresholds)
        for findings in classifier.classify(paths):
            report.add(findings.to_json())
        Path("run.html").write_text(report.html(), encoding="utf-8")
    """

    def __init__(
        self,
        labels: LabelSet,
        thresholds: Mapping[str, float],
        referable: float | None = None,
        model: str = "",
    ):
        """labels, thresholds, referable: the classifier's; referable is None where the model does
        not grade. model: its identity."""
        self._labels, self._thresholds = labels, dict(thresholds)
        self._referable_threshold, self._model = referable, model
        self._status: Counter[str] = Counter()
        self._grades: Counter[int] = Counter()
        self._reasons: Counter[str] = Counter()
        self._uncertain = self._referable = 0
        self._found = {label: _First(MOST_SHOWN) for label in labels}
        self._ungradable = _First(MOST_LISTED)
        self._unreadable = _First(MOST_LISTED)

    def add(self, row: dict[str, Any], picture: Picture | None = None) -> None:
        """Count one row, `Findings.to_json`'s values.

        picture: what it is of; by default the file that the row names.
        """
        name, status = row["image"], row["status"]
        picture = Path(from_printable(name)) if picture is None else picture
        self._status[status] += 1
        if status == "ungradable":
            self._reasons[_reason(row)] += 1
            self._ungradable.add((name,), row, picture)
        elif status == "error":
            self._unreadable.add((name,), row, picture)
        else:
            self._uncertain += not row["positive"]
            self._referable += row["referable"] is True
            if row["dr_grade"] is not None:
                self._grades[row["dr_grade"]] += 1
            for label in row["positive"]:
                # By name among equals, so that a resumed run gives the same page.
                key = (-row["probabilities"][label], name)
                self._found[label].add(key, row, picture)

    def html(
        self, passed_over: Mapping[str, int] | None = None, when: datetime | None = None
    ) -> str:
        """Return the page, which needs no other file.

        passed_over: how many files of each kind a search left out. when: of the run's end. A
        photograph that can no longer be read stands without its thumbnail.
        """
        thumbnails: dict[str, str | None] = {}

        def shown(first: _First) -> list[dict[str, Any]]:
            cases = []
            for _, row, picture in first.entries[:MOST_SHOWN]:
                name = row["image"]
                if name not in thumbnails:  # it may show several conditions
                    thumbnails[name] = _thumbnail(picture)
                cases.append({"row": row, "jpeg": thumbnails[name]})
            return cases

        diseases = [label for label in self._labels if label != NORMAL]
        page: str = load_template(
            # Names of files, models and labels are a hospital's own, and may hold anything.
            __package__,
            "classification_report.html.jinja",
            escape=True,
            percent=percent,
            reason=_reason,
            sentence_case=sentence_case,
        ).render(
            model=self._model,
            version=__version__,
            when=f"{when or datetime.now():%Y-%m-%d %H:%M}",
            notice=NOTICE,
            labels=self._labels,
            thresholds=self._thresholds,
            referable_threshold=self._referable_threshold,
            referable=self._referable,
            status=self._status,
            total=self._status.total(),
            uncertain=self._uncertain,
            counts={label: self._found[label].total for label in self._labels},
            grades=[self._grades[grade] for grade in range(len(GRADE_NAMES["en"]))],
            grade_names=GRADE_NAMES["en"],
            found={label: shown(self._found[label]) for label in diseases},
            reasons=self._reasons.most_common(),
            ungradable=shown(self._ungradable),
            more_ungradable=[row for _, row, _ in self._ungradable.entries[MOST_SHOWN:]],
            unreadable=[row for _, row, _ in self._unreadable.entries],
            passed_over={kind: n for kind, n in (passed_over or {}).items() if n},
        )
        return page


def _reason(row: dict[str, Any]) -> str:
    """Return why a photograph was not graded, without what is remarked on it besides."""
    message: str = row["message"] or ""
    return message.removeprefix("Not graded: ").split(". ")[0].rstrip(".").split(" (")[0]


def _thumbnail(picture: Picture) -> str | None:
    """Return a picture's disc crop as a JPEG in base64, or None if it cannot be read."""
    try:
        crop = crop_disc(picture, _SIZE)
    except InputError:  # it was readable a moment ago; the report is not worth failing for it
        return None
    buffer = io.BytesIO()
    crop.save(buffer, "JPEG", quality=75)
    return base64.b64encode(buffer.getvalue()).decode()
