"""What the language model is told: the same words in a conversation as in its training."""

from __future__ import annotations

from collections.abc import Iterable

#: Stands for the soft tokens in a rendered prompt.
IMAGE_PLACEHOLDER = "<image>"
_ROLE = {
    "en": "You help eye doctors. Explain in two to four short plain sentences. "
    "Never give a diagnosis.",
    "zh": "你协助眼科医生。用两到四句简短易懂的话解释，不作诊断。",
}
_VQA_ROLE = {"en": "Answer from the fundus photograph.", "zh": "根据眼底照片回答。"}


def system_prompt(findings: Iterable[str] = (), language: str = "en") -> str:
    """Return the system message. findings: what the photographs gave, a sentence or two each."""
    sentences = list(findings)
    if not sentences:
        return _ROLE[language]
    if language == "zh":
        return f"{_ROLE[language]}分类器读片结果：{''.join(sentences)}"
    return f"{_ROLE[language]} A classifier read the fundus photograph: {' '.join(sentences)}"


def prompt_with_facts(question: str, facts: Iterable[str], language: str = "en") -> str:
    """Return a question together with the statements that its explanation has to rest on."""
    if language == "zh":
        return f"{question}\n资料：{''.join(facts)}\n请用两句简短的话解释。"
    return f"{question}\nFacts: {' '.join(facts)}\nExplain this in two short plain sentences."


def prompt_with_passages(question: str, passages: Iterable[str], language: str = "en") -> str:
    """Return a question with numbered passages, for a model that can write an answer from them."""
    listed = "\n".join(f"[{number}] {passage}" for number, passage in enumerate(passages, 1))
    if language == "zh":
        return (
            f"资料：\n{listed}\n问题：{question}\n只根据以上资料用两到五句话回答，"
            "每句末尾用方括号注明资料编号；资料没有说到的，就说没有。"
        )
    return (
        f"Passages:\n{listed}\nQuestion: {question}\nAnswer from these passages alone, in two to "
        "five sentences, the direct answer first. After each sentence put the passage's number in "
        "brackets. If they do not answer the question, say so."
    )


def vqa_messages(
    question: str, language: str = "en", system: str | None = None
) -> list[dict[str, str]]:
    """Return the chat messages of one question about a photograph, with the placeholder before it.

    system: what the language model is told first, or None for what it was trained with.
    """
    return [
        {"role": "system", "content": system or _VQA_ROLE[language]},
        {"role": "user", "content": IMAGE_PLACEHOLDER + question},
    ]
