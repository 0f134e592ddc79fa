"""Puts what people type into the words of the library: shorthand, abbreviations, everyday words.

Both a question and the library's own texts are read through this, so that each of several words for
the same thing counts as one.
"""

from __future__ import annotations

import re
from functools import cache

#: Notation in which capitals count.
_NOTATION = (
    (re.compile(r"\b(R[0-3]A?)(M[01])\b"), r"\1 \2"),
    (re.compile(r"\bCM[OE]\b"), "cystoid macular oedema"),
    (re.compile(r"\bVF\b"), "visual field"),
    (re.compile(r"\bDD\b"), "disc diameter"),
    (re.compile(r"\bOHT\b"), "ocular hypertension"),
    (re.compile(r"\bFFA\b"), "fluorescein angiography"),
    (re.compile(r"\b(?:AS|ank spond)(?= (?:sufferer|patient|pt))"), "ankylosing spondylitis"),
)
#: Word as it is typed -> as the library says it. Whole words; an 's' at the end is kept.
_ENGLISH = {
    # Shorthand of messages and of notes.
    "u": "you",
    "ur": "your",
    "r": "are",
    "n": "and",
    "w": "with",
    "wo": "without",
    "b4": "before",
    "cos": "because",
    "im": "i am",
    "ive": "i have",
    "shd": "should",
    "shld": "should",
    "cant": "cannot",
    "dont": "do not",
    "doesnt": "does not",
    "isnt": "is not",
    "whats": "what is",
    "hows": "how is",
    "theyre": "they are",
    "wk": "week",
    "yr": "year",
    "mth": "month",
    "hr": "hour",
    "min": "minute",
    "yday": "yesterday",
    "pt": "patient",
    "hx": "history",
    "dx": "diagnosis",
    "ddx": "differential diagnosis",
    "tx": "treatment",
    "rx": "treatment",
    "mx": "management",
    "mgmt": "management",
    "sx": "symptom",
    "ix": "investigation",
    "preg": "pregnant",
    "bilat": "bilateral",
    "dia": "diameter",
    "def": "definition",
    # Everyday words.
    "op": "operation",
    "surgery": "operation",
    "jab": "injection",
    "shot": "injection",
    "specs": "glasses",
    "spectacles": "glasses",
    "pic": "photo",
    "picture": "photo",
    "photograph": "photo",
    "kid": "child",
    "toddler": "child",
    "meds": "drugs",
    "medication": "drug",
    "medicine": "drug",
    "optom": "optometrist",
    "optician": "optometrist",
    "eyesight": "sight",
    "vision": "sight",
    "sore": "painful",
    "hubby": "husband",
    "gunky": "sticky",
    "gunk": "discharge",
    "gooey": "sticky",
    "weed": "cannabis",
    "marijuana": "cannabis",
    "booze": "alcohol",
    "fags": "smoking",
    "ciggies": "smoking",
    "ipad": "tablet screen",
    "prem": "premature",
    "preemie": "premature",
    "pucker": "epiretinal membrane",
    "pinkeye": "pink eye",
    # Clinicians' abbreviations.
    "trab": "trabeculectomy",
    "vit": "vitrectomy",
    "ppv": "vitrectomy",
    "nipping": "nicking",
    "csmo": "csme",
    "dmo": "dme",
    "nve": "new vessels elsewhere",
    "nvd": "new vessels at the disc",
    "namd": "wet amd",
    "armd": "amd",
    "csc": "central serous chorioretinopathy",
    "cscr": "central serous chorioretinopathy",
    "csr": "central serous chorioretinopathy",
    "erm": "epiretinal membrane",
    "ftmh": "macular hole",
    "vmt": "vitreomacular traction",
    "rrd": "retinal detachment",
    "hcq": "hydroxychloroquine",
    "plaquenil": "hydroxychloroquine",
    "viagra": "sildenafil",
    "ozempic": "semaglutide",
    "wegovy": "semaglutide",
    "eylea": "aflibercept",
    "lucentis": "ranibizumab",
    "avastin": "bevacizumab",
    "vabysmo": "faricimab",
    "ozurdex": "dexamethasone implant",
    "xalatan": "latanoprost",
    "diamox": "acetazolamide",
    "iritis": "anterior uveitis",
    "cxl": "cross-linking",
    "gca": "giant cell arteritis",
    "hfa": "visual field",
}
#: Several words -> as the library says it.
_PHRASES = (
    (r"\bw/o\b", "without"),
    (r"\bw/(?=\w)|\bw/ ", "with "),
    (r"\bf/u\b", "follow-up"),
    (r"\bw/u\b", "work-up"),
    (r"\bvs\b\.?|\bversus\b", "versus"),
    (r"\by/?o\b", "year old"),
    (r"\b(\d+)\s?(wk|yr|mth|hr)(s?)\b", r"\1 \2\3"),
    (r"\b(?:clicker|button) test\b|\btest with the (?:dots|lights|clicker)\b", "visual field test"),
    (r"\b(?:air |eye )?puff test\b|\bpuff of air\b", "air puff tonometry"),
    (r"\byellow dye\b|\bdye test\b", "fluorescein dye"),
    (r"\bdiabetic (?:eye )?photos?\b", "diabetic eye screening photo"),
    (r"\beye stroke\b|\bstroke (?:in|of) (?:the|my|his|her) eye\b", "retinal artery occlusion"),
    (r"\bmacular degen\w*|\bwet macular\b|\bdry macular\b", "macular degeneration"),
    (r"\b(?:make|makes|made|making) (?:you|me|him|her) blind\b", "cause blindness"),
)  # fmt: skip
_PHRASES_COMPILED = tuple((re.compile(pattern), plain) for pattern, plain in _PHRASES)

