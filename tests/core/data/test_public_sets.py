"""Public sets in the layouts in which they circulate, and tables as people save them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image

from ophglm_core.data.classes import class_labels
from ophglm_core.data.duplicates import (
    CONTRADICTIONS,
    SAME_PICTURE,
    group_duplicates,
    read_sets,
)
from ophglm_core.data.public_sets import (
    NO_LABEL,
    PUBLIC_SETS,
    SUSPECTED,
    UNGRADABLE,
    UNKNOWN_VALUES,
)
from ophglm_core.data.records import (
    MASKS,
    NO_CLASS,
    NO_FILE,
    NO_PAIRS,
    Record,
    choose_labels,
    read_records,
)
from ophglm_core.data.report import NOT_USED, ReadReport
from ophglm_core.data.splits import Split
from ophglm_core.errors import InputError
from ophglm_core.training.config import Callbacks, EncoderConfig
from ophglm_core.training.encoder import EncoderStage

from ...conftest import draw_fundus

NORMAL = class_labels("normal")
SICK = {"normal": 0}
DR, NO_DR = {"dr": 1, "normal": 0}, {"dr": 0}
GLAUCOMA, NO_GLAUCOMA = {"glaucoma": 1, "normal": 0}, {"glaucoma": 0}
OTHER = {"other": 1, "normal": 0}


def draw(path: Path, seed: int) -> None:
    """Draw a small retina that differs from the others by its seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = draw_fundus((40, 30), seed)
    picture.putpixel((0, 0), (seed, 1, 0))
    picture.save(path)


def workbook(path: Path, *lines: tuple[object, ...]) -> None:
    from openpyxl import Workbook

    path.parent.mkdir(parents=True, exist_ok=True)
    book = Workbook()
    assert book.active is not None
    for line in lines:
        book.active.append(line)
    book.save(path)


@dataclass
class Layout:
    """Files of a set, and what is to be read: by the path of a picture its labels, grade, patient
    and eye; counts of what is passed over."""

    name: str
    pictures: list[str]
    tables: dict[str, str | list[tuple[object, ...]]] = field(default_factory=dict)
    records: dict[str, tuple[dict[str, int], int | None, str, str | None]] = field(
        default_factory=dict
    )
    passed: dict[str, int] = field(default_factory=dict)
    declared: tuple[str, ...] = ("dr",)

    def write(self, folder: Path) -> Path:
        for seed, name in enumerate(self.pictures):
            draw(folder / name, seed)
        for name, content in self.tables.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                (folder / name).write_text(content, encoding="utf-8")
            else:
                workbook(folder / name, *content)
        return folder


