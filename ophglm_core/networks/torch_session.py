"""The language model in the torch runtime, as a conversation needs it: a context that grows.

`runtime.session` says what it can be asked; `runtime.llama` is the same in llama.cpp.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cached_property
from inspect import signature
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError
from ..runtime.profile import ModelProfile
from ..runtime.session import (
    CONTEXT,
    GREEDY,
    PENALTY_WINDOW,
    REPEAT_PENALTY,
    TOP_K,
    TOP_P,
    Decoding,
    Session,
)
from .language_model import TorchLanguageModel

#: Tokens that are computed at once: on a CPU so few that Ctrl-C is soon heard.
_BATCH, _BATCH_CPU = 512, 64
#: Layers whose cache can be cut: those of the others hold a sum of what was read.
_ATTENTION = frozenset({"full_attention", "sliding_attention", "chunked_attention"})
#: What ends an answer in one family or another, as llama.cpp knows it by its text.
_ENDS = (
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<end_of_turn>",
    "</s>",
)


class TorchSession(Session):
    """A context in transformers, with its own cache of keys and values.

    llm: the weights; several sessions may share them. context: the number of tokens it may hold,
    at most those that the model was made for. adapted: whether the adapter that was put on `llm`
    is on. Raises UsageError if the model's family cannot take back what it has read.
    """

    def __init__(self, llm: TorchLanguageModel, context: int = CONTEXT, adapted: bool = False):
        from transformers import DynamicCache

        config = llm.model.config.get_text_config()
        kinds = set(getattr(config, "layer_types", None) or ())
        if kinds - _ATTENTION or getattr(llm.model, "_is_stateful", False):
            raise UsageError(
                f"A {config.model_type} model keeps a running state, of which no answer can be "
                "taken back; name a model that attends to all it has read."
            )
        most = getattr(config, "max_position_embeddings", None) or context
        super().__init__(min(context, int(most)), llm.width)
        self._llm, self._adapted = llm, adapted
        base = llm.model.get_base_model() if hasattr(llm.model, "get_base_model") else llm.model
        named = signature(type(base).forward).parameters
        #: transformers renamed it in version 5.
        self._cache_option = "cache" if "cache" in named else "past_key_values"
        # Without the model's config no layer keeps a sliding window alone, so any can be truncated.
        self._cache = DynamicCache()
        self._held: list[int] = []

    @property
    def profile(self) -> ModelProfile:
        """See Session."""
        return self._llm.profile

    def render(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        """See Session."""
        return self._llm.render(messages, add_generation_prompt)

    def tokenize(self, text: str) -> list[int]:
        """See Session."""
        return self._llm.tokenize(text)

    def generate(self, limit: int, decoding: Decoding = GREEDY) -> Iterator[str]:
        """See Session."""
        limit = min(limit, self.context - len(self.tokens) - 1)
        answer: list[int] = []
        said = ""
        choose = _chooser(decoding)
        for _ in range(limit):
            token = choose(_penalized(self._compute(), answer[-PENALTY_WINDOW:]))
            if token in self._ends:
                return
            self.tokens.append(token)
            answer.append(token)
            text = self._llm.tokenizer.decode(answer, skip_special_tokens=True)
            # A character may need several tokens, and its first ones decode to a replacement.
            if len(text) > len(said) and not text.endswith("\ufffd"):
                yield text[len(said) :]
                said = text

    def next_logits(self) -> np.ndarray:
        """See Session."""
        return np.asarray(self._compute().float().cpu().numpy())

    def close(self) -> None:
        """See Session. The weights stay with those who share them."""
        self._trim(0)

    @cached_property
    def _ends(self) -> frozenset[int]:
        """The tokens that end an answer: the model's own, and what its template puts behind one."""
        llm = self._llm
        special = {llm.tokenizer.convert_tokens_to_ids(text): text for text in llm.special_tokens}
        ends = {token for token, text in special.items() if text in _ENDS}
        ends |= set(llm.tokenizer.convert_tokens_to_ids(list(llm.end_tokens)))
        turn = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "\u2713"}]
        behind = self.render(turn, False).rpartition("\u2713")[2].lstrip()
        ends |= set(self.tokenize(behind)[:1]) & set(special)
        return frozenset(ends)

    def _compute(self) -> Tensor:
        """Compute what the cache does not hold yet; return the logits [V] that follow it."""
        self._trim(self._shared_prefix(self._held))
        logits = torch.empty(0)
        for part in self._parts(self.tokens[len(self._held) :]):
            try:
                logits = self._forward(part)
            except torch.OutOfMemoryError:
                self._trim(0)
                raise UsageError(
                    "The graphics card's memory is full; load the language model with --4bit, or "
                    "take a smaller one."
                ) from None
            except BaseException:
                # Stopped in the midst: some layers hold what others do not.
                self._trim(len(self._held))
                raise
            self._held += part
            self.computed += len(part)
        return logits

    def _parts(self, tokens: list[int]) -> Iterator[list[int]]:
        """Yield tokens in runs of words or of soft tokens, none longer than a batch."""
        size = _BATCH if self._llm.device.type == "cuda" else _BATCH_CPU
        for _, group in groupby(tokens, key=lambda token: token < 0):
            run = list(group)
            yield from (run[start : start + size] for start in range(0, len(run), size))

    @torch.no_grad()
    def _forward(self, part: list[int]) -> Tensor:
        """Run a part through the model after what the cache holds; return its last logits [V]."""
        model, device = self._llm.model, self._llm.device
        if part[0] < 0:
            rows = torch.from_numpy(np.stack([self._soft_tokens[token] for token in part]))
            dtype = model.get_input_embeddings().weight.dtype
            inputs = {"inputs_embeds": rows[None].to(device, dtype)}  # [1, T, H]
        else:
            inputs = {"input_ids": torch.tensor([part], device=device)}  # [1, T]
        bare = hasattr(model, "disable_adapter") and not self._adapted
        with model.disable_adapter() if bare else nullcontext():
            output = model(
                **inputs, use_cache=True, logits_to_keep=1, **{self._cache_option: self._cache}
            )
        logits: Tensor = output.logits[0, -1]
        return logits

    def _trim(self, length: int) -> None:
        """Keep the first `length` tokens in the cache."""
        layers: Any = self._cache.layers
        for layer in layers:
            surplus = layer.get_seq_length() - length
            if surplus > 0:
                layer.crop(-surplus)
        del self._held[length:]


