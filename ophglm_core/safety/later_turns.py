"""What follows an emergency in a conversation: 'how long can it wait?', 'no curtain though'."""

from __future__ import annotations

import re

from .red_flags import IF_NEW, may_mean

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
#: A question of its own, which is answered: "sent her in. what are cotton wool spots?"
_OF_ITS_OWN = re.compile(
    r"\b(?:what(?:'?s| is| are| does| do)|which|why|who|explain|tell me|how (?:does|do|is|are))\b"
    r"|\b(?:rinse|wash|neutrali[sz]e)\b|^\W*(?:is|are) there\b|\b(?:eat|diet|food)\b"
    r"|什么是|是什么|是啥|为什么|为啥|叫什么|怎么治|一般|术后|手术后|冲洗|冲多久",
    re.IGNORECASE,
)
#: "What could it be?", asked of what was told.
_WHAT_IT_IS = re.compile(
    r"\bwhat\W?(?:i?s)?\b.{0,40}\b(?:called|name)\b"
    r"|^\W*(?:so )?what (?:is|was|could|can|might|may) (?:it|that|this)(?: be| mean)?\W*$"
    r"|\bwhat (?:disease|condition|illness)\b"
    r"|叫什么|^\W*(?:那|这|这个)?(?:可能)?(?:会)?是(?:个)?(?:啥|什么)(?:毛?病)?(?:啊|呢|呀)?\W*$",
    re.IGNORECASE,
)
#: How it is given is no matter of waiting.
_FIRST_AID = frozenset({"rinse", "wash", "冲洗", "冲多久", "术后", "手术后"})
#: A turn that asks something, and does not only tell.
_ASKS = re.compile(
    r"[?？]|^\W*(?:can|could|should|do|does|is|are|will|what|which|why|how|who|where)\b"
    r"|[吗呢么]\W*$|不(?:行|要)?\W*$|要不要|能不能",
    re.IGNORECASE,
)
#: Of more words a turn tells something of its own.
_LONGEST = 120


def speaks_of_waiting(text: str) -> bool:
    """Whether a text can only be about how long something can wait."""
    return re.search(r"\bwait|等", text, re.IGNORECASE) is not None


def asks_something(text: str) -> bool:
    """Whether a text asks, and does not only tell."""
    return _ASKS.search(text) is not None


def what_it_may_be(text: str, earlier: str, language: str = "en") -> str | None:
    """Return what may stand behind an emergency that was told before, where a turn asks that.

    earlier: the text that told it. None if it asks something else or the rules know no answer.
    """
    if len(text) > _LONGEST or not _WHAT_IT_IS.search(text):
        return None
    return may_mean(earlier, language) or None


def still_urgent(text: str, earlier: str, language: str = "en") -> str | None:
    """Return what to say to a turn that is about an emergency told before: one that asks how long
    it can wait, or names what is absent. None if it is about something else.

    earlier: what was said of that emergency. language: 'en' or 'zh'.
    """
    if len(text) > _LONGEST or not (_WAITING.search(text) or _DENIED.search(text)):
        return None
    last = re.split(r"(?<=[.!;。！；])\s*", text.strip().rstrip(".!;。！； "))[-1]
    own = _OF_ITS_OWN.search(last)
    if own and (own[0] in _FIRST_AID or not (_WAITING.search(last) or _DENIED.search(last))):
        return None
    zh = language == "zh"
    return IF_NEW[zh] if earlier in IF_NEW else _STAYS_URGENT[zh]
