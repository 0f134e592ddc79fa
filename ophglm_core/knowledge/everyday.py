"""Puts a question into the library's words: shorthand, abbreviations, everyday words, brand names.

The library says 'injection' and 'what is'; people type 'jab' and 'whats'.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from ..safety.spelling import one_slip
from .library import vocabulary

#: Notation in which capitals count.
_NOTATION = (
    (re.compile(r"\b(R[0-3]A?)(M[01])\b"), r"\1 \2"),
    (re.compile(r"\bR(?= eyes?\b)"), "right"),
    (re.compile(r"\bL(?= eyes?\b)"), "left"),
    (re.compile(r"\bCM[OE]\b"), "cystoid macular oedema"),
    (re.compile(r"\bVF\b"), "visual field"),
    (re.compile(r"\bDD\b"), "disc diameter"),
    (re.compile(r"\bOHT\b"), "ocular hypertension"),
    (re.compile(r"\bFFA\b"), "fluorescein angiography"),
    (re.compile(r"\bAS(?= (?:sufferer|patient|pt)\b)"), "ankylosing spondylitis"),
)
#: Word as it is typed -> as the library says it. Whole words; an 's' at the end is kept.
_ENGLISH = {
    # Shorthand of messages and of notes.
    "u": "you",
    "ur": "your",
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
    "op": "surgery",
    "jab": "injection",
    "shot": "injection",
    "specs": "glasses",
    "spectacles": "glasses",
    "pic": "photo",
    "kid": "child",
    "kids": "children",
    "toddler": "child",
    "meds": "medicines",
    "optom": "optician",
    "sore": "painful",
    "hubby": "husband",
    "gunky": "sticky",
    "bendy": "wavy",
    "wonky": "wavy",
    "wiggly": "wavy",
    "gunk": "discharge",
    "gooey": "sticky",
    "weed": "cannabis",
    "marijuana": "cannabis",
    "booze": "alcohol",
    "fags": "smoking",
    "ciggies": "smoking",
    "ipad": "screen",
    "prem": "premature",
    "preemie": "premature",
    "pinkeye": "pink eye",
    # Clinicians' abbreviations.
    "trab": "trabeculectomy",
    "vit": "vitrectomy",
    "ppv": "vitrectomy",
    "nve": "new vessels elsewhere",
    "nvd": "new vessels at the disc",
    "namd": "wet amd",
    "armd": "amd",
    "ftmh": "macular hole",
    "vmt": "vitreomacular traction",
    "rrd": "retinal detachment",
    "ozurdex": "dexamethasone implant",
    "xalatan": "latanoprost",
    "viagra": "sildenafil",
    "diamox": "acetazolamide",
    "cxl": "cross-linking",
    "hfa": "visual field",
    "areds": "areds2",
}
_NUMBERED = re.compile(r"\b(\d+)((?:wk|yr|mth|hr|min|day)s?)\b")
#: Several words -> as the library says it.
_PHRASES = (
    (r"\bw/o\b", "without"),
    (r"\bw/\s?|\bw ", "with "),
    (r"\br (?!eye)", "are "),
    (r"\bn (?=\w)", "and "),
    (r"(?<![\w.])(-\d\d?(?:\.\d+)?)(?![\d.]| ?db)", r"\1 short-sighted"),
    (r"\bf/u\b", "follow-up"),
    (r"\b(?:1st|first)[- ]line\b(?!:? (?:treatment|therapy|drug))", "first-line treatment"),
    (r"\bw/u\b", "work-up"),
    (r"\by/?o\b", "year old"),
    (r"\b(?:clicker|button) test\b|\btest with the (?:dots|lights|clicker)\b", "visual field test"),
    (r"\b(?:air |eye )?puff test\b|\bpuff of air\b", "air puff tonometry"),
    (r"\byellow dye\b|\bdye test\b", "fluorescein dye"),
    (r"\bdiabetic (?:eye )?photos?\b", "diabetic eye screening photo"),
    (r"\beye stroke\b|\bstroke (?:in|of) (?:the|my|his|her) eye\b", "retinal artery occlusion"),
    (r"\bmacular degen\w*", "macular degeneration"),
    (r"\b(wet|dry) macular\b(?! degen)", r"\1 macular degeneration"),
    (r"\b(?:make|makes|made|making) (?:you|me|him|her) blind\b", "cause blindness"),
)  # fmt: skip
_PHRASES_COMPILED = tuple((re.compile(pattern), plain) for pattern, plain in _PHRASES)

#: What a word that the library has may end with besides. Shorter words than these are too near to
#: each other.
_ENDINGS = ("s", "d", "ed", "er", "ing", "'s")
_SHORTEST_SLIP = 8

#: Chinese as it is typed -> as the library says it.
_CHINESE = {
    "为啥": "为什么",
    "干啥": "做什么",
    "有啥": "有什么",
    "啥": "什么",
    "咋办": "怎么办",
    "咋": "怎么",
    "网脱": "视网膜脱离",
    "玻血": "玻璃体积血",
    "开刀": "手术",
    "会瞎": "会失明",
    "瞎": "失明",
    "疼": "痛",
    "娃": "孩子",
    "会传给": "会遗传给",
    "下一代": "孩子",
    "夜盲症": "夜盲",
}


#: Names that are typed with another character of the same sound.
_SOUND_ALIKE = tuple(
    (re.compile(typed), meant)
    for typed, meant in (
        ("青光[研严颜言炎]|清光眼", "青光眼"),
        ("白内[章嶂账]", "白内障"),
        ("黄班", "黄斑"),
        ("视网[摸模末]", "视网膜"),
        ("黄斑前[莫模摸]", "黄斑前膜"),
        ("羟氯[奎愧葵]|羟绿[喹奎]", "羟氯喹"),
        ("飞[纹文]症", "飞蚊症"),
        ("([结角虹巩])[模摸]炎", r"\1膜炎"),
        ("干眼[正证]", "干眼症"),
    )
)


def as_meant(text: str) -> str:
    """Return a Chinese text with the names of diseases as they are written.

    Example: `as_meant("是青光研吗")` is '是青光眼吗'.
    """
    for typed, meant in _SOUND_ALIKE:
        text = typed.sub(meant, text)
    return text


def plain(text: str, language: str) -> str:
    """Return a text in 'en' or 'zh' in the words by which the library is searched.

    Example: `plain("trab op: can u swim after?", "en")` is
    'trabeculectomy surgery: can you swim after?'.
    """
    if language == "zh":
        return _chinese().sub(lambda m: _CHINESE[m[0]], text)
    for notation, words in _NOTATION:
        text = notation.sub(words, text)
    text = _NUMBERED.sub(r"\1 \2", text.replace("’", "'").lower())
    text = re.sub(r"[a-z0-9']+", lambda m: _one(m[0]), text)
    for phrase, words in _PHRASES_COMPILED:
        text = phrase.sub(words, text)
    return re.sub(r"[a-z]+", lambda m: _corrected(m[0]), text)


def _one(word: str) -> str:
    known = _ENGLISH.get(word)
    if known is None and len(word) > 2 and word.endswith("s"):
        singular = _ENGLISH.get(word[:-1])
        known = singular and singular + "s"
    return known or word


@lru_cache(maxsize=4096)
def _corrected(word: str) -> str:
    """Return the word of the library that is one slip of the finger away, or the word itself."""
    if len(word) < _SHORTEST_SLIP or not word.isalpha():
        return word
    known = vocabulary()[1]
    if word in known or any(word.removesuffix(ending) in known for ending in _ENDINGS):
        return word
    near = [w for w in _by_initial().get(word[0], ()) if abs(len(w) - len(word)) < 2]
    return next((w for w in near if one_slip(word, w)), word)


@cache
def _by_initial() -> dict[str, list[str]]:
    """Return the library's longer English words by their first letter."""
    found: dict[str, list[str]] = {}
    for word in sorted(vocabulary()[1]):
        if len(word) >= _SHORTEST_SLIP:
            found.setdefault(word[0], []).append(word)
    return found


@cache
def _chinese() -> re.Pattern[str]:
    return re.compile("|".join(sorted(_CHINESE, key=len, reverse=True)))
