"""Red flags: symptoms that need emergency eye care, recognised in what a person writes.

A text is read clause by clause. In each clause the symptoms, their onset, the eye and the person
are looked for; what is denied, long past, only asked about in general, or only supposed ("if I see
flashes") does not count. Rules then combine what is left within a sentence and the one before it.

Which symptoms are red flags follows the College of Optometrists' 'Urgency of referrals' (C205,
Annex 4), NICE NG82 (2018) for new distortion, and the BSR guideline of 2020 for giant cell
arteritis. Rinsing before anything else after a chemical splash is Annex 4 as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..wording import word_count
from .clauses import DIAGNOSES, OF_AN_EYE, read, sentences
from .spelling import normalised
from .urgency import urgency

#: Flag -> its name in English and in Chinese, in the order in which flags are named to the user.
_NAMES: dict[str, tuple[str, str]] = {
    "vision_loss": ("sudden loss of vision", "视力突然下降"),
    "curtain": ("a curtain or shadow over the view", "幕样遮挡"),
    "flashes_floaters": ("flashes or new floaters", "闪光感或飞蚊突然增多"),
    "painful_red_eye": ("a painful red eye", "眼红痛"),
    "injury": ("an injury of the eye", "眼外伤"),
    "penetrating": ("a possible penetrating injury", "可能的眼球穿通伤"),
    "chemical": ("a chemical splash in the eye", "化学物质溅入眼睛"),
    "double_vision": ("sudden double vision", "突然出现的复视"),
    "distortion": ("new distortion", "新出现的视物变形"),
    "white_pupil": ("a white pupil in a child", "儿童瞳孔发白"),
    "giant_cell_arteritis": (
        "headache, jaw or scalp pain with eye symptoms",
        "头痛、咀嚼痛或头皮痛伴眼部症状",
    ),
    "pupil_or_lid": (
        "a sudden change of the pupil or a drooping eyelid with headache",
        "瞳孔突然变化或眼睑下垂伴头痛",
    ),
}
#: A text that sounds this urgent is; from the second on it may be, and from the third on it is if a
#: rule names a symptom. Chosen on lines that were left out in turn, so that few are missed rather
#: than few alarms false.
_CERTAIN, _POSSIBLE, _WITH_A_RULE = 0.8, 0.35, 0.2
_SHORT = 5
_ALARMING = re.compile(
    r"\b(?:black|dark|blind|gone|pain\w*|hurts?|burn\w*|blood\w*|lost|see(?:ing)?|help|urgent\w*)\b"
    r"|黑|瞎|盲|疼|痛|血|看不|救|急"
)
#: Concepts that are no symptom: when, whose, and what excuses.
_NO_SYMPTOM = frozenset(
    {
        *("eye", "eye_context", "child", "sudden", "recent", "slow", "mild", "fine", "harmless"),
        *("picture", "of_picture", "device", "elsewhere", "body_pierced", "itch"),
    }
)
_UNNAMED = ("what is described here", "所描述的情况")
IF_NEW = (
    "If this is new or sudden, do not wait: go to an emergency eye service or emergency department "
    "today; a photograph that looks normal does not rule an emergency out.",
    "如果这是新出现或突然发生的，请不要等待，今天就去急诊或眼科急诊；照片看似正常也不能排除急症。",
)
_RINSE = (
    "For a chemical splash, rinse with clean water first and go on rinsing on the way.",
    "若为化学物质溅入，先用大量清水持续冲洗，再立即就医，途中继续冲洗。",
)
_DO_NOT_PRESS = (
    "If something has pierced the eye, do not press on it, do not rinse it and do not pull "
    "anything out.",
    "若眼球被刺穿，不要按压、不要冲洗，也不要拔出异物。",
)
#: Pain of the optic nerve, in an eye that need not be red.
_ON_MOVING = (
    # From the start only: pages of text would be read once for each of their letters.
    r"\A(?=.*\b(?:mov\w+|mvmts?)\b)(?=.*\b(?:washed|faded|dull|desaturat\w+|colou?rs?|rapd|vision|sight"
    r"|blurr?\w*)\b)|转(?:动)?眼.{0,4}[疼痛]|眼球转动"
)
_MOVING = ("pain on moving the eye with poor colours or sight", "转眼痛伴色觉或视力变差")
#: Flag, what else the text has to say ('' for nothing), and what may stand behind it: of each flag
#: the first that fits. Why to hurry is what makes people hurry.
_MAY_MEAN: tuple[tuple[str, str, str, str], ...] = (
    (
        "painful_red_eye",
        r"\b(?:inject|surger|operat|implant)\w*|注射|打针|注药|术后|手术",
        "After surgery or an injection into the eye it can mean an infection inside the eye "
        "(endophthalmitis).",
        "手术或眼内注药之后，这可能是眼内感染（眼内炎）。",
    ),
    (
        "painful_red_eye",
        r"\b(?:contacts?|contact lens\w*|lenses)\b|隐形眼镜|角膜接触镜|美瞳|OK镜",
        "With contact lenses it can mean an infection of the cornea (microbial keratitis): take "
        "them out.",
        "配戴隐形眼镜者，这可能是角膜感染（角膜溃疡），请先取下镜片。",
    ),
    (
        "painful_red_eye",
        _ON_MOVING,
        "Pain on moving the eye with faded colours or poor sight can mean an inflammation of the "
        "optic nerve (optic neuritis).",
        "转动眼球时疼痛并有色觉变淡或视力差，可能是视神经炎。",
    ),
    (
        "painful_red_eye",
        r"\b(?:boring|rheumatoid|RA)\b|wak(?:es|ing|en)|类风湿|痛醒|疼醒",
        "A deep, boring pain that wakes one can mean an inflammation of the white of the eye "
        "(scleritis).",
        "深部钻痛、夜间痛醒，可能是巩膜炎。",
    ),
    (
        "painful_red_eye",
        r"\bhalos?\b|\brings?\b|rainbow|\bsick\b|vomit|nause|headache|虹视|光圈|恶心|呕吐|头痛",
        "It can mean a sudden rise of the pressure in the eye (acute angle closure).",
        "这可能是眼压骤升（急性闭角型青光眼发作）。",
    ),
    (
        "painful_red_eye",
        "",
        "It can mean acute angle closure, an inflammation inside the eye (iritis, uveitis) or an "
        "infection of the cornea.",
        "这可能是急性闭角型青光眼、眼内炎症（虹膜炎、葡萄膜炎）或角膜感染。",
    ),
    (
        "vision_loss",
        r"came back|went away|better again|back to normal|(?:for|few|couple of) \w*\s?min"
        r"|几分钟|一会儿|又好了|恢复了|又能看",
        "Sight that goes and comes back can be the warning of a stroke (amaurosis fugax): arteries "
        "and heart are examined, too.",
        "一过性黑矇可能是中风的先兆，还要检查颈动脉和心脑血管。",
    ),
    (
        "vision_loss",
        r"\b(?:post.?op\w*|inject\w*|surger\w*|operat\w*|implant\w*)\b|注射|打针|注药|术后|手术",
        "After surgery or an injection into the eye it can mean an infection inside the eye "
        "(endophthalmitis) or a retinal detachment.",
        "手术或眼内注药之后，这可能是眼内感染（眼内炎）或视网膜脱离。",
    ),
    (
        "vision_loss",
        "",
        "It can mean a blocked vessel of the retina (a stroke of the eye), a retinal detachment, a "
        "bleeding or damage to the optic nerve.",
        "这可能是视网膜血管阻塞（眼中风）、视网膜脱离、出血或视神经损害。",
    ),
    (
        "curtain",
        "",
        "It can mean a retinal detachment.",
        "这可能是视网膜脱离。",
    ),
    (
        "flashes_floaters",
        r"\bdiabet\w*|\bT[12]DM\b|糖尿病|糖友|糖网",
        "With diabetes it can mean bleeding into the vitreous from new vessels, or a tear or a "
        "detachment of the retina.",
        "有糖尿病者，这可能是新生血管引起的玻璃体出血，也可能是视网膜裂孔或脱离。",
    ),
    (
        "flashes_floaters",
        "",
        "It can mean a tear of the retina or a detachment.",
        "这可能是视网膜裂孔或视网膜脱离。",
    ),
    (
        "distortion",
        r"\bmyop\w*|\bshort.?sight\w*|近视",
        "In a short-sighted eye it can mean new vessels or a bleeding at the macula (myopic CNV), "
        "or a detachment.",
        "近视眼出现这种情况，可能是黄斑新生血管（近视性CNV）、出血或视网膜脱离。",
    ),
    (
        "distortion",
        "",
        "It can mean wet macular degeneration or another disease of the macula.",
        "这可能是湿性黄斑变性或其他黄斑疾病。",
    ),
    (
        "white_pupil",
        "",
        "It can be a sign of retinoblastoma, a cancer of the eye, or of a cataract.",
        "这可能是视网膜母细胞瘤（眼部恶性肿瘤）或白内障的表现。",
    ),
    (
        "double_vision",
        "",
        "It can mean a paralysed eye muscle, at times from a stroke or an aneurysm.",
        "这可能是眼肌麻痹，有时由中风或动脉瘤引起。",
    ),
    (
        "giant_cell_arteritis",
        "",
        "It can mean giant cell arteritis, which can blind both eyes within days unless it is "
        "treated at once with steroids.",
        "这可能是巨细胞动脉炎，须立即用激素治疗，否则可在数天内双目失明。",
    ),
    (
        "pupil_or_lid",
        "",
        "It can mean an aneurysm or a torn artery of the neck.",
        "这可能是颅内动脉瘤或颈动脉夹层。",
    ),
)
#: Of several symptoms so many are explained: the text is to be read at a glance.
_EXPLAINED = 2
#: With a chemical in it the eye has to be rinsed even when something may have pierced it.
_DO_NOT_PRESS_BUT_RINSE = (
    "Do not press on the eye and do not pull anything out.",
    "不要按压眼球，也不要拔出异物。",
)

#: Flag, scope, and what must be present for it, or absent with a '!': in one clause, or near each
#: other, which is a sentence together with the one before it.
_RULES: tuple[tuple[str, str, str], ...] = (
    ("vision_loss", "clause", "blind !slow !fine"),
    ("vision_loss", "near", "lost_sight sudden !slow"),
    ("vision_loss", "clause", "lost_sight sudden"),
    ("vision_loss", "near", "lost_sight recent !slow"),
    ("vision_loss", "clause", "lost_sight recent"),
    ("vision_loss", "clause", "worse_sight sudden"),
    ("vision_loss", "clause", "worse_sight recent"),
    ("vision_loss", "near", "worse_sight sudden !slow"),
    ("vision_loss", "near", "worse_sight recent !slow"),
    ("vision_loss", "clause", "loss_diagnosis !slow"),
    ("curtain", "clause", "curtain !slow !of_picture"),
    ("curtain", "clause", "detachment !slow !of_picture"),
    ("flashes_floaters", "clause", "flashes !slow !of_picture"),
    ("flashes_floaters", "clause", "new_floaters !slow !of_picture"),
    ("flashes_floaters", "clause", "new_floaters sudden !of_picture"),
    ("flashes_floaters", "clause", "new_floaters recent !of_picture"),
    ("painful_red_eye", "near", "red pain eye_context !elsewhere !slow"),
    ("painful_red_eye", "near", "severe_pain eye_pain !slow"),
    ("painful_red_eye", "clause", "severe_pain eye_pain"),
    ("painful_red_eye", "clause", "severe_pain eye !headache !elsewhere"),
    ("painful_red_eye", "clause", "eye_pain sudden"),
    ("painful_red_eye", "clause", "eye_pain recent !mild"),
    ("painful_red_eye", "near", "eye_pain sick"),
    ("painful_red_eye", "near", "eye_pain photophobia !slow"),
    ("painful_red_eye", "near", "red photophobia eye_context !slow"),
    ("painful_red_eye", "near", "eye_pain worse_sight !slow !mild"),
    ("painful_red_eye", "near", "halos sick"),
    ("painful_red_eye", "near", "halos eye_pain"),
    ("painful_red_eye", "near", "halos red"),
    ("painful_red_eye", "near", "contact_lens pain !elsewhere !slow"),
    ("painful_red_eye", "near", "contact_lens red !elsewhere !slow"),
    ("painful_red_eye", "near", "contact_lens photophobia"),
    ("painful_red_eye", "near", "corneal_spot pain"),
    ("painful_red_eye", "near", "corneal_spot contact_lens"),
    ("painful_red_eye", "near", "after_surgery pain eye_context !elsewhere !slow"),
    ("painful_red_eye", "near", "after_surgery red eye_context !elsewhere !slow"),
    ("painful_red_eye", "clause", "red_eye_diagnosis !slow"),
    ("injury", "clause", "injury !slow"),
    ("injury", "clause", "foreign_body !slow"),
    ("injury", "clause", "penetrating eye !slow !body_pierced"),
    ("injury", "near", "tools eye_trouble"),
    ("injury", "near", "face_blast eye_trouble"),
    ("injury", "near", "face_blast lid"),
    ("injury", "near", "struck eye_swollen"),
    ("chemical", "clause", "chemical !slow"),
    ("chemical", "near", "chemical_word sprayed eyes_burning"),
    ("chemical", "near", "chemical_word sprayed penetrating"),
    ("double_vision", "near", "double sudden !slow"),
    ("double_vision", "near", "double recent !slow"),
    ("double_vision", "near", "double headache !slow"),
    ("double_vision", "near", "double lid"),
    ("distortion", "clause", "distorted !slow !of_picture"),
    ("distortion", "clause", "distorted sudden"),
    ("distortion", "clause", "distorted recent"),
    ("distortion", "near", "new_spot sudden"),
    ("distortion", "near", "new_spot recent"),
    ("white_pupil", "near", "white_pupil child"),
    ("white_pupil", "clause", "white_pupil photo_of_child"),
    ("white_pupil", "clause", "leukocoria"),
    ("giant_cell_arteritis", "near", "jaw visual_symptom"),
    ("giant_cell_arteritis", "near", "scalp visual_symptom"),
    ("giant_cell_arteritis", "near", "temporal_headache visual_symptom"),
    ("giant_cell_arteritis", "near", "headache lost_sight !slow"),
    ("giant_cell_arteritis", "near", "headache blind"),
    ("giant_cell_arteritis", "near", "headache jaw"),
    ("giant_cell_arteritis", "near", "headache scalp"),
    ("giant_cell_arteritis", "clause", "gca_diagnosis !slow"),
    ("pupil_or_lid", "near", "pupil headache"),
    ("pupil_or_lid", "near", "lid headache !slow"),
    ("pupil_or_lid", "clause", "pupil sudden"),
    ("pupil_or_lid", "clause", "lid sudden"),
    ("pupil_or_lid", "near", "lid double !slow"),
    ("pupil_or_lid", "clause", "third_nerve !slow"),
)

#: What the library has on a symptom: the subject that is looked up where a later turn names none.
_SUBJECTS = {
    "curtain": "detachment",
    "flashes_floaters": "detachment",
    "painful_red_eye": "red_eye",
    "distortion": "amd",
    "white_pupil": "retinoblastoma",
    "giant_cell_arteritis": "giant_cell_arteritis",
}
#: And on what a text says besides: words, and the symptom that they go with.
_SUBJECTS_TOLD = (
    ("optic_neuritis", r"\b(?:eye )?movements?\b|\bmoving\b|washed out|转动", "painful_red_eye"),
    ("artery_occlusion", r"cherry.?red|樱桃红|\bpainless|无痛|不疼|不痛", "vision_loss"),
)
#: What may come slowly: with glasses, a cataract, or age.
_MAY_BE_SLOW = frozenset({"worse_sight", "visual_symptom", "floaters"})
#: A case that is made up, told of nobody: what is said of it is no complaint.
#: What one may do, or forgot to do, with no symptom told: a matter of daily life. A word of what
#: the rules may not have read ("one eye dark", "to A&E") keeps it from being one.
_PRACTICAL = re.compile(
    r"(?!.*(?:\b(?:dark|black|blind|gone|lost|blood\w*|swollen|half|missing|hospital|casualty"
    r"|emergency|a ?& ?e|er)\b|急诊|医院|黑|血|肿|看不|少了|一半))"
    r".*(?:\b(?:can|may|could|should|shall|allowed to) (?:i|he|she|we)\b.{0,20}"
    r"\b(?:fly|drive|swim|dive|shower|wash|exercise|work|travel|take|have an? (?:mri|scan))\b"
    r"|\b(?:forgot|forgotten|missed|skip(?:ped)?|can't get)\b.{0,30}"
    r"\b(?:drops?|injections?|doses?)\b"
    r"|\b(?:quit|stop(?:ping)?) smoking\b"
    r"|(?:能|可以|能否).{0,4}(?:坐飞机|乘飞机|开车|游泳|洗|运动|上班|上高原|做核磁|化妆)"
    r"|忘(?:了|记)?.{0,6}(?:滴|打|用)|戒烟)",
    re.DOTALL,
)
#: What was done to the eye is no symptom either; with one beside it, it makes that urgent.
_TREATED = frozenset({"after_surgery", "contact_lens"})
#: Beside itching these are an allergy.
_ALLERGY = frozenset({"red", "eye_swollen", "lid"})
_MADE_UP = re.compile(
    r"^\W*(?:let's say|suppose|imagine|hypothetical\w*|假设|假定|设想)"
    r"(?!.*(?:\b(?:i|i'm|my)\b|我))",
    re.IGNORECASE | re.DOTALL,
)

_NEEDS = tuple(
    (
        flag,
        scope == "clause",
        frozenset(part for part in parts.split() if part[0] != "!"),
        frozenset(part[1:] for part in parts.split() if part[0] == "!"),
    )
    for flag, scope, parts in _RULES
)


def matched_flags(text: str) -> list[str]:
    """Return the keys of the red flags that a text raises, in the order they are named.

    The keys are 'vision_loss', 'curtain', 'flashes_floaters', 'painful_red_eye', 'injury',
    'penetrating', 'chemical', 'double_vision', 'distortion', 'white_pupil',
    'giant_cell_arteritis' and 'pupil_or_lid'. 'penetrating' only comes with 'injury'.
    """
    return list(_matched(text))


def _matched(text: str) -> dict[str, bool]:
    """Return the red flags of a text, and of each whether a symptom raises it and no mere name."""
    found: dict[str, bool] = {}
    before: list[frozenset[str]] = []
    eye_context = False
    for sentence, question in sentences(normalised(text)):
        here = [clause.concepts() for clause in read(sentence, question)]
        eye_context = eye_context or any("eye" in concepts for concepts in here)
        if eye_context:
            here = [concepts | {"eye_context"} for concepts in here]
        near = frozenset().union(*before, *here)
        for flag, clause_only, present, absent in _NEEDS:
            of_symptom = present.isdisjoint(DIAGNOSES)
            if found.get(flag) or not present <= near:
                continue
            windows = here if clause_only else [near]
            if any(present <= window and not absent & window for window in windows):
                found[flag] = of_symptom
        if "injury" in found and any("penetrating" in c for c in here):
            found["penetrating"] = True
        before = here
    return {flag: found[flag] for flag in _NAMES if flag in found}


@dataclass(frozen=True)
class RedFlag:
    """What to say first of a text that describes an emergency, or may.

    symptoms: keys of those that the rules name; see matched_flags. certain: whether it sends the
    user to care at once, and not only if what is described is new. diagnosed: whether the rules
    found only the name of a disease: who writes it has been seen, and wants to know more.
    """

    text: str
    symptoms: tuple[str, ...]
    certain: bool
    diagnosed: bool = False


def assess(
    text: str, language: str = "en", embed: Callable[[str], np.ndarray] | None = None
) -> RedFlag | None:
    """Judge whether a text describes symptoms that need emergency eye care, by rules and model.

    language is 'en' or 'zh'. embed: see `urgency`. None means that nothing urgent was described;
    questions about a word, what is denied and what is long past do not count.
    """
    probability = urgency(text, embed)
    found = _matched(text) if probability > _WITH_A_RULE else {}
    flags = list(found)
    if not flags and probability > _POSSIBLE and _can_wait(text):
        return None
    if flags or probability > _CERTAIN:
        diagnosed = bool(found) and not any(found.values())
        return RedFlag(_alarm(flags, language, text), tuple(flags), True, diagnosed)
    if probability > _POSSIBLE and not _says_nothing(text):
        return RedFlag(IF_NEW[language == "zh"], (), False)
    return None


def _told(text: str) -> list[frozenset[str]]:
    """Return the concepts of each clause of a normalised text."""
    return [c.concepts() for part, asked in sentences(text) for c in read(part, asked)]


def _says_nothing(text: str) -> bool:
    """Whether a text is too short to tell anything and names neither a symptom nor an eye: of such
    the model, which has seen few, guesses."""
    text = normalised(text)
    if word_count(text) > _SHORT or OF_AN_EYE.search(text) or _ALARMING.search(text):
        return False
    return not frozenset().union(*_told(text)) - _NO_SYMPTOM


def _can_wait(text: str) -> bool:
    """Whether a text in which the rules name no symptom tells of what can wait.

    That is so, whatever the model makes of its words, where it tells only of what is harmless, what
    the photograph shows, what came slowly or what one may do, or of a case that is made up.
    """
    text = normalised(text)
    clauses = _told(text)
    symptoms = [concepts - _NO_SYMPTOM for concepts in clauses]
    if _MADE_UP.match(text):
        return True
    said = frozenset().union(*clauses)
    if not any(symptoms) or frozenset().union(*symptoms) <= _TREATED:
        return "harmless" in said or bool(_PRACTICAL.match(text))
    if "itch" in said and frozenset().union(*symptoms) <= _ALLERGY:
        return True
    told = [c for c, symptom in zip(clauses, symptoms, strict=True) if symptom]
    if all("of_picture" in concepts for concepts in told) and not OF_AN_EYE.search(text):
        return True
    slow = all("slow" in c and not c & {"sudden", "recent"} for c in told)
    return slow and frozenset().union(*symptoms) <= _MAY_BE_SLOW


def red_flags(
    text: str, language: str = "en", embed: Callable[[str], np.ndarray] | None = None
) -> str | None:
    """Return what to say first if a text describes symptoms that need emergency eye care.

    It names the symptoms, sends the user to emergency eye care at once, and says what may stand
    behind them, with first aid for a chemical splash and for a pierced eye. None if it does not, or
    `assess` is not certain.
    Sources: College of Optometrists, 'Urgency of referrals' (C205, Annex 4); NICE NG82 for new
    distortion; BSR guideline 2020 for giant cell arteritis.
    """
    flag = assess(text, language, embed)
    return flag.text if flag is not None and flag.certain else None


def subject_of(flags: Sequence[str], text: str) -> str | None:
    """Return the subject of the library that a later turn about an emergency is looked up in.

    flags: of the text that told it. None if the library has nothing on these symptoms.
    """
    for subject, words, flag in _SUBJECTS_TOLD:
        if flag in flags and re.search(words, text, re.IGNORECASE):
            return subject
    return next(filter(None, map(_SUBJECTS.get, flags)), None)


def may_mean(text: str, language: str = "en") -> str:
    """Return what may stand behind the symptoms that a text tells; '' if the rules know none."""
    return ("" if language == "zh" else " ").join(_may_mean(matched_flags(text), text, language))


def _may_mean(flags: list[str], text: str, language: str) -> list[str]:
    """Return what may stand behind the symptoms, a sentence each."""
    said: dict[str, str] = {}
    for flag, also, en, zh in _MAY_MEAN:
        if flag in flags and flag not in said and re.search(also, text, re.IGNORECASE):
            said[flag] = zh if language == "zh" else en
    return list(said.values())[:_EXPLAINED]


def _alarm(flags: list[str], language: str, text: str) -> str:
    zh = int(language == "zh")
    moving = re.search(_ON_MOVING, text, re.IGNORECASE)
    named = [
        (_MOVING if moving and flag == "painful_red_eye" else _NAMES[flag])[zh] for flag in flags
    ]
    names = ("、" if zh else ", ").join(named) or _UNNAMED[zh]
    if zh:
        said = [
            f"紧急提示：{names}需要立即就诊——请现在就去急诊或眼科急诊，"
            "不要等待；照片看似正常也不能排除。"
        ]
    else:
        said = [
            f"Urgent: {names} needs care at once. Go to an emergency eye service or emergency "
            "department now and do not wait; a photograph that looks normal does not rule it out."
        ]
    if "chemical" in flags:
        said.append(_RINSE[zh])
    if "penetrating" in flags:
        said.append((_DO_NOT_PRESS_BUT_RINSE if "chemical" in flags else _DO_NOT_PRESS)[zh])
    said += _may_mean(flags, text, language)
    return ("" if zh else " ").join(said)
