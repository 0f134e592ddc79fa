"""The language model in the local runtime: llama.cpp, through llama-cpp-python."""

from __future__ import annotations

import codecs
import ctypes
import os
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import UsageError
from .chat_template import render


class LlamaSession:
    """One growing context: text and rows go in at its end, and only what is new is computed.

    A row takes a token's place. In `tokens` it is a negative number, which llama-cpp-python
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
        self._rows: dict[int, np.ndarray] = {}
        self._row_number = -1
        #: Tokens computed so far, prompt and answers: shows that a turn reads only what is new.
        self.computed = 0
        self._template = self._llama.metadata.get("tokenizer.chat_template")
        self._special = {
            "bos_token": self._piece(self._llama.token_bos()),
            "eos_token": self._piece(self._llama.token_eos()),
        }

    def _piece(self, token: int) -> str:
        if token < 0:
            return ""
        return self._llama.detokenize([token], special=True).decode("utf-8", "ignore")

    def render(self, messages: list[dict[str, str]], answer_next: bool) -> str:
        """Render chat messages with the model's own template. Raises UsageError if it fails."""
        return render(self._template, messages, answer_next, self._special)

    def count(self, text: str) -> int:
        """Return how many tokens `text` is."""
        return len(self._tokenize(text))

    def _tokenize(self, text: str) -> list[int]:
        return list(self._llama.tokenize(text.encode(), add_bos=False, special=True))

    def feed(self, text: str) -> None:
        """Put text at the end of the context; it is computed when the next answer starts."""
        self.tokens.extend(self._tokenize(text))

    def feed_rows(self, rows: np.ndarray) -> None:
        """Put rows, float32 [K, H], at the end of the context, as if they were K words."""
        width = int(self._llama.n_embd())
        if rows.ndim != 2 or rows.shape[1] != width:
            raise UsageError(f"Rows of shape {rows.shape} do not fit a model of width {width}.")
        for row in rows:
            self._row_number -= 1
            self._rows[self._row_number] = np.ascontiguousarray(row, dtype=np.float32)
            self.tokens.append(self._row_number)

    def rewind(self, length: int) -> None:
        """Forget all tokens and rows past the first `length`."""
        for token in self.tokens[length:]:
            self._rows.pop(token, None)
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
        self._compute_rows()
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

        self._compute_rows()
        start = self._shared_prefix()
        self._llama.n_tokens = start
        self._llama.eval(self.tokens[start:])
        logits = llama_get_logits_ith(self._llama.ctx, -1)
        return np.ctypeslib.as_array(logits, shape=(self._llama.n_vocab(),)).copy()

    def _compute_rows(self) -> None:
        """Compute the context up to its last row, which llama-cpp-python itself cannot."""
        last = max((i + 1 for i, token in enumerate(self.tokens) if token < 0), default=0)
        position = self._shared_prefix()
        while position < last:
            are_rows, end = self.tokens[position] < 0, position
            while end < last and (self.tokens[end] < 0) == are_rows:
                end += 1
            self._llama.n_tokens = position
            if are_rows:
                self._decode_rows(self.tokens[position:end])
            else:
                self._llama.eval(self.tokens[position:end])
            position = end

    def _decode_rows(self, numbers: list[int]) -> None:
        from llama_cpp import llama_batch_free, llama_batch_init, llama_decode

        llama, width = self._llama, int(self._llama.n_embd())
        llama._ctx.kv_cache_seq_rm(-1, llama.n_tokens, -1)
        for start in range(0, len(numbers), llama.n_batch):
            part = numbers[start : start + llama.n_batch]
            values = np.stack([self._rows[number] for number in part])
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
                    raise UsageError("llama.cpp could not take the photograph's rows.")
            finally:
                llama_batch_free(batch)
            llama.input_ids[llama.n_tokens : llama.n_tokens + len(part)] = part
            llama.n_tokens += len(part)

    def _ends(self, token: int) -> bool:
        from llama_cpp import llama_vocab_is_eog

        return bool(llama_vocab_is_eog(self._llama._model.vocab, token))

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
