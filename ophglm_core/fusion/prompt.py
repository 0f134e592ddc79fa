"""The prompt in which the fusion module's rows stand before the language model."""

from __future__ import annotations

#: Stands for the rows in a rendered prompt.
PLACEHOLDER = "<image>"
_SYSTEM = "Answer from the fundus photograph."
_SYSTEM_ZH = "根据眼底照片回答。"


def messages(
    question: str, language: str = "en", system: str | None = None
) -> list[dict[str, str]]:
    """Return the chat messages of one question, with the placeholder before it.

    system: what the language model is told first, or None for the one it was trained with.
    """
    told = system or (_SYSTEM_ZH if language == "zh" else _SYSTEM)
    return [
        {"role": "system", "content": told},
        {"role": "user", "content": PLACEHOLDER + question},
    ]
