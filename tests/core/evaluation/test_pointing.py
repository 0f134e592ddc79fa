from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from ophglm_core.conditions import LabelSet
from ophglm_core.data.records import Record
from ophglm_core.errors import InputError
from ophglm_core.evaluation.pointing import pointing_game, read_boxes
from ophglm_core.findings import Findings

from ...conftest import draw_fundus


class Pointing:
    """Is hottest at the same place of the disc's square in every picture."""

    class model:  # noqa: N801
        labels = LabelSet.of(["normal", "dr", "glaucoma"])

    def __init__(self, row: int, column: int):
        self.cams = np.zeros((3, 20, 20), dtype=np.float32)
        self.cams[1:, row, column] = 5.0

    def classify(
        self, pictures: Iterable[Path], keep_outputs: bool, fine: bool
    ) -> Iterator[Findings]:
        assert keep_outputs
        assert fine
        for path in pictures:
            yield Findings(str(path), "ok", "m", cams=self.cams)


def test_points_are_found_in_boxes_of_the_whole_picture(tmp_path: Path) -> None:
    """The disc fills the middle 0.7 of the width and 0.92 of the height of a 400 x 300 picture."""
    names = ["a.png", "b.png", "healthy.png"]
    for name in names:
        draw_fundus((400, 300)).save(tmp_path / name)
    (tmp_path / "boxes.csv").write_text(
        "image,class,cx,cy,w,h\n"
        # the disc's square is 276 px from (62, 12): its place (0.275, 0.525) is (0.345, 0.523)
        "a.png,hard_exudates,0.345,0.523,0.02,0.02\n"
        "b.png,hard_exudates,0.275,0.525,0.02,0.02\n"
        "b.png,optic_disc,0.9,0.9,0.05,0.05\n"
        "healthy.png,hard_exudates,0.345,0.523,0.02,0.02\n"
    )
    records = [Record(tmp_path / n, n, {"dr": int(n != "healthy.png")}) for n in names]
    boxes = read_boxes(tmp_path / "boxes.csv")
    classifier = cast(Any, Pointing(10, 5))
    result = pointing_game(classifier, records, boxes)
    assert result["dr"]["photographs"] == 2  # not where the record says that it is not there
    assert result["dr"]["share"] == 0.5
    assert 0 < result["dr"]["chance"] < 0.01
    assert result["glaucoma"]["photographs"] == 1
    assert result["glaucoma"]["share"] == 0
    with pytest.raises(InputError, match="None of the photographs has boxes"):
        pointing_game(classifier, records[:0], boxes)


def test_box_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    with pytest.raises(InputError, match="cannot be read"):
        read_boxes(path)
    path.write_text("image,class,cx,cy,w\n")
    with pytest.raises(InputError, match="no column"):
        read_boxes(path)
    path.write_text("image,class,cx,cy,w,h\na.png,optic_disc,0.5,0.5,wide,0.1\n")
    with pytest.raises(InputError, match="line 2"):
        read_boxes(path)
