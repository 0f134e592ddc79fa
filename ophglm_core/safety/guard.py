"""What the assistant must say, and what it must not: red flags, and a guard over the LLM's words.

The findings are worded by the program; the language model explains. A small model is fluent and
not reliable, so each of its sentences is checked before the user sees it. Red flags follow the
College of Optometrists' 'Urgency of referrals' (C205 and Annex 4), NICE NG82 for new distortion
and the BSR guideline of 2020 for giant cell arteritis.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# What asks for several words in any order begins with `^`: without it its lookaheads are tried from
# every letter on, which takes a minute for ten pages that somebody pastes.
_FLAGS: tuple[tuple[str, str, str, str], ...] = (
    (
        r"sudden(ly)?\b.{0,40}\b(loss|lost|lose|losing|gone|blind|can'?t see|cannot see|black|drop|"
        r"worse|blur\w*|vision|sight)"
        r"|(lost|loss of|losing|lose) (my |his |her |the |all |their )?(vision|sight|eyesight)"
        r"(?! slowly).{0,30}\b(sudden|today|yesterday|overnight|this morning|hour|minute)"
        r"|went blind|woke up blind|vision (went|has gone) (black|dark|out)"
        r"|(vision|sight|eyesight)\b.{0,15}\b(is gone|disappeared|vanished)"
        r"|(can'?t|cannot|can not|unable to) see\b.{0,40}\b(since|today|this morning|yesterday"
        r"|any ?more|suddenly)|blind .{0,20}\bsince\b"
        r"|突然.{0,8}(看不见|看不到|失明|视力|视物|眼前发黑|黑)|(视力|视物).{0,6}(突然|骤)|一过性黑",
        "sudden loss of vision",
        "视力突然下降",
        "",
    ),
    (
        r"curtain|(shadow|veil|shade).{0,30}(vision|sight|eye|view|field|side|across|over)"
        r"|(幕|帘).{0,6}(遮|挡)|黑影遮|遮挡感|像窗帘",
        "a curtain or shadow over the view",
        "幕样遮挡",
        "",
    ),
    (
        r"\bflashes\b|\bflashing\b|flash of light|photopsia"
        r"|(new|sudden|many|more|shower).{0,20}floater"
        r"|闪光|飞蚊.{0,8}(增多|突然|很多|加重)|突然.{0,8}飞蚊",
        "flashes or new floaters",
        "闪光感或飞蚊突然增多",
        "",
    ),
    (
        r"^(?=.*\b(pain|painful|hurt\w*|ache|aching|sore)\b)(?=.*\bred(ness)?\b)(?=.*\beyes?\b)"
        r"|(severe|sudden|intense|unbearable|terrible).{0,15}\beye\b.{0,10}(pain|ache)"
        r"|(severe|sudden|intense|terrible) pain.{0,20}\beyes?\b"
        r"|\bhalos?\b.{0,40}(nausea|vomit|pain)|\beyes?\b.{0,20}(pain|hurt).{0,40}(nausea|vomit)"
        r"|\beyes?\b.{0,10}hurts? (a lot|badly|so much|terribly|like)"
        r"|^(?=.*红)(?=.*(痛|疼))(?=.*眼)|眼.{0,6}(剧痛|剧烈疼|胀痛)|虹视",
        "a painful red eye",
        "眼红痛",
        "",
    ),
    (
        r"injur|trauma|chemical|splash\w*|alkali|\bacid\b|penetrat|bleach|\blime\b|cement"
        r"|\b(hit|struck|poked|punched|scratched|kicked)\b.{0,30}\beye"
        r"|(metal|glass|foreign body|something).{0,20}(in|into) (my|the|his|her|an) eye"
        r"|外伤|受伤|化学|溅|(异物|铁屑|玻璃).{0,6}(眼|进)|眼.{0,4}(撞|打|砸|刺)",
        "an injury of the eye",
        "眼外伤",
        "For a chemical splash, rinse with clean water first and go on rinsing on the way.|"
        "若为化学物质溅入，先用大量清水持续冲洗，再立即就医。",
    ),
    (
        r"^(?=.*\b(headache|jaw|scalp)\b)(?=.*\b(vision|sight|see|double|eye)\b)"
        r"|double vision.{0,20}sudden|sudden.{0,20}double vision"
        r"|^(?=.*(头痛|咀嚼|头皮))(?=.*(视|眼))",
        "headache, jaw or scalp pain with eye symptoms",
        "头痛、咀嚼痛或头皮痛伴眼部症状",
        "",
    ),
    (
        r"(new|sudden|recent|started|now|suddenly).{0,30}(distort|wavy|bent|crooked)"
        r"|(lines|letters|door\w*|things).{0,20}(look|appear|are|become|became).{0,10}"
        r"(wavy|bent|crooked|distorted)|视物变形|直线变弯|变弯",
        "new distortion",
        "新出现的视物变形",
        "",
    ),
)
_ASKED_ABOUT = re.compile(
    r"^\s*(what (is|are|does|do)|define|explain what|why (is|are)|什么是)\b"
    r"|\b(cause[sd]?|lead to|leads to|risk factors?|associated with|related to)\b|(导致|引起)",
    re.IGNORECASE,
)


def red_flags(question: str, language: str = "en") -> str | None:
    """Return what to say first if a question tells of symptoms that need care at once.

    A question of what a word means or what causes what is not a complaint, unless it speaks of a
    person.
    """
    person = re.search(
        r"\b(i|my|me|he|she|his|her|patient|patient's|we|mother|father)\b|我|他|她|患者|病人",
        question,
        re.IGNORECASE,
    )
    if _ASKED_ABOUT.search(question) and not person:
        return None
    found = [f for f in _FLAGS if re.search(f[0], question, re.IGNORECASE | re.DOTALL)]
    if not found:
        return None
    zh = language == "zh"
    names = ("、" if zh else ", ").join(f[2] if zh else f[1] for f in found)
    extra = [part for f in found if f[3] for part in f[3].split("|")[int(zh) : int(zh) + 1]]
    if zh:
        text = (
            f"紧急提示：{names}需要立即就诊——请现在就去急诊或眼科急诊，"
            "不要等待；照片看似正常也不能排除。"
        )
    else:
        text = (
            f"Urgent: {names} needs care at once. Go to an emergency eye service or emergency "
            "department now and do not wait; a photograph that looks normal does not rule it out."
        )
    return (text + ("" if zh else " ") + ("" if zh else " ").join(extra)).strip()


#: Condition -> how sentences name it. Narrower and neighbouring names count as the condition.
_NAMES: dict[str, str] = {
    "dr": r"diabetic (retinopathy|eye|macul\w*)|retinopath(y|ies)|\bn?pdr\b|microaneurysm"
    r"|糖尿病.{0,3}(视网膜|眼|黄斑)|糖网",
    "amd": r"macular degeneration|\ba?md\b|\barmd\b|drusen|geographic atrophy|黄斑变性|玻璃膜疣",
    "glaucoma": r"glaucoma\w*|青光眼",
    "myopia": r"(pathologic(al)?|degenerative|high|severe) (myopia|near.?sighted\w*)"
    r"|myopic macul\w*"
    r"|\bmyopi[ac]\b|near.?sighted\w*|近视",
    "cataract": r"cataracts?|clouding of the lens|cloudy lens|白内障",
}
#: Diseases that no output of this encoder can give: naming one of them is always an addition.
_OTHERS = (
    r"hypertensive|vein occlusion|artery occlusion|retinal detachment|detached retina"
    r"|macular (hole|edema|oedema)|epiretinal|uveitis|retinoblastoma|melanoma|tumou?r|cancer"
    r"|retinitis pigmentosa|papill?o?edema|optic neuritis|keratoconus|stroke"
    r"|高血压性|静脉阻塞|动脉阻塞|视网膜脱离|黄斑裂孔|葡萄膜炎|肿瘤|癌"
)
_CERTAIN = re.compile(
    r"\b(definite(ly)?|certain(ly)?|undoubtedly|without (a )?doubt|confirms|confirmed(?! by)"
    r"|proves?|proven|guarantee\w*|100 ?%|no doubt|clearly (has|have|shows|indicates)|surely"
    r"|absolutely)\b"
    r"|\b(you|he|she|the patient|they|i) (do )?(have|has|had|suffers?|are suffering|is suffering)"
    r" (from )?(a |an |the |mild |moderate |severe |early |late )*{names}"
    r"|diagnos(ed|is) (is|of|as|with|:)|肯定|确诊|一定是|毫无疑问|就是|百分之百".replace(
        "{names}", "(" + "|".join([*_NAMES.values(), _OTHERS]) + ")"
    ),
    re.IGNORECASE,
)
_ABOUT_PICTURE = re.compile(
    r"photo|image|picture|\bscan\b|fundus|\b(this|the|your|left|right) (eye|retina|macula|disc)\b"
    r"|\b(you|your|the patient|patient's|he|she)\b|\bI (can )?(see|saw|notice|observe)"
    r"|照片|图像|图片|眼底|您|你|患者|病人|该眼",
    re.IGNORECASE,
)
#: A description of this picture or eye: what it shows has been said already, by the program.
_DESCRIBES = re.compile(
    r"\b(the|this|these|your|our) (\w+ )?(photo\w*|images?|pictures?|scans?)\b"
    r"|\b(the|this|your|his|her|their|left|right) (\w+ )?(eyes?|retinas?|maculas?|discs?|lens|cup"
    r"|vessels|pupils?|patient|person) (is|are|was|has|have|had|shows?|looks?|appears?|seems?)\b"
    r"|\b(i|we) (can )?(see|saw|notice|observe)|(照片|图像|该眼|眼底)(显示|中|上可见|可见)",
    re.IGNORECASE,
)
_COMMON = {
    word[:6]
    for word in re.findall(
        r"\w+",
        "this that these those with from have been will would could should also when where which "
        "what about into than then them they their there some such more most other your after "
        "before because very much many being does made make only over each both while during",
    )
}
_DENIED = re.compile(
    r"\b(no|not|without|never|neither|cannot|can't|does not|doesn't|rule[sd]? out|exclude[sd]?)\b"
    r"|不|没有|未|无|排除",
    re.IGNORECASE,
)
_DOSE = re.compile(r"\b\d+([.,]\d+)?\s*(mg|ml|mcg|µg|g|drops?|tablets?|times|%|percent)", re.I)
_PERSONA = re.compile(
    r"\bas an ai\b|\bi('m| am) (a|an|your) (doctor|ophthalmologist|physician|ai)"
    r"|\bSmolLM\b|hugging ?face|\bsystem prompt\b|\bthe facts (above|say|given|provided)",
    re.IGNORECASE,
)


def states_certainty(text: str) -> bool:
    """Whether a text states a disease or finding as certain, or gives a dose."""
    return bool(_CERTAIN.search(text) or _DOSE.search(text))


def overclaims(text: str) -> bool:
    """Whether a text states a disease as certain, gives a dose or names one never looked for."""
    return states_certainty(text) or any(
        re.search(pattern, text, re.IGNORECASE) for pattern in (_PERSONA.pattern, _OTHERS)
    )


def named_conditions(text: str) -> set[str]:
    """Return the labels of the diseases that a text names."""
    return {k for k, pattern in _NAMES.items() if re.search(pattern, text, re.IGNORECASE)}


_NEGATION = re.compile(r"\b(?:not|no|never|cannot|without|neither|nor)\b|n't\b")


@dataclass
class Guard:
    """Checks the language model's sentences, one after another, for one answer.

    found: diseases that the picture gave. asked: diseases that the user's question names; they may
    be explained, and not be said to be there. grounds: the text the model was given; numbers that
    are not in it are the model's own invention. support: the share of a sentence's content words
    that `grounds` must hold; a model of a few hundred million parameters needs it, and may neither
    deny what they say nor say what they deny; a large one 0.
    """

    found: frozenset[str]
    asked: frozenset[str]
    grounds: str
    support: float = 0.0

    def __post_init__(self) -> None:
        self._said: list[tuple[str, set[str]]] = []
        self._grounds = _content(self.grounds)
        self._denied = _denied(self.grounds)

    def objection(self, sentence: str) -> str | None:
        """Return why a sentence must not be shown, or None if it may."""
        plain = re.sub(r"\W+", " ", sentence).strip().lower()
        if not plain:
            return "nothing said"
        words = _content(sentence)
        if any(plain == said or _same(words, others) for said, others in self._said):
            return "said before"
        objection = self._objection(sentence)
        if objection is None:
            self._said.append((plain, words))
        return objection

    def hear(self, sentence: str) -> None:
        """Take note of a sentence that was said, so that the model does not say it again."""
        plain = re.sub(r"\W+", " ", sentence).strip().lower()
        self._said.append((plain, _content(sentence)))

    def _objection(self, sentence: str) -> str | None:
        if _CERTAIN.search(sentence):
            return "states a disease or finding as certain"
        if _PERSONA.search(sentence):
            return "speaks of itself"
        if any(n not in self.grounds for n in re.findall(r"\d+(?:\.\d+)?", sentence)):
            return "a number that was not given"
        if _DOSE.search(sentence) and not _DOSE.search(self.grounds):
            return "a dose"
        named = named_conditions(sentence)
        about_picture = _ABOUT_PICTURE.search(sentence)
        if re.search(_OTHERS, sentence, re.IGNORECASE) and not re.search(
            _OTHERS, self.grounds, re.IGNORECASE
        ):
            return "names a disease that was neither found nor asked about"
        if named - self.found - self.asked:
            return "names a disease that was neither found nor asked about"
        if (named - self.found) and _DENIED.search(sentence):
            return "excludes a disease, which a photograph cannot"
        if (named - self.found) and about_picture:
            return "speaks of a disease that was not found as if of this patient"
        if (named & self.found) and about_picture and _DENIED.search(sentence):
            return "denies what was found"
        if _DESCRIBES.search(sentence):
            return "tells of the picture what it did not give"
        words = _content(sentence)
        if words and len(words & self._grounds) < self.support * len(words):
            return "is not supported by what the model was given"
        if self.support and self._turned_round(sentence, words):
            return "denies what the model was given, or gives what that denies"
        return None

    def _turned_round(self, sentence: str, words: set[str]) -> bool:
        """Whether a word is denied in the sentence and not in the grounds, or the other way round.

        A small model drops and adds a 'not' as lightly as any other word.
        """
        denied = _denied(sentence)
        return bool(denied & (self._grounds - self._denied) or (words - denied) & self._denied)


def _denied(text: str) -> set[str]:
    """The content words that stand behind a 'not' in their clause."""
    clauses = re.split(r"[.,;:!?]|\bbut\b", text.lower())
    parts = (_NEGATION.split(clause, maxsplit=1) for clause in clauses)
    return _content(" ".join(part[-1] for part in parts if len(part) > 1))


def _same(words: set[str], others: set[str]) -> bool:
    """Whether two sentences say the same: nearly all of either's content words are shared."""
    return len(words) > 3 and len(words & others) >= 0.95 * max(len(words), len(others))


def _content(text: str) -> set[str]:
    """The words of a text that carry meaning, cut to stems of six letters."""
    return {word[:6] for word in re.findall(r"[a-z]{4,}", text.lower())} - _COMMON
