"""The language model in the local runtime: llama.cpp, through llama-cpp-python.

Everything that this project asks of llama-cpp-python stands here and in `export.gguf`; the pinned
range of versions is one that the tests passed with.
"""

from __future__ import annotations

import codecs
import ctypes
import os
import weakref
from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from ..chat_template import neutralize, render
from ..errors import UsageError
from ..prompts import IMAGE_PLACEHOLDER
from .profile import ModelProfile, profile_of

# llama.cpp's OpenMP threads spin while they wait for each other; on a busy machine that takes many
# times the work itself. A bounded spin keeps the speed of an idle one. Read when libgomp loads.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")


class LlamaSession:
    """One growing context: text and soft tokens go in at its end, and only what is new is computed.

    A soft token takes a token's place. In `tokens` it is a negative number, which llama-cpp-python
    compares like a token's when it looks for what its cache already holds.

    path: a GGUF file. context: the number of tokens it may hold. adapter: a LoRA as GGUF, or None.
    Raises UsageError if llama.cpp cannot load a file.
    """

    def __init__(self, path: Path, context: int = 4096, adapter: Path | None = None):
        from llama_cpp import Llama

        try:
            self._llama = Llama(
                str(path),
                n_ctx=context,
                n_threads=os.cpu_count() or 1,
                n_threads_batch=os.cpu_count() or 1,
                # Small batches, because an interrupt is heard only between them.
                n_batch=64,
                n_gpu_layers=-1,
                lora_path=str(adapter) if adapter else None,
                verbose=False,
            )
        except (ValueError, OSError, RuntimeError) as error:
            raise UsageError(f"{path} cannot be loaded by llama.cpp ({error}).") from None
        # Freed by the interpreter's own clearing up, llama-cpp-python may complain on stderr.
        weakref.finalize(self, self._llama.close)
        self.context = int(self._llama.n_ctx())
        self.tokens: list[int] = []
        self._soft_tokens: dict[int, np.ndarray] = {}
        self._soft_number = -1
        #: Tokens computed so far, prompt and answers: shows that a turn reads only what is new.
        self.computed = 0
        self._template = self._llama.metadata.get("tokenizer.chat_template")
        self._special = {
            "bos_token": self._piece(self._llama.token_bos()),
            "eos_token": self._piece(self._llama.token_eos()),
        }

    @cached_property
    def profile(self) -> ModelProfile:
        """What the model can be asked to do."""
        from llama_cpp import llama_model_n_params

        return profile_of(self._llama.metadata, int(llama_model_n_params(self._llama.model)))

    def _piece(self, token: int) -> str:
        if token < 0:
            return ""
        return self._llama.detokenize([token], special=True).decode("utf-8", "ignore")

    def render(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        """Render chat messages with the model's own template.

        A special token that stands in a message becomes plain text. Raises UsageError if the
        template cannot be used.
        """
        safe = [{**m, "content": self._neutralized(m["content"])} for m in messages]
        return render(self._template, safe, add_generation_prompt, self._special)

    def _neutralized(self, text: str) -> str:
        # Listing the special tokens takes longer than to see that there is none.
        if self._tokenize(text) == self._tokenize(text, special=False):
            return text
        return neutralize(text, self._special_tokens)

    @cached_property
    def _special_tokens(self) -> list[str]:
        from llama_cpp import llama_model_get_vocab, llama_vocab_is_control

        vocab = llama_model_get_vocab(self._llama.model)
        control = filter(partial(llama_vocab_is_control, vocab), range(self._llama.n_vocab()))
        return [self._piece(token) for token in control]

    def count(self, text: str) -> int:
        """Return how many tokens `text` is."""
        return len(self._tokenize(text))

    def _tokenize(self, text: str, special: bool = True) -> list[int]:
        return list(self._llama.tokenize(text.encode(), add_bos=False, special=special))

    def append_text(self, text: str) -> None:
        """Put text at the end of the context; it is computed when the next answer starts."""
        self.tokens.extend(self._tokenize(text))

    def append_embeddings(self, soft_tokens: np.ndarray) -> None:
        """Put soft tokens, float32 [K, H], at the end of the context, as if they were K words."""
        width = int(self._llama.n_embd())
        if soft_tokens.ndim != 2 or soft_tokens.shape[1] != width:
            raise UsageError(
                f"Soft tokens of shape {soft_tokens.shape} do not fit a model of width {width}."
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

    def generate(self, limit: int) -> Iterator[str]:
        """Continue the context greedily by up to `limit` tokens; yield the text as it comes.

        Ends at the model's end-of-turn or when the context is full.
        """
        decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        limit = min(limit, self.context - len(self.tokens) - 1)
        if limit <= 0:
            return
        before = len(self.tokens) - self._shared_prefix()
        self.computed += before
        self._compute_soft_tokens()
        stream = self._llama.generate(self.tokens, temp=0.0, repeat_penalty=1.1)
        for number, token in enumerate(stream):
            if self._ends(token) or number >= limit:
                return
            self.tokens.append(token)
            self.computed += 1
            text = decoder.decode(self._llama.detokenize([token], self.tokens[-2:-1]))
            if text:
                yield text

    def next_logits(self) -> np.ndarray:
        """Return the logits, float32 [V], of the token that would follow the context."""
        from llama_cpp import llama_get_logits_ith

        self._compute_soft_tokens()
        start = self._shared_prefix()
        self._llama.n_tokens = start
        self._llama.eval(self.tokens[start:])
        logits = llama_get_logits_ith(self._llama.ctx, -1)
        return np.ctypeslib.as_array(logits, shape=(self._llama.n_vocab(),)).copy()

    def _compute_soft_tokens(self) -> None:
        """Compute the context up to its last soft token, which llama-cpp-python itself cannot."""
        last = max((i + 1 for i, token in enumerate(self.tokens) if token < 0), default=0)
        position = self._shared_prefix()
        while position < last:
            soft, end = self.tokens[position] < 0, position
            while end < last and (self.tokens[end] < 0) == soft:
                end += 1
            self._llama.n_tokens = position
            if soft:
                self._decode_soft_tokens(self.tokens[position:end])
            else:
                self._llama.eval(self.tokens[position:end])
            position = end

    def _decode_soft_tokens(self, numbers: list[int]) -> None:
        from llama_cpp import (
            llama_batch_free,
            llama_batch_init,
            llama_decode,
            llama_get_memory,
            llama_memory_seq_rm,
        )

        llama, width = self._llama, int(self._llama.n_embd())
        llama_memory_seq_rm(llama_get_memory(llama.ctx), -1, llama.n_tokens, -1)
        for start in range(0, len(numbers), llama.n_batch):
            part = numbers[start : start + llama.n_batch]
            values = np.stack([self._soft_tokens[number] for number in part])
            batch = llama_batch_init(len(part), width, 1)
            try:
                batch.n_tokens = len(part)
                ctypes.memmove(batch.embd, values.ctypes.data, values.nbytes)
                for i in range(len(part)):
                    batch.pos[i] = llama.n_tokens + i
                    batch.n_seq_id[i] = 1
                    batch.seq_id[i][0] = 0
                    batch.logits[i] = False
                if llama_decode(llama.ctx, batch) != 0:
                    raise UsageError("llama.cpp could not take the photograph's soft tokens.")
            finally:
                llama_batch_free(batch)
            llama.input_ids[llama.n_tokens : llama.n_tokens + len(part)] = part
            llama.n_tokens += len(part)

    def _ends(self, token: int) -> bool:
        from llama_cpp import llama_model_get_vocab, llama_vocab_is_eog

        return bool(llama_vocab_is_eog(llama_model_get_vocab(self._llama.model), token))

    def _shared_prefix(self) -> int:
        held = self._llama.input_ids[: self._llama.n_tokens].tolist()
        length = 0
        for ours, theirs in zip(self.tokens, held, strict=False):
            if ours != theirs:
                break
            length += 1
        return min(length, len(self.tokens) - 1)

    def close(self) -> None:
        """Free the model's memory."""
        self._llama.close()


class LazyLlamaSession:
    """A LlamaSession that is loaded when it is first asked for words: many answers need none.

    Arguments and errors are those of LlamaSession; the errors come late.
    """

    def __init__(self, path: Path, context: int = 4096, adapter: Path | None = None):
        self._arguments = (path, context, adapter)
        self.context = context

    @cached_property
    def _session(self) -> LlamaSession:
        return LlamaSession(*self._arguments)

    @property
    def tokens(self) -> list[int]:
        """The context's tokens; none before it is loaded."""
        return self._session.tokens if "_session" in self.__dict__ else []

    def truncate(self, length: int) -> None:
        """See LlamaSession."""
        if "_session" in self.__dict__:
            self._session.truncate(length)

    def render(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        """See LlamaSession."""
        return self._session.render(messages, add_generation_prompt)

    def count(self, text: str) -> int:
        """See LlamaSession."""
        return self._session.count(text)

    def append_text(self, text: str) -> None:
        """See LlamaSession."""
        self._session.append_text(text)

    def append_prompt(self, prompt: str, soft_tokens: np.ndarray | None = None) -> None:
        """See LlamaSession."""
        self._session.append_prompt(prompt, soft_tokens)

    def generate(self, limit: int) -> Iterator[str]:
        """See LlamaSession."""
        return self._session.generate(limit)