IDRID = "B. Disease Grading/1. Original Images/"
IDRID_TABLES = "B. Disease Grading/2. Groundtruths/"
IDRID_HEADER = "Image name,Retinopathy grade,Risk of macular edema ,,,\n"
RFMID_HEADER = "ID,Disease_Risk,DR,ARMD,MH,DN,MYA,ODC,CRVO\n"
PAPILA_HEADERS = [
    ("", "Age", "Gender", "Diagnosis", "Refractive defect", "", "Pachymetry"),
    ("", "Age", "Gender", "Diagnosis", "dioptre_1", "dioptre_2", "Pachymetry"),
    ("ID", "", "", "", "", "", ""),
]
LAYOUTS = [
    Layout(
        "APTOS",
        ["train_images/0a.png", "train_images/0b.png", "test_images/0c.png"],
        {
            "train.csv": "id_code,diagnosis\n0a,0\n0b,3\n0x,1\n",
            "test.csv": "id_code\n0c\n",
            "sample_submission.csv": "id_code,diagnosis\n0c,0\n",
        },
        {
            "train_images/0a.png": (NO_DR, 0, "APTOS 0a", None),
            "train_images/0b.png": (DR, 3, "APTOS 0b", None),
        },
        {NO_FILE: 1},
    ),
    Layout(
        "APTOS",
        ["No_DR/a.png", "Mild/b.png", "Proliferate_DR/c.png"],
        {},
        {
            "No_DR/a.png": (NO_DR, 0, "no_dr/a", None),
            "Mild/b.png": (DR, 1, "mild/b", None),
            "Proliferate_DR/c.png": (DR, 4, "proliferate_dr/c", None),
        },
    ),
    Layout(
        "EyePACS",
        ["train/10_left.jpeg", "train/10_right.jpeg"],
        {"trainLabels.csv": "image,level\n10_left,0\n10_right,2\n"},
        {
            "train/10_left.jpeg": (NO_DR, 0, "EyePACS 10", "left"),
            "train/10_right.jpeg": (DR, 2, "EyePACS 10", "right"),
        },
    ),
    Layout(
        "Messidor-2",
        ["IMAGES/20_PP.png", "IMAGES/21_PP.png", "IMAGES/IM4.JPG", "IMAGES/IM5.JPG"],
        {
            "messidor_data.csv": "image_id,adjudicated_dr_grade,adjudicated_dme,"
            "adjudicated_gradable\n20_PP.png,0,0,1\n21_PP.png,2,1,1\nIM4.jpg,1,0,1\nIM5.jpg,,,0\n",
            "messidor-2.csv": "left;right\n21_PP.png;20_PP.png\n",
        },
        {
            "IMAGES/20_PP.png": (
                {**NO_DR, "macular_oedema": 0},
                0,
                "messidor-2 2",
                "right",
            ),
            "IMAGES/21_PP.png": ({**DR, "macular_oedema": 1}, 2, "messidor-2 2", "left"),
            "IMAGES/IM4.JPG": ({**DR, "macular_oedema": 0}, 1, "Messidor-2 IM4", None),
        },
        {UNGRADABLE: 1, NO_PAIRS: 1},
        ("dr", "macular_oedema"),
    ),
    Layout(
        "IDRiD",
        # Both parts are numbered from 1.
        [
            IDRID + "a. Training Set/IDRiD_001.jpg",
            IDRID + "a. Training Set/IDRiD_002.jpg",
            IDRID + "b. Testing Set/IDRiD_001.jpg",
        ],
        {
            IDRID_TABLES + "a. IDRiD_Disease Grading_Training Labels.csv": IDRID_HEADER
            + "IDRiD_001,3,2,,,\nIDRiD_002,0,0,,,\n,,,,,\n",
            IDRID_TABLES + "b. IDRiD_Disease Grading_Testing Labels.csv": IDRID_HEADER
            + "IDRiD_001,1,1,,,\nIDRiD_002,4,2,,,\n",
        },
        {
            IDRID + "a. Training Set/IDRiD_001.jpg": (
                {**DR, "macular_oedema": 1},
                3,
                "IDRiD IDRiD_001",
                None,
            ),
            IDRID + "a. Training Set/IDRiD_002.jpg": (
                {**NO_DR, "macular_oedema": 0},
                0,
                "IDRiD IDRiD_002",
                None,
            ),
            IDRID + "b. Testing Set/IDRiD_001.jpg": (
                {**DR, "macular_oedema": 0},
                1,
                "IDRiD IDRiD_001",
                None,
            ),
        },
        {NO_FILE: 1},
        ("dr", "macular_oedema"),
    ),
    Layout(
        "DDR",
        ["DR_grading/train/007-1.jpg", "DR_grading/train/007-2.jpg", "DR_grading/valid/9.jpg"],
        {
            "DR_grading/train.txt": "007-1.jpg 4\n007-2.jpg 5\n",
            "DR_grading/valid.txt": "9.jpg 0\n",
        },
        {
            "DR_grading/train/007-1.jpg": (DR, 4, "DDR 007-1", None),
            "DR_grading/valid/9.jpg": (NO_DR, 0, "DDR 9", None),
        },
        {UNGRADABLE: 1},
    ),
    Layout(
        "RFMiD",
        [*(f"Training_Set/Training/{n}.png" for n in range(1, 7)), "Test_Set/Test/1.png"],
        {
            "Training_Set/RFMiD_Training_Labels.csv": RFMID_HEADER + "1,0,0,0,0,0,0,0,0\n"
            "2,1,1,0,0,0,0,0,0\n3,1,0,1,0,0,1,0,0\n4,1,0,0,0,0,0,0,1\n5,1,0,0,0,0,0,1,0\n"
            "6,1,0,0,1,1,0,0,0\n",
            "Test_Set/RFMiD_Testing_Labels.csv": RFMID_HEADER + "1,1,1,0,0,0,0,0,0\n",
        },
        {
            "Training_Set/Training/1.png": (NORMAL, 0, "RFMiD 1", None),
            "Training_Set/Training/2.png": (
                {**DR, "amd": 0, "myopia": 0, "other": 0},
                None,
                "RFMiD 2",
                None,
            ),
            "Training_Set/Training/3.png": (
                {**SICK, "dr": 0, "amd": 1, "myopia": 1, "other": 0},
                0,
                "RFMiD 3",
                None,
            ),
            "Training_Set/Training/4.png": (
                {**OTHER, "dr": 0, "amd": 0, "myopia": 0},
                0,
                "RFMiD 4",
                None,
            ),
            # A cupped disc says neither glaucoma nor another abnormality.
            "Training_Set/Training/5.png": (
                {**SICK, "dr": 0, "amd": 0, "myopia": 0},
                0,
                "RFMiD 5",
                None,
            ),
            "Training_Set/Training/6.png": (
                {**OTHER, "dr": 0, "amd": 0, "myopia": 0},
                0,
                "RFMiD 6",
                None,
            ),
            "Test_Set/Test/1.png": (
                {**DR, "amd": 0, "myopia": 0, "other": 0},
                None,
                "RFMiD 1",
                None,
            ),
        },
        {},
        ("dr", "amd", "myopia", "normal", "other"),
    ),
    Layout(
        "AIROGS",
        ["0/TRAIN000000.jpg", "1/TRAIN000001.jpg", "1/TRAIN000002.jpg"],
        {
            "train_labels.csv": "challenge_id,class\nTRAIN000000,RG\nTRAIN000001,NRG\n"
            "TRAIN000002,U\n"
        },
        {
            "0/TRAIN000000.jpg": (GLAUCOMA, None, "AIROGS TRAIN000000", None),
            "1/TRAIN000001.jpg": (NO_GLAUCOMA, None, "AIROGS TRAIN000001", None),
        },
        {UNKNOWN_VALUES: 1},
        ("glaucoma",),
    ),
    Layout(
        "REFUGE",
        [
            "Training400/Glaucoma/g0001.jpg",
            "Training400/Non-Glaucoma/n0001.jpg",
            "Annotation-Training400/Disc_Cup_Masks/Glaucoma/g0001.bmp",
        ],
        {},
        {
            "Training400/Glaucoma/g0001.jpg": (GLAUCOMA, None, "glaucoma/g0001", None),
            "Training400/Non-Glaucoma/n0001.jpg": (
                NO_GLAUCOMA,
                None,
                "non_glaucoma/n0001",
                None,
            ),
        },
        {MASKS: 1},
        ("glaucoma",),
    ),
    Layout(
        "REFUGE",
        ["Test400/T0001.jpg", "Test400/T0002.jpg"],
        {
            "Glaucoma_label_and_Fovea_location.xlsx": [
                ("ID", "ImgName", "Label(Glaucoma=1)", "Fovea_X", "Fovea_Y"),
                (1, "T0001.jpg", 1, 12.5, 13.5),
                (2, "T0002.jpg", 0, 12.5, 13.5),
            ]
        },
        {
            "Test400/T0001.jpg": (GLAUCOMA, None, "REFUGE T0001", None),
            "Test400/T0002.jpg": (NO_GLAUCOMA, None, "REFUGE T0002", None),
        },
        {NOT_USED: 3},
        ("glaucoma",),
    ),
    Layout(
        "PAPILA",
        [f"FundusImages/RET00{n}{eye}.jpg" for n in (2, 4) for eye in ("OD", "OS")],
        {
            "ClinicalData/patient_data_od.xlsx": [
                *PAPILA_HEADERS,
                ("#002", 47, 0, 2, 0.75, -1.75, 586),
                ("#004", 58, 1, 1, 1.5, -1.75, 501),
            ],
            "ClinicalData/patient_data_os.xlsx": [
                *PAPILA_HEADERS,
                ("#002", 47, 0, 0, 0.75, -1.75, 586),
                ("#004", 58, 1, 0, 1.5, -1.75, 501),
            ],
        },
        {
            "FundusImages/RET004OD.jpg": (GLAUCOMA, None, "PAPILA 004", "right"),
            "FundusImages/RET002OS.jpg": (NO_GLAUCOMA, None, "PAPILA 002", "left"),
            "FundusImages/RET004OS.jpg": (NO_GLAUCOMA, None, "PAPILA 004", "left"),
        },
        {SUSPECTED: 1},
        ("glaucoma",),
    ),
    Layout(
        "JSIEC",
        [
            "1000images/0.0.Normal/a.JPG",
            "1000images/0.3.DR1/b.JPG",
            "1000images/10.0.Possible glaucoma/c.JPG",
            "1000images/2.0.BRVO/d.JPG",
            "1000images/6.Maculopathy/e.JPG",
            "1000images/0.2.Large optic cup/f.JPG",
        ],
        {},
        {
            "1000images/0.0.Normal/a.JPG": (NORMAL, 0, "0.0.normal/a", None),
            # Its own grade and not ICDR's.
            "1000images/0.3.DR1/b.JPG": (DR, None, "0.3.dr1/b", None),
            "1000images/10.0.Possible glaucoma/c.JPG": (
                GLAUCOMA,
                None,
                "10.0.possible_glaucoma/c",
                None,
            ),
            "1000images/2.0.BRVO/d.JPG": (OTHER, None, "2.0.brvo/d", None),
            "1000images/6.Maculopathy/e.JPG": (SICK, None, "6.maculopathy/e", None),
        },
        {"photographs passed over, as 0.2.Large optic cup says nothing sure": 1},
        ("normal", "dr", "glaucoma", "other"),
    ),
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_layout(layout: Layout, tmp_path: Path) -> None:
    folder, report = layout.write(tmp_path / "set"), ReadReport()
    records = read_records(folder, report)
    read = {
        r.image.relative_to(folder).as_posix(): (r.labels, r.grade, r.patient, r.laterality)
        for r in records
    }
    assert read == layout.records
    assert len(records) == len(layout.records)
    assert set(choose_labels(records)) == set(layout.declared)
    named = {r.source for r in records}
    assert named == ({layout.name} if layout.name != "REFUGE" or layout.tables else {"set"})
    kinds = {NO_FILE, UNGRADABLE, SUSPECTED, UNKNOWN_VALUES, NO_LABEL, NO_CLASS, MASKS, NO_PAIRS}
    counted = {kind: report.count(kind) for kind in kinds | set(layout.passed)}
    assert {kind: count for kind, count in counted.items() if count} == layout.passed


def test_every_set_has_a_layout_here() -> None:
    assert {layout.name for layout in LAYOUTS} == {known.name for known in PUBLIC_SETS}


def test_a_table_that_stands_beside_its_photographs_can_be_named(tmp_path: Path) -> None:
    layout = next(layout for layout in LAYOUTS if layout.name == "IDRiD")
    folder = layout.write(tmp_path)
    table = folder / IDRID_TABLES / "b. IDRiD_Disease Grading_Testing Labels.csv"
    (record,) = read_records(table)
    assert record.grade == 1
    assert record.image.parent.name == "b. Testing Set"


@pytest.mark.parametrize(
    ("encoding", "separator"),
    [
        ("utf-8", ","),
        ("utf-8-sig", ";"),
        ("utf-16", "\t"),
        ("gbk", ","),
        ("gb18030", ";"),
    ],
)
def test_tables_as_people_save_them(encoding: str, separator: str, tmp_path: Path) -> None:
    for seed, name in enumerate(("左眼.jpg", "b.PNG", "c.jpg")):
        draw(tmp_path / "pictures" / name, seed)
    lines = (
        ("Image", "Patient", "DR", "裂孔", "keywords"),
        ("左眼", "张三", "1", "0", "微动脉瘤"),
        ("b.png", "张三", "0", "1", ""),
        ("pictures\\c.jpg", "李四", "", "?", ""),
        ("", "", "", "", ""),
    )
    text = "\n".join(separator.join(line) for line in lines)
    (tmp_path / "表.csv").write_bytes(text.encode(encoding))
    report = ReadReport()
    records = read_records(tmp_path, report)
    assert [(r.image.name, r.patient) for r in records] == [("左眼.jpg", "张三"), ("b.PNG", "张三")]
    assert [r.labels for r in records] == [{"dr": 1, "裂孔": 0}, {"dr": 0, "裂孔": 1}]
    # The doubtful value in a column of one's own leaves it unknown, and is counted.
    assert report.count(UNKNOWN_VALUES) == 1
    assert report.count(NO_LABEL) == 1


def test_what_is_no_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"image,dr\n\xff\xff\xff,1\n")
    with pytest.raises(InputError, match="no table in UTF-8, UTF-16 or GB 18030"):
        read_records(tmp_path)
    for name in ("one.csv", "two.csv"):
        (tmp_path / name).write_text("image,dr\na.jpg,1\n")
    (tmp_path / "labels.csv").unlink()
    with pytest.raises(InputError, match=r"several tables \(one.csv, two.csv\)"):
        read_records(tmp_path)


