"""The layouts in which public sets of fundus photographs circulate: one table, one entry a set.

ODIR-5K, whose keywords need more than columns, is read in `records`. The columns were checked
against public loaders of these sets.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ..conditions import MACULAR_OEDEMA, NORMAL, canonical, normalized
from ..eye_names import EYES
from .classes import class_labels, spoken_of
from .tables import LIST_COLUMNS

Labels = dict[str, int]

#: What is counted of a row that gives no record.
UNGRADABLE = "rows passed over, which the set calls ungradable"
SUSPECTED = "rows passed over, which the set calls suspects"
UNKNOWN_VALUES = "values that are not understood"
NO_LABEL = "rows without a label"

_OTHER: Labels = {NORMAL: 0, "other": 1}
_SICK: Labels = {NORMAL: 0}


@dataclass(frozen=True, kw_only=True)
class PublicSet:
    """How one set says what its photographs show. Names of columns are as `normalized` writes them;
    of several in a tuple the first that a table has counts.

    source: where the set is described. image: the columns of the photograph's name. marks: columns
    that a table of this set has all of, beside one for the image. grade: columns of ICDR grades, 0
    to 4. ungradable: values of these for pictures that cannot be graded. gradable: a column that
    is 0 for such pictures. dme: columns of macular oedema, and the value from which it counts.
    classes: columns of one class, and what each value says (None: passed over as suspected).
    healthy_at: the column that is 0 for a normal photograph and 1 for any other. labels: columns
    of 0 and 1, with the label of each. unsure: such columns that neither say 'other' nor deny it.
    rest: whether all further columns of 0 and 1 stand for 'other'. folders: names of class folders
    and what each says, with the grade where there is one. folder_marks: folders of which one must
    be there before these names mean anything. patient: a pattern for the name without its suffix,
    with the groups `patient` and, if names give it, `eye`. pairs: whether a table with the columns
    left and right says which photographs are of one patient. picture: the photograph's name from
    the patient's number and the eye that the table is about.
    """

    name: str
    source: str
    image: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    grade: tuple[str, ...] = ()
    ungradable: frozenset[str] = frozenset()
    gradable: str | None = None
    dme: tuple[str, ...] = ()
    dme_from: int = 1
    classes: tuple[str, ...] = ()
    class_values: Mapping[str, Labels | None] = field(default_factory=dict)
    healthy_at: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    unsure: frozenset[str] = frozenset()
    rest: bool = False
    folders: Mapping[str, tuple[Labels, int | None]] = field(default_factory=dict)
    folder_marks: frozenset[str] = frozenset()
    patient: str | None = None
    pairs: bool = False
    picture: str | None = None

    @property
    def columns(self) -> frozenset[str]:
        """All columns that the entry names."""
        single = (self.gradable, self.healthy_at)
        named = (*self.image, *self.marks, *self.grade, *self.dme, *self.classes)
        return frozenset({*named, *self.labels, *self.unsure, *filter(None, single)})

    @property
    def declared(self) -> tuple[str, ...]:
        """The labels that tables of the set speak of."""
        found = dict.fromkeys(spoken_of([v for v in self.class_values.values() if v]))
        found |= dict.fromkeys(self.labels.values())
        if self.healthy_at:
            found |= {NORMAL: None}
        if self.rest:
            found |= {"other": None}
        if self.grade:
            found |= {"dr": None}
        if self.dme:
            found |= {MACULAR_OEDEMA: None}
        return tuple(found)

    def reads(self, columns: Collection[str]) -> bool:
        """Whether a table with these columns, as `normalized` writes them, is one of this set.

        One that also has a column for a condition that the set does not name is somebody's own.
        """
        if not self.image or not set(self.marks) <= set(columns):
            return False
        own = [c for c in columns if canonical(c) is not None and c not in self.columns]
        return any(c in columns for c in self.image) and not own

    def read(self, row: Mapping[str, str]) -> Reading:
        """Read one row. row: cells by column, as `normalized` writes it; only columns that the
        table has."""
        if self.gradable and _whole(row.get(self.gradable, "")) == "0":
            return Reading(passed=UNGRADABLE)
        result = Reading()
        if column := _first(self.grade, row):
            self._read_grade(column, row[column], result)
        if column := _first(self.dme, row):
            value = _whole(row[column])
            if value.isdigit() and int(value) <= 2:
                result.labels[MACULAR_OEDEMA] = int(int(value) >= self.dme_from)
            elif value:
                result.unknown.append((column, row[column]))
        if column := _first(self.classes, row):
            self._read_class(column, row[column], result)
        if self.labels:
            self._read_labels(row, result)
        if not result.labels and result.passed is None and not result.unknown:
            result.passed = NO_LABEL
        return result

    def _read_grade(self, column: str, text: str, result: Reading) -> None:
        value = _whole(text)
        if value in self.ungradable:
            result.passed = UNGRADABLE
        elif value in ("0", "1", "2", "3", "4"):
            result.grade = int(value)
            result.labels |= graded(int(value))
        elif value:
            result.unknown.append((column, text))

    def _read_class(self, column: str, text: str, result: Reading) -> None:
        value = _whole(text).lower()
        if value not in self.class_values:
            if value:
                result.unknown.append((column, text))
        elif (labels := self.class_values[value]) is None:
            result.passed = SUSPECTED
        else:
            result.labels |= labels

    def _read_labels(self, row: Mapping[str, str], result: Reading) -> None:
        values = {}
        for column, text in row.items():
            if column in self.image:
                continue
            if (value := _whole(text)) in ("0", "1"):
                values[column] = int(value)
            elif value:
                result.unknown.append((column, text))
        if self.healthy_at in values and not values[self.healthy_at]:
            result.labels |= class_labels(NORMAL)
            return
        if self.healthy_at in values:
            result.labels[NORMAL] = 0
        result.labels |= {key: values[c] for c, key in self.labels.items() if c in values}
        named = {*self.labels, *self.unsure, self.healthy_at}
        further = [value for column, value in values.items() if column not in named]
        if self.rest and any(further):
            result.labels["other"] = 1
        elif self.rest and further and not any(values.get(column) for column in self.unsure):
            result.labels["other"] = 0


@dataclass
class Reading:
    """What one row says. passed: why it gives no record. unknown: columns and values that are not
    understood."""

    labels: Labels = field(default_factory=dict)
    grade: int | None = None
    passed: str | None = None
    unknown: list[tuple[str, str]] = field(default_factory=list)


def graded(grade: int) -> Labels:
    """Return what an ICDR grade says: nothing of other diseases, so grade 0 is not yet normal."""
    return {"dr": 1, NORMAL: 0} if grade else {"dr": 0}


def _first(names: tuple[str, ...], row: Mapping[str, str]) -> str | None:
    return next((name for name in names if name in row), None)


def _whole(text: str) -> str:
    """Return a cell without the '.0' that a spreadsheet adds to whole numbers."""
    return text.strip().removesuffix(".0")


def _graded_folders(*names: str) -> dict[str, tuple[Labels, int | None]]:
    return {name: (graded(grade), grade) for grade, name in enumerate(names)}


#: JSIEC's folders, without those that say 'other'. DR1 to DR3 are its own grades and not ICDR's. A
#: maculopathy may be age-related, a blurred picture may hide anything: only 'normal' is excluded.
_JSIEC: dict[str, Labels] = {
    "0.0.Normal": class_labels(NORMAL),
    "0.3.DR1": class_labels("dr"),
    "1.0.DR2": class_labels("dr"),
    "1.1.DR3": class_labels("dr"),
    "6.Maculopathy": _SICK,
    "9.Pathological myopia": class_labels("myopia"),
    "10.0.Possible glaucoma": class_labels("glaucoma"),
    "11.Severe hypertensive retinopathy": class_labels("hypertensive"),
    "29.0.Blur fundus without PDR": _SICK,
    "29.1.Blur fundus with suspected PDR": _SICK,
    # A large cup can be glaucoma or a healthy eye's.
    "0.2.Large optic cup": {},
}
_JSIEC_OTHER = (
    *("0.1.Tessellated fundus", "2.0.BRVO", "2.1.CRVO", "3.RAO", "4.Rhegmatogenous RD"),
    *("5.0.CSCR", "5.1.VKH disease", "7.ERM", "8.MH", "10.1.Optic atrophy"),
    *("12.Disc swelling and elevation", "13.Dragged Disc", "14.Congenital disc abnormality"),
    *("15.0.Retinitis pigmentosa", "15.1.Bietti crystalline dystrophy"),
    *("16.Peripheral retinal degeneration and break", "17.Myelinated nerve fiber"),
    *("18.Vitreous particles", "19.Fundus neoplasm", "20.Massive hard exudates"),
    *("21.Yellow-white spots-flecks", "22.Cotton-wool spots", "23.Vessel tortuosity"),
    *("24.Chorioretinal atrophy-coloboma", "25.Preretinal hemorrhage", "26.Fibrosis"),
    *("27.Laser Spots", "28.Silicon oil in eye"),
)
_JSIEC_FOLDERS = {
    normalized(name): (labels, None)
    for name, labels in (_JSIEC | dict.fromkeys(_JSIEC_OTHER, _OTHER)).items()
}

#: Every layout that is known; of several that fit a table, the first counts.
PUBLIC_SETS: tuple[PublicSet, ...] = (
    PublicSet(
        name="Messidor-2",
        source="https://www.kaggle.com/datasets/google-brain/messidor2-dr-grades (Krause 2018)",
        image=("image_id", "id_code", "image"),
        marks=("adjudicated_dme",),
        grade=("adjudicated_dr_grade", "diagnosis"),
        gradable="adjudicated_gradable",
        dme=("adjudicated_dme",),
        pairs=True,
    ),
    PublicSet(
        name="IDRiD",
        source="Porwal 2018, https://doi.org/10.3390/data3030025",
        image=("image_name", "id_code"),
        marks=("risk_of_macular_edema",),
        grade=("retinopathy_grade", "diagnosis"),
        dme=("risk_of_macular_edema",),
        # 1 is an exudate somewhere, 2 is one within a disc diameter of the centre.
        dme_from=2,
    ),
    PublicSet(
        name="APTOS",
        source="https://www.kaggle.com/c/aptos2019-blindness-detection",
        image=("id_code",),
        marks=("diagnosis",),
        grade=("diagnosis",),
        folders=_graded_folders("no_dr", "mild", "moderate", "severe", "proliferate_dr"),
        folder_marks=frozenset({"proliferate_dr"}),
    ),
    PublicSet(
        name="EyePACS",
        source="https://www.kaggle.com/c/diabetic-retinopathy-detection",
        image=("image",),
        marks=("level",),
        grade=("level",),
        patient=r"(?P<patient>\d+)_(?P<eye>left|right)",
    ),
    PublicSet(
        name="DDR",
        source="Li 2019, https://doi.org/10.1016/j.ins.2019.06.011",
        image=(normalized(LIST_COLUMNS[0]),),
        marks=(normalized(LIST_COLUMNS[1]),),
        grade=(normalized(LIST_COLUMNS[1]),),
        ungradable=frozenset({"5"}),
    ),
    PublicSet(
        name="RFMiD",
        source="Pachade 2021, https://doi.org/10.3390/data6020014",
        image=("id",),
        marks=("disease_risk", "dr", "armd"),
        healthy_at="disease_risk",
        labels={"dr": "dr", "armd": "amd", "mya": "myopia"},
        # A cupped disc (ODC) can be glaucoma's, a hazy picture (MH) a cataract's; the set does not
        # say, so both of these stay unknown, and so does 'other' where nothing else is marked.
        unsure=frozenset({"odc", "mh"}),
        rest=True,
    ),
    PublicSet(
        name="AIROGS",
        source="de Vente 2023, https://doi.org/10.1109/TMI.2023.3313786",
        image=("challenge_id",),
        marks=("class",),
        classes=("class",),
        class_values={"rg": class_labels("glaucoma"), "nrg": {"glaucoma": 0}},
    ),
    PublicSet(
        name="REFUGE",  # its training part is folders: Glaucoma and Non-Glaucoma
        source="Orlando 2020, https://doi.org/10.1016/j.media.2019.101570",
        image=("imgname",),
        marks=("label(glaucoma=1)",),
        classes=("label(glaucoma=1)",),
        class_values={"0": {"glaucoma": 0}, "1": class_labels("glaucoma")},
    ),
    PublicSet(
        name="REFUGE",  # its validation part names the column otherwise
        source="Orlando 2020, https://doi.org/10.1016/j.media.2019.101570",
        image=("imgname",),
        marks=("glaucoma_label",),
        classes=("glaucoma_label",),
        class_values={"0": {"glaucoma": 0}, "1": class_labels("glaucoma")},
    ),
    PublicSet(
        name="PAPILA",
        source="Kovalyk 2022, https://doi.org/10.1038/s41597-022-01388-1",
        image=("id",),
        marks=("diagnosis", "pachymetry"),
        classes=("diagnosis",),
        # 'Healthy' is said of glaucoma; 2 is a suspect.
        class_values={"0": {"glaucoma": 0}, "1": class_labels("glaucoma"), "2": None},
        patient=r"RET(?P<patient>\d+)(?P<eye>OD|OS)",
        picture="RET{patient:0>3}{eye}",
    ),
    PublicSet(
        name="JSIEC",
        source="Cen 2021, https://doi.org/10.1038/s41467-021-25138-w",
        folders=_JSIEC_FOLDERS,
        folder_marks=frozenset(_JSIEC_FOLDERS),
    ),
)


def public_set(columns: Collection[str]) -> PublicSet | None:
    """Return the set that tables with these columns belong to, or None."""
    plain = {normalized(column) for column in columns}
    return next((known for known in PUBLIC_SETS if known.reads(plain)), None)


def folder_set(folders: Collection[str]) -> PublicSet | None:
    """Return the set whose class folders are among these names, or None."""
    plain = {normalized(folder) for folder in folders}
    return next((known for known in PUBLIC_SETS if known.folder_marks & plain), None)


def patient_and_eye(known: PublicSet, stem: str) -> tuple[str, str | None]:
    """Return the patient that a photograph's name gives, and 'left', 'right' or None. A set's name
    is part of the patient's, so that numbers of two sets stay apart."""
    found = re.match(known.patient, stem, re.IGNORECASE) if known.patient else None
    if found is None:
        return f"{known.name} {stem}", None
    eye = found.groupdict().get("eye")
    return f"{known.name} {found['patient']}", EYES.get(eye.lower()) if eye else None
