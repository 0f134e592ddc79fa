"""What follows an emergency in a conversation: 'how long can it wait?', 'no curtain though'."""

from __future__ import annotations

import re

from .red_flags import IF_NEW

_STAYS_URGENT = (
    "What was described before stays an emergency, also where other symptoms are absent: do not "
    "wait, go to an emergency eye service or emergency department now.",
    "前面所述仍属急症，即使没有其他症状也不能等待，请立即去眼科急诊或医院急诊。",
)
_WAITING = re.compile(
    r"\bwait|\bhow (?:long|soon|quickly|fast|urgent|serious|bad)\b|\burgent|\bemergency\b|\bwhen\b"
    r"|\b(?:today|tonight|tomorrow|tmrw|overnight|weekend|next week|in the morning"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day)\b|\b(?:go|goes?|come|send|sent|take|drive)\b"
    r"|\bhospital\b|\ba ?& ?e\b|\bcasualty\b|\ber\b|\bappointment\b|\bworr(?:y|ied)\b"
    r"|\b(?:dangerous|okay|ok|fine|better|sleep|watch)\b"
    r"|等|多久|多快|什么时候|几天|今天|今晚|明天|后天|下周|周末|急诊|医院|严重|要紧|危险|紧急|观察|睡",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(?:no|not|without|isn'?t|doesn'?t|hasn'?t|didn'?t|don'?t|never|none)\b.{0,40}\b(?:curtain"
    r"|shadow|flash\w*|floater\w*|pain\w*|hurt\w*|loss|blur\w*|red\w*|halo\w*|double|headache"
    r"|jaw|vomit\w*|nausea|discharge|symptoms?)\b"
    r"|没有?(?:[^。，,]{0,6})(?:闪光|飞蚊|黑影|幕|疼|痛|红|视力下降|重影|头痛|恶心|呕吐|症状)",
    re.IGNORECASE,
)
#: Of more words a turn tells something of its own.
_LONGEST = 120


def still_urgent(text: str, earlier: str, language: str = "en") -> str | None:
    """Return what to say to a turn that is about an emergency told before: one that asks how long
    it can wait, or names what is absent. None if it is about something else.

    earlier: what was said of that emergency. language: 'en' or 'zh'.
    """
    if len(text) > _LONGEST or not (_WAITING.search(text) or _DENIED.search(text)):
        return None
    zh = language == "zh"
    return IF_NEW[zh] if earlier in IF_NEW else _STAYS_URGENT[zh]
