"""A language model that says nothing, for what is answered without one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ophglm_core.runtime.session import GREEDY, Decoding


class Silent:
    """What a conversation needs of a language model's runtime."""

    context = 4096

    def __init__(self) -> None:
        self.tokens: list[int] = []

    def render(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        return "\n".join(m["content"] for m in messages)

    def count(self, text: str) -> int:
        return len(text) // 4

    def append_text(self, text: str) -> None:
        self.tokens.append(0)

    def append_prompt(self, prompt: str, soft_tokens: Any = None) -> None:
        self.tokens.append(0)

    def truncate(self, length: int) -> None:
        del self.tokens[length:]

    def generate(self, limit: int, decoding: Decoding = GREEDY) -> Iterator[str]:
        yield ""
