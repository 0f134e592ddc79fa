"""What the language model's two runtimes share: a context that grows, and how it is continued.

llama.cpp's is in `runtime.llama`, torch's in `networks.torch_session`, which this package must not
import.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import UsageError
from ..later import Later
from ..prompts import IMAGE_PLACEHOLDER
from .profile import ModelProfile

#: A token among the last so many of an answer is made less probable by this factor (Keskar et al.
#: 2019, arXiv 1909.05858).
REPEAT_PENALTY, PENALTY_WINDOW = 1.1, 64
#: Where tokens are drawn, one of so many, the most probable ones that together have this
#: probability (Fan et al. 2018, arXiv 1805.04833; Holtzman et al. 2020, arXiv 1904.09751).
TOP_K, TOP_P = 40, 0.95
_HIGHEST_TEMPERATURE = 2.0
#: Tokens of a conversation.
CONTEXT = 4096


@dataclass(frozen=True)
class Decoding:
    """How a language model's words are chosen.

    temperature: 0 takes the most probable token, so that a question gets one answer; above it,
    tokens are drawn, improbable ones the oftener the higher it is. seed: what is drawn follows from
    it. Raises UsageError for a temperature that is not in 0..2 or a seed that is not in
    0..2^32 - 1.
    """

    temperature: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= _HIGHEST_TEMPERATURE:
            raise UsageError(
                f"A temperature is a number from 0 to {_HIGHEST_TEMPERATURE:g}, not "
                f"{self.temperature:g}."
            )
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"A seed is a number from 0 to {2**32 - 1}, not {self.seed}.")

    def of(self, number: int) -> Decoding:
        """Return the decoding of a conversation's answer with this number: each has a seed of its
        own, so that one which is asked for again is another."""
        return replace(self, seed=(self.seed + number) % 2**32)


#: The most probable words.
GREEDY = Decoding()


class Session(ABC):
    """One growing context: text and soft tokens go in at its end, and only what is new is computed.

    A soft token takes a token's place. In `tokens` it is a negative number, so that a cache which
    holds it is known by it as by a token.

    context: the number of tokens it may hold. width: the size of a token embedding.
    """

    def __init__(self, context: int, width: int):
        self.context, self.width = context, width
        self.tokens: list[int] = []
        #: Tokens computed so far, prompt and answers: shows that a turn reads only what is new.
        self.computed = 0
        self._soft_tokens: dict[int, np.ndarray] = {}
        self._soft_number = -1

    @property
    @abstractmethod
    def profile(self) -> ModelProfile:
        """What the model can be asked to do."""

    @abstractmethod
    def render(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        """Render chat messages with the model's own template.

        A special token that stands in a message becomes plain text. Raises UsageError if the
        template cannot be used.
        """

    @abstractmethod
    def tokenize(self, text: str) -> list[int]:
        """Return a text's tokens, special ones among them, without any that would be added."""

    @abstractmethod
    def generate(self, limit: int, decoding: Decoding = GREEDY) -> Iterator[str]:
        """Continue the context by up to `limit` tokens; yield the text as it comes.

        Ends at the model's end-of-turn or when the context is full.
        """

    @abstractmethod
    def next_logits(self) -> np.ndarray:
        """Return the logits, float32 [V], of the token that would follow the context."""

    @abstractmethod
    def close(self) -> None:
        """Free the memory that is this session's alone."""

    def count(self, text: str) -> int:
        """Return how many tokens `text` is."""
        return len(self.tokenize(text))

    def append_text(self, text: str) -> None:
        """Put text at the end of the context; it is computed when the next answer starts."""
        self.tokens.extend(self.tokenize(text))

    def append_embeddings(self, soft_tokens: np.ndarray) -> None:
        """Put soft tokens, float32 [K, H], at the end of the context, as if they were K words."""
        if soft_tokens.ndim != 2 or soft_tokens.shape[1] != self.width:
            raise UsageError(
                f"Soft tokens of shape {soft_tokens.shape} do not fit a model of width "
                f"{self.width}."
            )
        for vector in soft_tokens:
            self._soft_number -= 1
            self._soft_tokens[self._soft_number] = np.ascontiguousarray(vector, dtype=np.float32)
            self.tokens.append(self._soft_number)

    def append_prompt(self, prompt: str, soft_tokens: np.ndarray | None = None) -> None:
        """Put a rendered prompt at the end of the context.

        soft_tokens: [K, H], which go where its placeholder is; None leaves it out.
        """
        before, mark, after = prompt.partition(IMAGE_PLACEHOLDER)
        self.append_text(before)
        if mark and soft_tokens is not None:
            self.append_embeddings(soft_tokens)
        self.append_text(after)

    def truncate(self, length: int) -> None:
        """Forget all tokens and soft tokens past the first `length`."""
        for token in self.tokens[length:]:
            self._soft_tokens.pop(token, None)
        del self.tokens[length:]

    def _shared_prefix(self, held: Sequence[int]) -> int:
        """Return how much of the context a cache holds; at least one token is left to compute."""
        length = 0
        for ours, theirs in zip(self.tokens, held, strict=False):
            if ours != theirs:
                break
            length += 1
        return min(length, len(self.tokens) - 1)


class LazySession:
    """A session that is loaded when it is first asked for words: many answers need none.

    load: makes it. context: what it will hold. Errors of loading come late. It may be loaded in
    another thread, by anything that is asked of it there.
    """

    def __init__(self, load: Callable[[], Session], context: int = CONTEXT):
        self._later = Later(load)
        self.context = context

    @property
    def _session(self) -> Session:
        return self._later.get()

    @property
    def tokens(self) -> list[int]:
        """The context's tokens; none before it is loaded."""
        return self._session.tokens if self._later.ready else []

    def truncate(self, length: int) -> None:
        """See Session."""
        if self._later.ready:
            self._session.truncate(length)

    def render(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        """See Session."""
        return self._session.render(messages, add_generation_prompt)

    def count(self, text: str) -> int:
        """See Session."""
        return self._session.count(text)

    def append_text(self, text: str) -> None:
        """See Session."""
        self._session.append_text(text)

    def append_prompt(self, prompt: str, soft_tokens: np.ndarray | None = None) -> None:
        """See Session."""
        self._session.append_prompt(prompt, soft_tokens)

    def generate(self, limit: int, decoding: Decoding = GREEDY) -> Iterator[str]:
        """See Session."""
        return self._session.generate(limit, decoding)