def test_a_known_condition_has_no_doubtful_values_but_an_own_column_may(tmp_path: Path) -> None:
    draw(tmp_path / "a.jpg", 0)
    draw(tmp_path / "b.jpg", 1)
    table = tmp_path / "labels.csv"
    table.write_text("image,hole,age_at,score\na.jpg,1,70,1\nb.jpg,x,60,2.5\n")
    report = ReadReport()
    with pytest.raises(InputError, match="no column of labels"):
        read_records(tmp_path)  # half of 'hole' is no 0 or 1
    table.write_text("image,hole,age_at,score\na.jpg,1,70,1\nb.jpg,0,60,2.5\n")
    records = read_records(tmp_path, report)
    assert [r.labels for r in records] == [{"hole": 1}, {"hole": 0}]
    name = tmp_path.name
    assert report.sentences() == [
        f"{name}/labels.csv: columns that are not used: 2 (age_at, score)."
    ]
    table.write_text("image,hole,dr\na.jpg,1,1\nb.jpg,0,maybe\n")
    with pytest.raises(InputError, match="line 3: column dr says 'maybe'"):
        read_records(tmp_path)


@pytest.mark.parametrize(
    ("folder", "labels"),
    [
        ("Non-Glaucoma", NO_GLAUCOMA),
        ("non_glaucoma", NO_GLAUCOMA),
        ("NonGlaucoma", NO_GLAUCOMA),
        ("no glaucoma", NO_GLAUCOMA),
        ("not_glaucoma", NO_GLAUCOMA),
        ("No DR", NO_DR),
        ("Non-Hole", {"hole": 0}),
        ("No finding", NORMAL),
        ("Non-proliferative", {"non_proliferative": 1}),
        ("Nonspecific", {"nonspecific": 1}),
        ("Notch", {"notch": 1}),
    ],
)
def test_a_folder_that_denies_a_class(folder: str, labels: dict[str, int], tmp_path: Path) -> None:
    draw(tmp_path / folder / "a.jpg", 0)
    draw(tmp_path / "Glaucoma" / "b.jpg", 1)
    draw(tmp_path / "loose.jpg", 2)
    report = ReadReport()
    records = {r.image.name: r for r in read_records(tmp_path, report)}
    assert records["a.jpg"].labels == labels
    assert records["b.jpg"].labels == GLAUCOMA
    assert report.count(NO_CLASS) == 1
    if not any(labels.values()):
        label = next(iter(labels))
        assert f"non_{label}" not in choose_labels(list(records.values()))


