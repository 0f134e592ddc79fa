"""What a turn of a conversation means: by its words, by its meaning, and by what was said before.

`question` and `tasks` read what a turn says by itself. Here stands what takes more: acts that no
rule foresaw (`acts`), a correction ("no, I meant glaucoma"), a number that is asked for once more
after it was refused, and what is asked of a finding without its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..conditions import NAMING, NORMAL, LabelSet
from ..knowledge.library import subjects
from ..knowledge.retrieval import features
from ..knowledge.topics import topics_asked
from ..wording import is_chinese
from .acts import act_in
from .exchange import Exchange
from .follow_ups import whole_question
from .question import Question, asks_which_eye, insists_on_dose, parse_question
from .tasks import TASKS

#: What the fusion module is asked in the words that it was trained on.
_SEEN = {
    "findings": ("which", "What do you see in this photograph?", "你看到了什么？"),
    "eye": ("eye", "Which eye is it?", "这是左眼还是右眼？"),
}
#: Acts that ask the library of what was found or spoken of.
_OF_SUBJECT = {
    "confirm": ("How is {} diagnosed, and by which tests?", "{}怎么确诊，要做哪些检查？"),
    "dangers": (
        "Can {} make blind, and what does it lead to untreated?",
        "{}会失明吗，不治疗有什么后果？",
    ),
    "malignant": ("Is {} a cancer?", "{}是癌症吗？"),
}
_OF_READING = {
    "certainty": "certainty",
    "accuracy": "accuracy",
    "reason": "reason",
    "sources": "sources",
    "abilities": "abilities",
    "inability": "inability",
    "quality": "quality",
    "severity": "severity",
    "next": "urgency",
    "disagreement": "disagreement",
    "privacy": "privacy",
    "open_photograph": "open_photograph",
}
#: Acts that stay what they are where a disease is named.
_MAY_NAME = frozenset({"letter", "patient", "colleague", "summary", "disagreement", "certainty"})
#: Without a photograph these are asked of what was spoken of.
_OF_PHOTOGRAPH = frozenset({"certainty", "reason", "severity", "next", *_SEEN})

#: What is said of earlier turns.
_OF_BEFORE = frozenset({"shorter", "more", "translate"})

_CORRECTION = re.compile(
    r"^\W*(?:(?:no|nope|sorry|not that|i said)[,.:; -]*)*(?:i|we)(?: was|'?m| am)? "
    r"(?:meant|mean|asked about|asking about|talking about|want(?:ed)?)(?: to ask about)?\s+"
    r"(?P<en>[^?？.]{2,60})\W*$"
    r"|^\W*(?:不是|不对|错了|不)?[，, ]*(?:我|我们)?(?:是)?(?:想)?(?:问|说|指)的(?:是|就是)"
    r"(?P<zh>[^？?。]{1,20})\W*$",
    re.IGNORECASE,
)
_WHY = re.compile(
    r"^\W*(?:but |and |so )?(?:why|how come)(?: (?:is that|so|not))?\W*$"
    r"|^\W*(?:那)?为(?:什么|啥|何)呢?\W*$",
    re.IGNORECASE,
)
_QUALITY = re.compile(
    r"\b(?:quality|sharp|blurr\w+|good enough|gradable|usable)\b|质量|清晰|清楚", re.I
)
_PHOTOGRAPH = re.compile(r"\b(?:photo\w*|picture|image)s?\b|照片|图片|图像", re.IGNORECASE)
#: A look that is asked for, perhaps behind what is told of the patient.
_LOOK = re.compile(
    r"(?:^|[\s，,。])(?:请|麻烦)?(?:帮(?:我|忙))?看(?:看|下|一下)?(?:这张|这个|眼底|这张眼底|照片|片子|图)(?:照片|片子|图)?"
    r"(?:吧|呢|呗)?\W*$|^\W*(?:这|图)(?:里|上)?(?:到底)?是(?:啥|什么)(?:病)?(?:啊|呀|呢)?\W*$"
    r"|^\W*到底(?:是)?(?:啥|什么)病",
)
#: What stands behind what is told of the patient: "71M, diabetic. read this one".
_CLAUSE = re.compile(r"[.!?;:。！？；：，\n]+\s*|,\s+")
#: Which disease "another abnormality" is.
_ANOTHER = re.compile(
    r"\b(?:other|another abnormality)\b\W*(?:here |then |supposed to )*(?:mean\b|stand for\b)"
    r"|\b(?:what(?:'s| is| does)|which(?: one)? is)(?: (?:the|this|that|it|by))*\W+"
    r"(?:other|another abnormality)\W*(?:mean\w*)?\W*$|(?:其他|其它)(?:异常)?.{0,6}(?:啥|什么)"
    r"|(?:其他|其它)(?:异常)?.{0,4}(?:意思|指)",
    re.IGNORECASE,
)
#: "So there is no glaucoma, then", after a photograph without findings.
_NONE_THEN = re.compile(
    r"^\W*(?:那)?(?:就是|也就是|所以)(?:说)?(?:我)?没有?.{0,12}(?:咯|喽|了|吧|对吧|是吧)\W*$"
    r"|^\W*so (?:there'?s |i have |he has |she has |that means )?(?:definitely )?no "
    r".{0,40}(?:then|right|at all)\W*$",
    re.IGNORECASE,
)
_SICK = re.compile(r"\b(?:disease|problem|wrong|damage)\b|病|问题|异常|毛病", re.IGNORECASE)
_OF_PROGRAM = re.compile(
    r"\b(?:you|u|it|this|tool|program|app|ai|software|model|classifier|limit\w*)\b"
    r"|你|您|它|程序|软件|系统|工具|模型|局限",
    re.IGNORECASE,
)
_FIRST = re.compile(r"\b(?:the|my|your) first (?:one|question|thing|topic)\b|第一个", re.IGNORECASE)
_RETURNS = re.compile(r"\bback to\b|\bearlier\b|\bagain about\b|回到|再说|刚才|前面", re.IGNORECASE)


def understand(
    question: Question,
    task: str | None,
    labels: LabelSet,
    turns: Sequence[Exchange],
    subject: Sequence[str],
    shown: bool,
    found: Sequence[str],
    embed: Callable[[str], np.ndarray] | None,
) -> tuple[Question, str | None]:
    """Return the question that a turn asks, and the task that it sets, if it sets one.

    question, task: what `parse_question` and `task_in` make of its words alone. turns: those before
    it. subject: what "it" would mean, as keys. shown: whether there is a photograph. found: the
    diseases that it gave. embed: see `acts.act_in`.
    """
    text = question.text
    if task is not None or question.vqa_kind is not None or question.about_reading is not None:
        return question, task
    last = turns[-1] if turns else None
    if last is not None:
        if last.question.asks_dose and insists_on_dose(question):
            return replace(question, asks_dose=True), None
        corrected = _corrected(question, last.question, labels)
        if corrected is not None:
            return corrected, None
        if _WHY.search(text) and last.tells("finding"):
            return replace(question, about_reading="reason"), None
        if _WHY.search(text) and last.entries:
            return _put_as(question, f"{text} {last.question.looked_up}", labels), None
    if shown and _LOOK.search(text):
        return _to_photograph("findings", question), None
    if shown and "other" in found and _ANOTHER.search(text):
        return replace(question, about_reading="another"), None
    sick = question.conditions or question.beyond or _SICK.search(text)
    if shown and sick and _NONE_THEN.search(text):
        return replace(question, about_reading="certainty"), None
    whole = _whole(question, labels, subject, shown)
    if whole is not None:
        return whole, None
    if shown and asks_which_eye(text) and _QUALITY.search(text):
        return replace(question, about_reading="quality"), None
    if question.asks_dose or question.asks_unread:
        return question, None
    act = act_in(text, embed)
    named = bool(question.conditions or question.beyond)
    if act is None or (named and act not in _MAY_NAME):
        if shown and _last_asks_to_look(text, labels, embed):
            return _to_photograph("findings", question), None
        return question, None
    if act in _OF_BEFORE and not turns:
        return question, None
    if act in ("abilities", "inability") and not _OF_PROGRAM.search(text):
        return question, None
    if act == "inability" and _PHOTOGRAPH.search(text):
        return question, None  # the library knows what a photograph cannot show
    if act in TASKS:
        return question, act
    return _as_act(act, question, labels, turns, subject, shown), None


def _last_asks_to_look(
    text: str, labels: LabelSet, embed: Callable[[str], np.ndarray] | None
) -> bool:
    """Whether the last clause of a turn, behind what is told of the patient, asks for a look."""
    clauses = [clause for clause in _CLAUSE.split(text.strip()) if clause]
    # In Chinese a blank is a comma.
    last = clauses[-1].split()[-1] if clauses and is_chinese(text) else (clauses or [text])[-1]
    return last != text and not labels.named_in(last) and act_in(last, embed) == "findings"


def _whole(
    question: Question, labels: LabelSet, subject: Sequence[str], shown: bool
) -> Question | None:
    """Return what a turn asks in a word or two of what was spoken of, in whole; see follow_ups."""
    about = _disease_in(subject)
    if about is None or question.conditions or question.beyond:
        return None
    wanted = whole_question(question.text, question.language, about)
    if wanted is None:
        return None
    if shown and about in labels and topics_asked(wanted) == ["urgency"]:
        return replace(question, about_reading="urgency")
    return _put_as(question, wanted, labels)


def _as_act(
    act: str,
    question: Question,
    labels: LabelSet,
    turns: Sequence[Exchange],
    subject: Sequence[str],
    shown: bool,
) -> Question:
    """Return the question that an act asks."""
    zh = question.language == "zh"
    if act in _OF_SUBJECT:
        about = _disease_in(subject)
        if about is None:
            return question
        name = subjects()[about].name_in(question.language)
        return _put_as(question, _OF_SUBJECT[act][zh].format(name), labels)
    if act in _SEEN:
        return _to_photograph(act, question)
    if act == "reason":
        # Of what was told last: a finding, or what is known.
        told = next((t for t in reversed(turns) if t.entries or t.tells("finding")), None)
        if told is not None and told.entries and not told.tells("finding"):
            return replace(question, about_reading="sources")
    if act in _OF_PHOTOGRAPH and subject and not shown:
        return question
    return replace(question, about_reading=_OF_READING[act])


def _disease_in(subject: Sequence[str]) -> str | None:
    """Return the first of what was spoken of that the library knows as a disease, as a key."""
    return next((key for key in subject if key in subjects() and key != NORMAL), None)


def _to_photograph(act: str, question: Question) -> Question:
    """Return a turn as what the fusion module is asked; act: one of _SEEN."""
    kind, *worded = _SEEN[act]
    return replace(question, vqa_kind=kind, wanted=worded[question.language == "zh"])


def _put_as(question: Question, wanted: str, labels: LabelSet) -> Question:
    """Return a question that is looked up in other words."""
    meant = parse_question(wanted, labels)
    return replace(
        question,
        wanted=wanted,
        conditions=meant.conditions,
        beyond=meant.beyond,
        asks_dose=meant.asks_dose,
    )


def _corrected(question: Question, before: Question, labels: LabelSet) -> Question | None:
    """Return the last question about another subject, where a turn corrects that; else None."""
    match = _CORRECTION.search(question.text)
    meant = match and (match["en"] or match["zh"])
    named = [*question.conditions, *question.beyond]
    if not meant or not named:
        return None
    wanted, name = before.looked_up, meant.strip()
    for key in (*before.conditions, *before.beyond):
        pattern = labels[key].pattern if key in labels else subjects()[key].pattern
        wanted = re.sub(pattern, lambda _: name, wanted, count=1, flags=NAMING)
    if wanted == before.looked_up:
        wanted = f"{wanted} {name}"
    return _put_as(question, wanted, labels)


def subject_returned_to(text: str, turns: Sequence[Exchange], language: str) -> tuple[str, ...]:
    """Return what was spoken of in the turn that a text goes back to; nothing if to none.

    Example: 'back to the edema' is asked of what 'what is macular edema' was about.
    """
    if not _RETURNS.search(text):
        return ()
    if _FIRST.search(text):
        return next((turn.subject for turn in turns if turn.subject), ())
    said = _content(text, language)
    shared = [(len(said & _content(turn.text, language)), turn) for turn in turns]
    most, turn = max(shared, key=lambda pair: pair[0], default=(0, None))
    return turn.subject if turn is not None and most else ()


def _content(text: str, language: str) -> set[str]:
    return {word for word in features(text, language) if not word.startswith("~")}
