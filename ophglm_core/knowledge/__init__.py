"""What is known of each condition, in English and Chinese, each statement with its source.

The texts are the JSON files beside this module, one a condition, for clinicians to correct.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

#: Statements about the assistant itself rather than a condition.
GENERAL = "general"

#: Topic -> words of a question that ask for it. The order decides where several fit.
_TOPICS: tuple[tuple[str, str], ...] = (
    (
        "certainty",
        r"how (sure|certain|reliable|accurate|likely)|\b(sure|certain|confident)\b"
        r"|probab|percent|多大把握|可靠|确定吗|概率|准确",
    ),
    (
        "limits",
        r"anything else|other (disease|condition|finding)|rule out|exclude|miss|cannot see"
        r"|limit|其他疾病|排除|漏诊|局限",
    ),
    (
        "urgency",
        r"urgen|how soon|when should|refer|wait|emergenc|next|follow.?up"
        r"|should (i|we|he|she|they)|紧急|多久|转诊|何时就诊",
    ),
    ("treatment", r"treat|cure|therap|surg|operat|drops|inject|laser|manage|治疗|手术|药|怎么办"),
    ("prevention", r"prevent|avoid|protect|预防|避免|防止"),
    ("causes", r"cause|why|risk|reason|come from|原因|为什么|病因|危险因素"),
    ("symptoms", r"symptom|feel|notice|complain|症状|感觉"),
    ("examination", r"\bexam|\btest|diagnos|confirm|check|rule out|oct\b|检查|诊断|确诊"),
    ("grades", r"grade|stage|severity|severe|mild|moderate|分级|分期|严重|程度"),
    ("prognosis", r"prognos|outlook|blind|progress|get worse|future|预后|失明|恶化|发展"),
    ("lifestyle", r"lifestyle|\bdiet|\bfood|\beat|exercise|smok|daily|driv|生活|饮食|运动|吸烟"),
    (
        "signs",
        r"\bsigns?\b|look like|see\b|seen|show|find|appear|photograph|表现|征象|看到|看见|显示",
    ),
    ("definition", r"what is|what are|what's|define|mean|explain|是什么|什么是|含义|解释"),
)


@dataclass(frozen=True)
class Statement:
    """One statement about a condition, with its source.

    plain: what it means for a patient, in plain English; the language model learns to speak so.
    """

    condition: str
    topic: str
    en: str
    zh: str
    source: str
    plain: str = ""

    def text(self, language: str) -> str:
        """Return the statement in 'en' or 'zh'."""
        return self.zh if language == "zh" else self.en


@cache
def statements(condition: str) -> tuple[Statement, ...]:
    """Return all statements about a condition, by its label; none of one that is not known."""
    file = resources.files(__package__) / f"{condition}.json"
    if not file.is_file():
        return ()
    return tuple(
        Statement(condition, e["topic"], e["en"], e["zh"], e["source"], e["plain"])
        for e in json.loads(file.read_text(encoding="utf-8"))["entries"]
    )


def topics_of(question: str) -> list[str]:
    """Return the topics that a question asks for, the most telling first."""
    topics = [t for t, words in _TOPICS if re.search(words, question, re.IGNORECASE)]
    # 'What is the treatment?' asks for the treatment and not for what the disease is.
    return [t for t in topics if t != "definition"] or topics


def relevant(topics: Sequence[str], conditions: Sequence[str], limit: int = 2) -> list[Statement]:
    """Return up to `limit` statements on `conditions` that bear on the topics, the best first.

    A question without a topic of its own gets none.
    """
    found = [
        statement
        for topic in topics
        for condition in (GENERAL, *conditions)
        for statement in statements(condition)
        if statement.topic == topic
    ]
    return found[:limit]


def general(topic: str) -> Statement:
    """Return the statement about the assistant itself on 'certainty', 'limits' or 'scope'."""
    return next(s for s in statements(GENERAL) if s.topic == topic)


def meaning(condition: str) -> str:
    """Return in plain English what a finding means and what follows from it."""
    of = {s.topic: s for s in reversed(statements(condition))}
    return " ".join(of[topic].plain for topic in ("definition", "urgency") if topic in of)
