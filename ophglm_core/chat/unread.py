"""Questions that ask a photograph for what no part of the model reads off it."""

from __future__ import annotations

import re

_SIGN = (
    r"(?:(?:flame|dot|blot|disc|splinter|vitreous|preretinal) )?(?:ha?emorr?hages?|bleed\w*|blood)"
    r"|microaneurysms?|(?:hard )?exudates?|cotton[- ]wool spots?|drusen|irma|venous beading"
    r"|new vessels|neovasculari[sz]ation|nv[de]|cupping|notch\w*|pallor"
    r"|(?:optic )?disc (?:swelling|o?edema)|scars?|(?:peripapillary )?atrophy|pigment\w*"
    r"|laser (?:scars?|marks?)|lacquer cracks?|staphylomas?"
)
_MEASURE = (
    r"(?:vertical )?cup[- ]?(?:to[- ]|/|:)?disc ratio|c/?d ratio|cdr|(?:eye |intraocular )?pressure"
    r"|iop|(?:a/?v|arteriovenous|vessel) ratio|axial length|refraction|(?:visual )?acuity"
)
_THIS = r"(?:this|the|that|his|her)(?: (?:photograph|photo|picture|image|eye|retina|patient))?"
_SIGN_ZH = (
    r"(?:眼底|视网膜|视盘|黄斑)?(?:出血|渗出|微血管瘤|棉絮斑|棉绒斑|新生血管|玻璃膜疣|切迹|萎缩弧"
    r"|漆裂纹|激光斑|瘢痕)"
)
_UNREAD = re.compile(
    rf"(?:is|are) there (?:any |an? |some )?(?:{_SIGN})\b.{{0,40}}"
    rf"|(?:do|can) you see (?:any |an? |the |some )?(?:{_SIGN})\b.{{0,40}}"
    rf"|does (?:it|{_THIS}) (?:show|have) (?:any |an? )?(?:{_SIGN})\b.{{0,40}}"
    r"|(?:is|are) (?:the|his|her) (?:optic )?(?:discs?|nerve|cup|macula|fovea|vessels|arteries"
    r"|veins|periphery) (?:normal|ok|okay|healthy|pale|swollen|cupped|attenuated|dilated"
    r"|tortuous)\b.{0,20}"
    rf"|(?:any|how many|where (?:is|are) the) (?:{_SIGN})\b.{{0,40}}"
    rf"|(?:what(?:'s| is)|measure|estimate|give me) (?:the |his |her )?(?:{_MEASURE})"
    rf"(?:,? ?(?:here|(?:of|in|on) {_THIS}))+"
    rf"|(?:这张|该)?(?:照片|图|眼底)?(?:上|中|里)?(?:有没有|有|是否有|能看到|看得到){_SIGN_ZH}(?:吗|么)?"
    r"|(?:视盘|视乳头|黄斑|血管|动脉|静脉)(?:正常|好|苍白|水肿|变细|有(?:问题|异常))(?:吗|么)?"
    r"|(?:这张|该)?(?:照片|图|眼底|这只眼)(?:上|中|里|的)*(?:杯盘比|眼压|眼轴|视力)(?:是)?多少",
)


def asks_unread(question: str) -> bool:
    """Return whether a question, in small letters and without its mark, asks a photograph for a
    single sign or a measurement.

    Example: `asks_unread("is there a haemorrhage near the disc")` is True.
    """
    return _UNREAD.fullmatch(question) is not None
