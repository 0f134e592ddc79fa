"""The library: short checked answers to what is asked of the eye, in English and Chinese.

One JSON file a subject in `entries/`. Each entry answers the questions that are listed with it, in
one to three sentences, and names its source; `docs/knowledge.md` counts them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from ..conditions import NAMING

LANGUAGES = ("en", "zh")
#: Subjects that any question may be about.
GENERAL_SUBJECTS = frozenset({"tests", "photograph", "screening", "general", "normal"})
AUDIENCES = ("clinician", "patient", "both")
TOPICS = (
    "definition",
    "signs",
    "grades",
    "causes",
    "risk",
    "heredity",
    "symptoms",
    "examination",
    "differential",
    "treatment",
    "drugs",
    "surgery",
    "complications",
    "follow_up",
    "urgency",
    "prognosis",
    "prevention",
    "driving",
    "work",
    "sport",
    "pregnancy",
    "children",
    "fasting",
    "travel",
    "diet",
    "aids",
    "family",
    "screening",
    "lifestyle",
    "limits",
)


@dataclass(frozen=True)
class Entry:
    """One answer with its source.

    subject: a condition or another key of SUBJECTS. topic: one of TOPICS. questions: by language,
    wordings of what it answers. verified: whether a stored text of the source was read that says
    it; else it stands on common knowledge that the source is known to hold. checked: the day.
    """

    id: str
    subject: str
    topic: str
    audience: str
    en: str
    zh: str
    questions: Mapping[str, tuple[str, ...]]
    source: str
    url: str
    verified: bool
    checked: str

    def text(self, language: str) -> str:
        """Return the answer in 'en' or 'zh'."""
        return self.zh if language == "zh" else self.en


@dataclass(frozen=True)
class Subject:
    """What entries are about. pattern: a regular expression by which a question names it."""

    key: str
    name: str
    name_zh: str
    pattern: str

    def name_in(self, language: str) -> str:
        """Return the name in 'en' or 'zh'."""
        return self.name_zh if language == "zh" else self.name


@cache
def entries() -> tuple[Entry, ...]:
    """Return all entries, by subject and in the order of their files."""
    folder = resources.files(__package__) / "entries"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".json")), key=lambda f: f.name)
    return tuple(
        _entry(subject, values)
        for file in files
        for subject, listed in [_read(file.read_text(encoding="utf-8"))]
        for values in listed
    )


@cache
def vocabulary() -> tuple[str, frozenset[str]]:
    """Return what the library says in Chinese as one text, and its English words in small
    letters: what is no name of a person."""
    chinese = "\n".join(t for e in entries() for t in (*e.questions["zh"], e.zh))
    english = " ".join(t for e in entries() for t in (*e.questions["en"], e.en))
    return chinese, frozenset(re.findall(r"[a-z]+", english.lower()))


def _read(text: str) -> tuple[str, list[dict[str, Any]]]:
    values = json.loads(text)
    return values["condition"], values["entries"]


def _entry(subject: str, values: dict[str, Any]) -> Entry:
    questions = {language: tuple(values["questions"][language]) for language in LANGUAGES}
    return Entry(
        subject=subject,
        questions=questions,
        **{k: v for k, v in values.items() if k != "questions"},
    )


#: The subjects beyond the table of conditions, by which the library has files.
_FURTHER = (
    ("vein_occlusion", "retinal vein occlusion", "视网膜静脉阻塞",
     r"vein (?:occlusion|block|throm)\w*|\b[bch]?rvo\b|静脉阻塞|静脉栓塞"),
    ("artery_occlusion", "retinal artery occlusion", "视网膜动脉阻塞",
     r"artery (?:occlusion|block|embol)\w*|\b[bc]?rao\b|amaurosis fugax|eye stroke|动脉阻塞"
     r"|动脉栓塞|眼中风|一过性黑[矇蒙]"),
    ("detachment", "retinal detachment", "视网膜脱离",
     r"retinal (?:detachment|tear|hole|break)s?|detached retina|\br?rd\b|\brrd\b|vitrectomy"
     r"|scleral buckle|视网膜脱离|网脱|视网膜裂孔|玻璃体切除"),
    ("posterior_vitreous_detachment", "posterior vitreous detachment", "玻璃体后脱离",
     r"vitreous detachment|\bpvd\b|\bfloaters?\b|weiss ring|玻璃体后脱离|飞蚊"),
    ("macular_hole", "macular hole", "黄斑裂孔", r"macular holes?|\bftmh\b|黄斑裂孔"),
    ("epiretinal_membrane", "epiretinal membrane", "黄斑前膜",
     r"epiretinal membrane|\berm\b|macular pucker|cellophane|前膜"),
    ("central_serous", "central serous chorioretinopathy", "中心性浆液性脉络膜视网膜病变",
     r"central serous|\bcscr?\b|\bcsr\b|中浆|中心性浆液"),
    ("uveitis", "uveitis", "葡萄膜炎",
     r"uveitis|iritis|vasculitis|chorioretinitis|toxoplasm\w*|葡萄膜炎|虹膜炎|脉络膜视网膜炎"
     r"|弓形虫"),
    ("retinitis_pigmentosa", "retinitis pigmentosa", "视网膜色素变性",
     r"retinitis pigmentosa|\brp\b|色素变性"),
    ("stargardt", "Stargardt disease", "Stargardt病", r"stargardt|斯特格|眼底黄色斑点症"),
    ("retinopathy_of_prematurity", "retinopathy of prematurity", "早产儿视网膜病变",
     r"retinopathy of prematurity|\brop\b|premature (?:bab|infant)\w*|preterm"
     r"|\bborn at (?:2\d|3[0-6]) ?(?:weeks?|wks?|/40)|gestational age|\bplus disease"
     r"|早产|附加病变"),
    ("retinoblastoma", "retinoblastoma", "视网膜母细胞瘤",
     r"retinoblastoma|leu[ck]ocoria|母细胞瘤|白瞳"),
    ("naevus_melanoma", "choroidal naevus and melanoma", "脉络膜痣与黑色素瘤",
     r"na?evus|na?evi|melanoma|freckle|\bcancer\b|\btumou?rs?\b|脉络膜痣|黑色素瘤|色素痣"),
    ("papilloedema", "papilloedema", "视乳头水肿",
     r"papillo?edema|disc swelling|swollen (?:optic )?discs?"
     r"|discs? (?:(?:is|are|look\w*) )?(?:both )?swollen"
     r"|intracranial hypertension|\biih\b"
     r"|视乳头水肿|视盘水肿|颅内压"),
    ("optic_neuritis", "optic neuritis", "视神经炎", r"optic neuritis|视神经炎"),
    ("naion", "non-arteritic anterior ischaemic optic neuropathy", "非动脉炎性前部缺血性视神经病变",
     r"\bn?aion\b|isch(?:a)?emic optic neuropathy|缺血性视神经"),
    ("giant_cell_arteritis", "giant cell arteritis", "巨细胞动脉炎",
     r"giant[- ]cell arteritis|\bgca\b|temporal arteritis|巨细胞动脉炎|颞动脉炎"),
    ("hydroxychloroquine", "hydroxychloroquine retinopathy", "羟氯喹视网膜病变",
     r"hydroxychloroquine|plaquenil|\bhcq\b|chloroquine|羟氯喹|氯喹"),
    ("dry_eye", "dry eye", "干眼", r"\bdry eyes?\b|artificial tears|meibomian|干眼|人工泪液|眼干"),
    ("red_eye", "red eye", "红眼",
     r"\bred eyes?\b|conjunctivitis|pink eye|subconjunctival|红眼|结膜炎|结膜下出血"),
    ("squint_amblyopia", "squint and lazy eye", "斜视与弱视",
     r"\bsquint(?:s|ing)?\b|strabism\w*|amblyop\w*|\blazy eyes?\b|cross-?eyed|nystagmus|(?<!倾)斜视"
     r"|弱视|对眼儿|斗鸡眼|眼球震颤"),
    ("refraction", "refractive errors", "屈光不正",
     r"refractive errors?|astigmatism|presbyopia|hyperopi\w*|(?:long|far)[- ]?sighted\w*"
     r"|anisometropia|屈光不正|屈光参差|散光|老花|老视|远视"),
    ("eyelid", "diseases of the eyelid", "眼睑疾病",
     r"\bstyes?\b|chalazi\w+|blephar(?:itis|ospasm)|\bptosis\b|e[nc]tropion|eyelid (?:lump|bump)s?"
     r"|(?:lids?|eyes?) twitch\w*|twitch\w* (?:eye)?lids?|麦粒肿|长针眼|霰粒肿|睑缘炎|眼皮跳"
     r"|眼睑痉挛|上睑下垂|睑[内外]翻|倒睫"),
    ("cornea", "diseases of the cornea", "角膜疾病",
     r"keratoconus|fuchs(?:'?s)? (?:endothel|corneal|dystroph)\w*|pterygi\w+|acanthamoeba"
     r"|arc eye|snow blindness|welder'?s flash"
     r"|corneal (?:dystroph\w+|transplant|graft|erosion|abrasion|cross-?linking)|圆锥角膜|胬肉"
     r"|棘阿米巴|fuchs(?:角膜|营养)|角膜(?:移植|营养不良|糜烂|擦伤|交联)|电光性眼炎|雪盲"),
    ("inherited_eye", "inherited eye diseases", "遗传性眼病",
     r"\bbest'?s? (?:vitelliform|disease)|vitelliform|retinoschisis|leber|\blhon\b|albinism"
     r"|stationary night blindness|\bcsnb\b|colou?r[- ]?blind\w*"
     r"|(?:dominant|inherited) optic atrophy|\bfevr\b|coloboma|gyrate"
     r"|卵黄样|视网膜劈裂|白化病|静止性夜盲|色盲|色弱|显性遗传性?视神经萎缩|脉络膜缺损|回旋状"),
    ("tests", "examinations of the eye", "眼科检查", ""),
    ("photograph", "the fundus photograph", "眼底照片", ""),
    ("screening", "screening", "筛查", ""),
    ("general", "the eye in general", "眼科常识", ""),
)  # fmt: skip


@cache
def subjects() -> Mapping[str, Subject]:
    """Return every subject by key: the table of conditions, and what lies beyond it."""
    from ..conditions import CONDITIONS

    table = {
        c.key: Subject(c.key, c.name, c.name_zh, c.pattern)
        for c in CONDITIONS.values()
        if c.subject is None
    }
    return table | {key: Subject(key, *rest) for key, *rest in _FURTHER}


def subjects_named(text: str) -> list[str]:
    """Return the keys of the subjects that a text names."""
    return [s.key for s in subjects().values() if s.pattern and re.search(s.pattern, text, NAMING)]


#: Drugs, treatments, tests and measures of one subject, by which a question means it unnamed.
_TERMS = {
    "glaucoma": r"timolol|betaxolol|\w+prost\b|dorzolamide|brinzolamide|brimonidine|pilocarpine"
    r"|netarsudil|acetazolamide|diamox|beta[- ]?blockers?|\bslt\b|trabecul\w+|\bmigs\b|istent"
    r"|iridotomy|\bgonio\w*|(?:narrow|closed|open|shallow) angles?|\biops?\b"
    r"|(?:target|eye|intraocular) pressures?|cup[- ]to[- ]disc"
    r"|\bc/?d ratio|\bcdr\b|cannabis|marijuana|噻吗洛尔|前列素|布林佐胺|溴莫尼定|毛果芸香碱"
    r"|乙酰唑胺|眼压|小梁|虹膜(?:周边)?切|房角|杯盘比",
    "cataract": r"\biols?\b|(?:intraocular|multifocal|toric|artificial) lens\w*|\bphaco\w*"
    r"|capsulotomy|\byag\b|tamsulosin|\bifis\b|floppy iris|biometry|人工晶状?体|超声乳化|后发障",
    "amd": r"\bareds2?\b|amsler|drusen|geographic atrophy|pegcetacoplan|\blutein\b|阿姆斯勒"
    r"|玻璃膜疣|地图样萎缩",
    "dr": r"\b(?:hb)?a1c\b|diabet\w+|insulin|metformin|fenofibrate|panretinal|\bprp\b|\bdm[eo]\b"
    r"|microaneurysms?|糖尿病|糖化|胰岛素|非诺贝特|全视网膜光凝|微血管瘤",
    "myopia": r"\batropine\b|ortho-?k\w*|axial length|阿托品|角膜塑形|ok镜|眼轴",
}


def subjects_implied(text: str) -> list[str]:
    """Return the keys of the subjects whose drugs, treatments or tests a text names.

    Example: `subjects_implied("Is SLT painful?")` is ['glaucoma'].
    """
    return [key for key, terms in _TERMS.items() if re.search(terms, text, NAMING)]
