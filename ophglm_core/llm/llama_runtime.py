"""The language model in the local runtime: llama.cpp, through llama-cpp-python."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import UsageError

#: Used where a GGUF carries no chat template.
_CHATML = (
    "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + "
    "'\n'}}{% endfor %}{% if add_generation_prompt %}{{'<|im_start|>assistant\n'}}{% endif %}"
)


class LlamaSession:
    """One growing context: text goes in at its end, and only what is new is computed.

    path: a GGUF file. context: the number of tokens it may hold. Raises UsageError if llama.cpp
    cannot load the file.
    """

    def __init__(self, path: Path, context: int = 4096):
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
                verbose=False,
            )
        except (ValueError, OSError, RuntimeError) as error:
            raise UsageError(f"{path} cannot be loaded by llama.cpp ({error}).") from None
        self.context = int(self._llama.n_ctx())
        self.tokens: list[int] = []
        #: Tokens computed so far, prompt and answers: shows that a turn reads only what is new.
        self.computed = 0
        self._template = str(self._llama.metadata.get("tokenizer.chat_template") or _CHATML)
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
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _refuse
        try:
            return environment.from_string(self._template).render(
                messages=messages, add_generation_prompt=answer_next, **self._special
            )
        except (TemplateError, ValueError) as error:
            raise UsageError(f"The model's chat template cannot be used ({error}).") from None

    def count(self, text: str) -> int:
        """Return how many tokens `text` is."""
        return len(self._tokenize(text))

    def _tokenize(self, text: str) -> list[int]:
        return list(self._llama.tokenize(text.encode(), add_bos=False, special=True))

    def feed(self, text: str) -> None:
        """Put text at the end of the context; it is computed when the next answer starts."""
        self.tokens.extend(self._tokenize(text))

    def rewind(self, length: int) -> None:
        """Forget all tokens past the first `length`."""
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
        stream = self._llama.generate(self.tokens, temp=0.0, repeat_penalty=1.1)
        for number, token in enumerate(stream):
            if self._ends(token) or number >= limit:
                return
            self.tokens.append(token)
            self.computed += 1
            text = decoder.decode(self._llama.detokenize([token], self.tokens[-2:-1]))
            if text:
                yield text

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


def _refuse(message: str) -> None:
    raise ValueError(message)
