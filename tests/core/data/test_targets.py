from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ophglm_core.conditions import DEFAULT_LABELS
from ophglm_core.data.keywords import grade_from_keywords
from ophglm_core.data.records import read_records
from ophglm_core.data.splits import Split
from ophglm_core.data.targets import choose_heads, target_matrix
from ophglm_core.errors import InputError

from ...conftest import draw_fundus


@pytest.fixture
def graded(tmp_path: Path) -> Path:
    """A set of grades with the risk of macular oedema, a picture twice, and one without a grade."""
    folder = tmp_path / "graded"
    folder.mkdir()
    lines = ["image,dr_grade,dme_risk,dup_group"]
    for number in range(30):
        draw_fundus((40, 40), number).save(folder / f"{number}.png")
        grade, risk = number % 5, number % 3
        lines.append(f"{number}.png,{grade},{risk},{'7' if number < 2 else ''}")
    draw_fundus((40, 40)).save(folder / "x.png")
    lines.append("x.png,,,")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_grades_are_read_and_say_no_more_than_they_say(graded: Path) -> None:
    records = {r.image.stem: r for r in read_records(graded)}
    assert set(records) == {str(n) for n in range(30)}  # of x nothing is known
    assert records["0"].labels == {"dr": 0, "macular_oedema": 0}  # not yet normal
    assert records["3"].labels == {"dr": 1, "normal": 0, "macular_oedema": 0}
    assert records["2"].labels["macular_oedema"] == 1
    assert [records[n].grade for n in "01234"] == [0, 1, 2, 3, 4]
    assert records["0"].patient == records["1"].patient != records["2"].patient
    (graded / "labels.csv").write_text("image,dr_grade\n0.png,5\n")
    with pytest.raises(InputError, match="line 2: column dr_grade says '5', not 0 to 4"):
        read_records(graded)


@pytest.mark.parametrize(
    ("keywords", "grade"),
    [
        ("mild nonproliferative retinopathy", 1),
        ("moderate non proliferative retinopathy，laser spot", 2),
        ("severe nonproliferative retinopathy", 3),
        ("severe proliferative diabetic retinopathy", 4),
        ("suspected moderate non proliferative retinopathy", None),
        ("mild nonproliferative retinopathy，severe nonproliferative retinopathy", None),
        ("diabetic retinopathy", None),
        ("cataract", None),
    ],
)
def test_grades_in_keywords(keywords: str, grade: int | None) -> None:
    assert grade_from_keywords(keywords) == grade


def test_heads_and_targets(graded: Path, tmp_path: Path) -> None:
    clinic = tmp_path / "clinic"
    clinic.mkdir()
    rows = ["image,keywords," + ",".join(DEFAULT_LABELS)]
    for name, keywords, found in (
        ("a", "normal fundus", "normal"),
        ("b", "moderate non proliferative retinopathy", "dr"),
        ("c", "diabetic retinopathy", "dr"),
    ):
        draw_fundus((40, 40)).save(clinic / f"{name}.png")
        rows.append(
            f"{name}.png,{keywords}," + ",".join(str(int(k == found)) for k in DEFAULT_LABELS)
        )
    (clinic / "labels.csv").write_text("\n".join(rows) + "\n")
    records = [*read_records(clinic), *read_records(graded)]
    heads = choose_heads(records)
    assert [(h.name, h.kind) for h in heads] == [
        ("conditions", "multi_label"),
        ("dr_grade", "ordinal"),
        ("macular_oedema", "multi_label"),
    ]
    assert tuple(heads[0].labels) == DEFAULT_LABELS
    normal, moderate, unknown, *_, last = target_matrix(records, heads)
    # No retinopathy, no exudates: a set that does not speak of macular oedema has none of it.
    assert normal[12] == 0
    assert np.isnan([moderate[12], unknown[12]]).all()
    drusen = replace(records[0], labels={**records[0].labels, "normal": 0, "amd": 1})
    assert np.isnan(target_matrix([drusen], heads)[0, 12])
    assert normal.tolist()[8:12] == [0, 0, 0, 0]
    assert moderate.tolist()[8:12] == [1, 1, 0, 0]
    assert unknown[8] == 1  # at least mild
    assert np.isnan(unknown[9:]).all()
    assert last.tolist()[8:] == [1, 1, 1, 1, 1]  # grade 4, risk 2
    assert np.isnan(last[2:8]).all()
    assert [h.name for h in choose_heads(records, ["amd"])] == ["conditions"]
    assert [h.name for h in choose_heads(records[:1])] == ["conditions"]  # no grades to learn
    # What knows the grade judges it; what knows neither only trains.
    parts = Split(0.2, 0.4).parts(records, DEFAULT_LABELS)
    assert sum(r.source == "graded" for r in parts["test"]) > 5
