"""What the language model is told: the same words in a conversation as in its training."""

from __future__ import annotations

from collections.abc import Iterable

_ROLE = {
    "en": "You help eye doctors. Explain in two to four short plain sentences. "
    "Never give a diagnosis.",
    "zh": "你协助眼科医生。用两到四句简短易懂的话解释，不作诊断。",
}


def system_prompt(seen: Iterable[str] = (), language: str = "en") -> str:
    """Return the system message. seen: what the photographs gave, a sentence or two each."""
    sentences = list(seen)
    if not sentences:
        return _ROLE[language]
    if language == "zh":
        return f"{_ROLE[language]}分类器读片结果：{''.join(sentences)}"
    return f"{_ROLE[language]} A classifier read the fundus photograph: {' '.join(sentences)}"


def ask_with_facts(question: str, facts: Iterable[str], language: str = "en") -> str:
    """Return a question together with the statements that its explanation has to rest on."""
    if language == "zh":
        return f"{question}\n资料：{''.join(facts)}\n请用两句简短的话解释。"
    told = " ".join(facts)
    return f"{question}\nFacts: {told}\nExplain this in two short plain sentences."