def test_a_column_that_denies_a_condition(tmp_path: Path) -> None:
    draw(tmp_path / "a.jpg", 0)
    draw(tmp_path / "b.jpg", 1)
    (tmp_path / "labels.csv").write_text("image,No DR,hole\na.jpg,1,0\nb.jpg,0,1\n")
    assert [r.labels for r in read_records(tmp_path)] == [
        {"dr": 0, "hole": 0},
        {"dr": 1, "hole": 1},
    ]


def test_classes_below_parts(tmp_path: Path) -> None:
    for seed, name in enumerate(("train/hole", "train/scar", "test/hole")):
        draw(tmp_path / name / f"{seed}.jpg", seed)
    assert [r.labels for r in read_records(tmp_path)] == [{"hole": 1}, {"hole": 1}, {"scar": 1}]


def make_records(folder: Path, count: int, source: str, **more: object) -> list[Record]:
    records = []
    for number in range(count):
        path = folder / source / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        colour = (number, len(source), 0)
        Image.new("RGB", (4, 4), colour).save(path)
        labels = {"normal": number % 2, "dr": 1 - number % 2}
        patient = f"{source} {number}"
        records.append(Record(path, patient, labels, source=source, declared=("normal", "dr")))
    return records


def test_copies_fall_on_one_side_of_the_split(tmp_path: Path) -> None:
    one, two = make_records(tmp_path, 40, "a"), make_records(tmp_path, 40, "bb")
    for copy, original in zip(two[:20], one[20:], strict=True):
        shutil.copyfile(original.image, copy.image)
    split, labels = Split(), ("normal", "dr")

    def parted(records: list[Record]) -> int:
        parts = split.parts(records, labels)
        where = {r.image: part for part, found in parts.items() for r in found}
        return sum(
            where[c.image] != where[o.image] for c, o in zip(two[:20], one[20:], strict=True)
        )

    assert parted([*one, *two]) > 0  # else this test shows nothing
    report = ReadReport()
    grouped = group_duplicates([*one, *two], report)
    assert parted(grouped) == 0
    assert [r.image for r in grouped] == [r.image for r in (*one, *two)]
    assert report.count(SAME_PICTURE) == 20
    assert report.count(CONTRADICTIONS) == 0
    assert "a and bb: photographs that are there more than once" in report.sentences()[0]
    # What has no copy keeps its patient, and so its part.
    assert [r.patient for r in grouped[60:]] == [r.patient for r in two[20:]]