#: Chinese as it is typed -> as the library says it.
_CHINESE = {
    "为啥": "为什么",
    "干啥": "做什么",
    "有啥": "有什么",
    "啥": "什么",
    "咋办": "怎么办",
    "咋": "怎么",
    "眼药水": "滴眼液",
    "眼内针": "玻璃体注射",
    "打眼针": "玻璃体注射",
    "打针": "注射",
    "打完针": "注射后",
    "糖网": "糖尿病视网膜病变",
    "网脱": "视网膜脱离",
    "玻切": "玻璃体切除",
    "玻血": "玻璃体积血",
    "晶状体": "晶体",
    "开刀": "手术",
    "瞎": "失明",
    "疼": "痛",
    "娃": "孩子",
    "宝宝": "孩子",
    "眼底照片": "照片",
    "眼底照": "照片",
    "眼底照相": "照片",
    "传给": "遗传给",
    "下一代": "孩子",
    "区别": "鉴别",
    "夜盲症": "夜盲",
    "查眼睛": "眼科检查",
    "查眼底": "眼底检查",
    "人工智能": "AI",
}


def plain(text: str, language: str) -> str:
    """Return a text in 'en' or 'zh' in the words by which the library is searched.

    Example: `plain("trab op: can i swim after?", "en")` is
    'trabeculectomy operation: can i swim after?'.
    """
    if language == "zh":
        return _chinese().sub(lambda m: _CHINESE[m[0]], text)
    for notation, words in _NOTATION:
        text = notation.sub(words, text)
    text = text.replace("’", "'").lower()
    for phrase, words in _PHRASES_COMPILED:
        text = phrase.sub(words, text)
    return re.sub(r"[a-z0-9']+", lambda m: _one(m[0]), text)


def _one(word: str) -> str:
    known = _ENGLISH.get(word)
    if known is None and word.endswith("s"):
        singular = _ENGLISH.get(word[:-1])
        known = singular and singular + "s"
    return known or word


@cache
def _chinese() -> re.Pattern[str]:
    return re.compile("|".join(sorted(_CHINESE, key=len, reverse=True)))
