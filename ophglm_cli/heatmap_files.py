"""The heat maps of a run: an overlay for each disease of a photograph, in folders like its own."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ophglm_core.conditions import NORMAL, LabelSet
from ophglm_core.files import write_bytes
from ophglm_core.findings import Findings
from ophglm_core.heatmaps import overlay, with_legend
from ophglm_core.wording import percent


class HeatmapFolder:
    """Overlays in sub-folders that mirror those of the photographs, below the folder that all of
    these have in common, so that no two photographs share a name."""

    def __init__(self, out: Path, labels: LabelSet, named: Iterable[Path], images: Sequence[Path]):
        """named: the files and folders that were given. images: the photographs among them."""
        self._out, self._labels = out, labels
        folders = [path for path in named if path.is_dir()]
        places = {os.path.abspath(folder) for folder in folders}
        places |= {
            os.path.abspath(image.parent)
            for image in images
            if not any(image.is_relative_to(folder) for folder in folders)
        }
        try:
            self._root = os.path.commonpath(places) if places else os.curdir
        except ValueError:  # two drives of Windows have nothing in common
            self._root = os.curdir

    def missing(self, image: Path, positive: Iterable[str]) -> bool:
        """Whether an overlay of a photograph with these positive labels is not there."""
        diseases = (label for label in positive if label != NORMAL)
        return not all(self._target(image, label).is_file() for label in diseases)

    def write(self, findings: Findings) -> None:
        """Write the overlays of one photograph. Raises InputError if it cannot be done."""
        for label in findings.diseases:
            encoded = io.BytesIO()
            probability = percent(findings.probabilities[label])
            picture = overlay(findings, self._labels, label)
            picture = with_legend(picture, f"{self._labels[label].name} {probability}")
            picture.save(encoded, "JPEG", quality=88)
            # Not by Pillow, which takes a write that the disk has cut short for a whole one.
            write_bytes(self._target(Path(findings.image), label), encoded.getvalue())

    def _target(self, image: Path, label: str) -> Path:
        try:
            below = os.path.relpath(os.path.abspath(image.parent), self._root)
        except ValueError:
            below = os.curdir
        # Never out of the folder. The whole name with its ending: a.jpg and a.png may lie together.
        parts = [part for part in Path(below).parts if part != os.pardir]
        return self._out.joinpath(*parts, f"{image.name}.{label}.jpg")