def test_copies_join_whole_patients(tmp_path: Path) -> None:
    first, copy, fellow, alone = make_records(tmp_path, 4, "s")
    shutil.copyfile(first.image, copy.image)
    fellow = Record(fellow.image, copy.patient, fellow.labels, source="s")
    grouped = group_duplicates([first, copy, fellow, alone], ReadReport())
    assert len({r.patient for r in grouped[:3]}) == 1
    assert grouped[3].patient not in {r.patient for r in grouped[:3]}


def test_contradicting_labels_of_copies_are_counted(tmp_path: Path) -> None:
    one = make_records(tmp_path, 6, "a")
    shutil.copyfile(one[0].image, one[1].image)  # dr and normal
    shutil.copyfile(one[2].image, one[4].image)  # dr both
    report = ReadReport()
    group_duplicates(one, report)
    assert report.count(SAME_PICTURE) == 2
    assert report.count(CONTRADICTIONS) == 1
    graded = [Record(one[n].image, f"{n}", {"dr": 1}, grade=g) for n, g in ((2, 1), (4, 3))]
    report = ReadReport()
    group_duplicates(graded, report)
    assert report.count(CONTRADICTIONS) == 1


def test_what_was_passed_over_is_said_before_a_training(tmp_path: Path) -> None:
    for name, grade in (("one", 1), ("two", 2)):
        lines = ["id_code,diagnosis"]
        for number in range(30):
            draw(tmp_path / name / "train_images" / f"{name}{number}.png", 30 * grade + number)
            lines.append(f"{name}{number},{number % 3}")
        lines += ["gone,1", f"{name}0,severe"]
        (tmp_path / name / "train.csv").write_text("\n".join(lines) + "\n")
    copied = tmp_path / "two" / "train_images" / "two1.png"
    shutil.copyfile(tmp_path / "one" / "train_images" / "one0.png", copied)
    data = (tmp_path / "one", tmp_path / "two")
    stage = EncoderStage(EncoderConfig(data=data, out=tmp_path / "model"))
    said: list[str] = []
    stage._remark_labels(Callbacks(remark=said.append))
    assert said[:2] == [
        "one/train.csv: rows without their photograph: 1 (gone).",
        "one/train.csv: values that are not understood: 1 (line 33: diagnosis severe).",
    ]
    assert sum("more than once" in sentence for sentence in said) == 2
    patients = {r.image.name: r.patient for r in stage.records}
    assert patients["one0.png"] == patients["two1.png"] == "APTOS one0"
    assert read_sets(data, ReadReport())[data[1]][1].patient == "APTOS one0"