def _penalized(logits: Tensor, before: list[int]) -> Tensor:
    """[V] -> logits [1, V], with the penalty on the tokens said before."""
    from transformers import RepetitionPenaltyLogitsProcessor

    logits = logits[None].float()
    if before:
        said = torch.tensor([before], device=logits.device)
        logits = RepetitionPenaltyLogitsProcessor(REPEAT_PENALTY)(said, logits)
    return logits


def _chooser(decoding: Decoding) -> Callable[[Tensor], int]:
    """Return what takes a token by its logits [1, V]: the most probable one, or it draws one.

    In llama.cpp's order: the temperature does not change which tokens are drawn from.
    """
    if not decoding.temperature:
        return lambda logits: int(logits.argmax())
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    warpers = (
        TopKLogitsWarper(TOP_K),
        TopPLogitsWarper(TOP_P),
        TemperatureLogitsWarper(decoding.temperature),
    )
    generator = torch.Generator().manual_seed(decoding.seed)
    read = torch.empty(1, 0, dtype=torch.long)  # none of them asks what was read

    def draw(logits: Tensor) -> int:
        logits = logits.cpu()
        for warper in warpers:
            logits = warper(read, logits)
        return int(torch.multinomial(logits.softmax(-1), 1, generator=generator))

    return draw
