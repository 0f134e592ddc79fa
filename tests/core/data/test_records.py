from __future__ import annotations

import csv
from pathlib import Path

import pytest

from ophglm_core.conditions import CONDITIONS, DEFAULT_LABELS
from ophglm_core.data.keywords import labels_from_keywords
from ophglm_core.data.records import choose_labels, read_records
from ophglm_core.data.splits import Split
from ophglm_core.errors import InputError

from ...conftest import draw_fundus


def write_table(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize(
    ("keywords", "positive"),
    [
        ("normal fundus", {"normal"}),
        ("normal fundus，lens dust", {"normal"}),
        (
            "moderate non proliferative retinopathy，hypertensive retinopathy",
            {"dr", "hypertensive"},
        ),
        ("hypertensive retinopathy", {"hypertensive"}),
        ("severe proliferative diabetic retinopathy", {"dr"}),
        ("dry age-related macular degeneration，glaucoma", {"amd", "glaucoma"}),
        ("suspected glaucoma,myopia retinopathy", {"glaucoma", "myopia"}),
        ("cataract", {"cataract"}),
        ("macular epiretinal membrane", {"other"}),
        ("laser spot，moderate non proliferative retinopathy", {"dr", "other"}),
    ],
)
def test_keywords(keywords: str, positive: set[str]) -> None:
    labels = labels_from_keywords(keywords)
    assert labels is not None
    assert {k for k, v in labels.items() if v} == positive
    assert set(labels) == set(DEFAULT_LABELS)


def test_keywords_on_quality_alone_give_no_label() -> None:
    assert labels_from_keywords("lens dust") is None
    assert labels_from_keywords("low image quality，lens dust") is None


def test_keywords_agree_with_the_real_table(odir: Path) -> None:
    records = read_records(odir)
    assert len(records) == 5046
    differing = [r for r in records if labels_from_keywords(r.keywords or "") != r.labels]
    assert len(differing) <= 1  # one eye has both an epiretinal membrane and 'normal fundus'


def test_full_df_has_labels_per_eye_and_not_per_patient(tmp_path: Path) -> None:
    for name in ("7_left.jpg", "7_right.jpg"):
        draw_fundus().save(tmp_path / name)
    common = {
        "ID": 7,
        "Patient Age": 60,
        "Patient Sex": "Male",
        "Left-Fundus": "7_left.jpg",
        "Right-Fundus": "7_right.jpg",
        "Left-Diagnostic Keywords": "normal fundus",
        "Right-Diagnostic Keywords": "cataract",
        "N": 0,
        "C": 1,
    }
    write_table(
        tmp_path / "full_df.csv",
        [{**common, "filename": "7_right.jpg"}, {**common, "filename": "7_left.jpg"}],
    )
    records = {r.laterality: r for r in read_records(tmp_path)}
    assert records["left"].labels["normal"] == 1
    assert records["left"].labels["cataract"] == 0
    assert records["right"].labels["cataract"] == 1
    assert records["left"].patient == records["right"].patient == "7"


def test_challenge_workbook(tmp_path: Path) -> None:
    from openpyxl import Workbook

    draw_fundus().save(tmp_path / "0_left.jpg")
    draw_fundus().save(tmp_path / "0_right.jpg")
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(
        [
            *("ID", "Patient Age", "Patient Sex", "Left-Fundus", "Right-Fundus"),
            *("Left-Diagnostic Keywords", "Right-Diagnostic Keywords", "N"),
        ]
    )
    sheet.append([0, 69, "Female", "0_left.jpg", "0_right.jpg", "cataract", "normal fundus", 0])
    book.save(tmp_path / "ODIR-5K_Training_Annotations.xlsx")
    records = read_records(tmp_path)
    assert [(r.laterality, r.labels["cataract"]) for r in records] == [("left", 1), ("right", 0)]


def test_class_folders_leave_other_labels_unknown(tmp_path: Path) -> None:
    for name in ("Normal", "diabetic_retinopathy", "Pathological Myopia", "unrelated"):
        (tmp_path / name).mkdir()
        draw_fundus().save(tmp_path / name / "a.jpg")
    records = {r.patient: r.labels for r in read_records(tmp_path)}
    assert records["normal/a"] == {k: int(k == "normal") for k in CONDITIONS}
    assert records["dr/a"] == {"normal": 0, "dr": 1}
    assert records["myopia/a"] == {"normal": 0, "myopia": 1}
    # Of a class that the table does not know, nothing but itself is known.
    assert records["unrelated/a"] == {"unrelated": 1}
    found = read_records(tmp_path)
    assert choose_labels(found).keys == ("normal", "dr", "myopia", "unrelated")
    assert choose_labels(found).own == ("unrelated",)
    assert choose_labels(found, ["diabetic_retinopathy"]).keys == ("dr",)
    with pytest.raises(InputError, match="No photograph is labelled amd"):
        choose_labels(found, ["amd"])


def test_a_linked_folder_of_images_is_read(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    draw_fundus().save(tmp_path / "real" / "a.jpg")
    data = tmp_path / "set"
    data.mkdir()
    (data / "images").symlink_to(tmp_path / "real")
    write_table(data / "labels.csv", [{"image": "a.jpg", **dict.fromkeys(DEFAULT_LABELS, 0)}])
    assert len(read_records(data)) == 1


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_records(tmp_path / "nowhere")
    with pytest.raises(InputError, match="folders of photographs"):
        read_records(tmp_path)
    write_table(tmp_path / "labels.csv", [{"image": "a.jpg", "remark": "dark"}])
    with pytest.raises(InputError, match="no column of labels"):
        read_records(tmp_path)
    write_table(tmp_path / "labels.csv", [{"image": "a.jpg", **dict.fromkeys(DEFAULT_LABELS, 0)}])
    with pytest.raises(InputError, match="no photograph that is there"):
        read_records(tmp_path)
    draw_fundus().save(tmp_path / "a.jpg")
    write_table(
        tmp_path / "labels.csv", [{"image": "a.jpg", **dict.fromkeys(DEFAULT_LABELS, "yes")}]
    )
    with pytest.raises(InputError, match="line 2: column normal says 'yes'"):
        read_records(tmp_path)


def test_split_keeps_both_eyes_together_and_is_stable(odir: Path) -> None:
    records = read_records(odir)
    parts = Split().parts(records, DEFAULT_LABELS)
    patients = {part: {r.patient for r in rows} for part, rows in parts.items()}
    assert not patients["train"] & patients["test"]
    assert not patients["train"] & patients["validation"]
    assert not patients["validation"] & patients["test"]
    assert 0.17 < len(patients["test"]) / 2655 < 0.23
    assert sum(len(rows) for rows in parts.values()) == len(records)
    # Leaving records out moves no patient.
    fewer = Split().parts(records[::2], DEFAULT_LABELS)
    assert {r.patient for r in fewer["test"]} <= patients["test"]


def test_partly_labelled_pictures_only_train(odir: Path) -> None:
    from ...conftest import shared

    records = read_records(shared("eye4"))
    assert not any(r.is_complete(DEFAULT_LABELS) for r in records)
    mixed = Split().parts([*records, *read_records(odir)], DEFAULT_LABELS)
    assert all(r.is_complete(DEFAULT_LABELS) for r in mixed["validation"] + mixed["test"])
    alone = Split().parts(records, DEFAULT_LABELS)
    assert alone["validation"]
