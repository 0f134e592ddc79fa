"""Red flags: symptoms that need care at once, whatever a photograph shows.

They follow the College of Optometrists' 'Urgency of referrals' (C205 and Annex 4), NICE NG82 for
new distortion and the BSR guideline of 2020 for giant cell arteritis.
"""

from __future__ import annotations

import re

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
        r"|\b(eye|vision|sight)\b.{0,20}\b(went|gone|going|turned) (black|dark|blank)"
        r"|(can'?t|cannot|can not) see (a|any) ?thing\b"
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
        r"|drain cleaner|oven cleaner|detergent|ammonia|pepper spray|super ?glue"
        r"|\b(hit|struck|poked|punched|scratched|kicked)\b.{0,30}\beye"
        r"|(metal|glass|foreign body|something).{0,20}(in|into) (my|the|his|her|an)( \w+'s)? eye"
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
_SYMPTOM = (
    r"(?:(?:sudden|acute|visual|vision|eye|new) )*(?:loss(?: of (?:vision|sight))?|flash(?:es|ing)?"
    r"|floaters?|curtains?|shadows?|veils?|pain|redness|injur(?:y|ies)|trauma|distortion"
    r"|double vision|headaches?|halos?|photopsia|jaw pain|scalp tenderness)"
)
#: What a text says is not there: a list of symptoms behind a negation, and no more than the list.
_NEGATED = re.compile(
    r"\b(?:no|den(?:y|ies|ied|ying)|without|negative for)\b(?:\s+(?:any|history of|signs? of))*\s+"
    rf"{_SYMPTOM}(?:\s*(?:,\s*(?:or|and|nor)?|or|and|nor|/)\s*(?:(?:no|any)\s+)*{_SYMPTOM})*"
    r"|(?:没有|否认有?|未出现|并无|无)[^，。；！？,;!?但]{0,10}",
    re.IGNORECASE,
)
#: Words that sound like one of the above and are none.
_HARMLESS = re.compile(
    r"\b(?:acetylsalicylic|hyaluronic|folic|ascorbic|fatty|amino|uric|tranexamic) acids?\b"
    r"|\b(?:injur\w*|trauma\w*|accident|hit)\b[^.;!?]{0,40}"
    r"(?:\b\w+ years ago|\bas a child|\bin (?:19|20)\d\d\b|\bin childhood|\bdecades ago)"
    r"|(?:小时候|多年前|\d+年前)[^，。；]{0,12}(?:外伤|受伤)",
    re.IGNORECASE,
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
    complaint = _HARMLESS.sub(" ", _NEGATED.sub(" ", question))
    found = [f for f in _FLAGS if re.search(f[0], complaint, re.IGNORECASE | re.DOTALL)]
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
