"""What a question asks of a disease, where it says so in the usual words."""

from __future__ import annotations

import re

#: Of a treatment, or of a part or form of a disease, these are narrower questions, which their own
#: words find.
_NARROWER = re.compile(
    r"\b(?:surg\w+|operat\w+|injections?|laser|drops?|vitrectomy|peeling|trabeculectomy)\b"
    r"|\bo?edema\b|\b(?:dme|wet|dry)\b|手术|注射|打针|激光|术后|药|水肿|湿性|干性",
    re.IGNORECASE,
)
_WORDS = {
    "causes": r"\bwhat (?:\w+ ){0,2}causes?\b|\ba?etiology\b|病因|什么(?:原因|引起)",
    "complications": r"\bcomplications?\b|并发症",
    "differential": r"\bdifferential\b|\bddx\b|鉴别",
    "prognosis": r"\b(?:prognosis|outlook)\b|预后",
    "symptoms": r"\bsymptoms? of\b|\bwhat (?:\w+ ){0,3}symptoms?\b|(?:哪些|什么|啥)(?:\w{0,2})症状"
    r"|症状(?:有|是)(?:哪些|什么|啥)",
    "signs": r"\blooks? like on\b|\b(?:fundus|retinal) (?:signs?|appearance)\b|眼底表现",
    "treatment": r"\bcan .* be cured\b|(?:治好|治愈|根治)(?:吗|\W*$)|"
    r"\bhow (?:is|are|do you|would you|to) .*\b(?:treat\w*|manag\w+)|(?:怎么|如何|咋)治",
    "examination": r"\b(?:which|what) (?:\w+ )?tests\b|\bhow is .* diagnosed\b"
    r"|(?:哪些|什么)检查|(?:怎么|如何)(?:确诊|诊断)",
    "risk": r"\brisk factors?\b|危险因素",
    "follow_up": r"\bhow often .*\b(?:checked|seen|followed|reviewed)\b|多久(?:复查|随访)",
    "urgency": r"\bhow (?:soon|urgently) must\b|多快就诊",
}
_COMPILED = {topic: re.compile(words, re.IGNORECASE) for topic, words in _WORDS.items()}


def topics_asked(question: str) -> list[str]:
    """Return the topics of the library that a question asks for by name.

    Example: `topics_asked("What causes AMD?")` is ['causes'].
    """
    if _NARROWER.search(question):
        return []
    found = [topic for topic, words in _COMPILED.items() if words.search(question)]
    # Of some diseases the treatment is an operation.
    return [*found, "surgery"] if "treatment" in found else found
