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
from contextlib import nullcontext
from functools import cache, cached_property, partial
from pathlib import Path

import numpy as np

from ..chat_template import neutralize, render
from ..errors import UsageError
from .profile import ModelProfile, profile_of
from .session import (
    CONTEXT,
    GREEDY,
    PENALTY_WINDOW,
    REPEAT_PENALTY,
    TOP_K,
    TOP_P,
    Decoding,
    Session,
)
from .threads import thread_count

# llama.cpp's OpenMP threads spin while they wait for each other; on a busy machine that takes many
# times the work itself. A bounded spin keeps the speed of an idle one. Read when libgomp loads.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")


class LlamaSession(Session):
    """A context in llama.cpp.

    path: a GGUF file. context: the number of tokens it may hold. adapter: a LoRA as GGUF, or None.
    gpu_layers: how many of the model's layers the graphics card computes, -1 for all; None: all
    where llama.cpp was built for one (Metal, CUDA, Vulkan).
    Raises UsageError if llama.cpp cannot load a file, or there is nothing to put layers on.
    """

    def __init__(
        self,
        path: Path,
        context: int = CONTEXT,
        adapter: Path | None = None,
        gpu_layers: int | None = None,
    ):
        from llama_cpp import Llama

        _silence()
        avoid_amx()
        layers, threads = _gpu_layers(gpu_layers), thread_count()
        try:
            self._llama = Llama(
                str(path),
                n_ctx=context,
                n_threads=threads,
                n_threads_batch=threads,
                # Small batches, because an interrupt is heard only between them.
                n_batch=64,
                n_gpu_layers=layers,
                last_n_tokens_size=PENALTY_WINDOW,
                lora_path=str(adapter) if adapter else None,
                verbose=False,
            )
        except (ValueError, OSError, RuntimeError) as error:
            hint = "; the graphics card may be too small: try --gpu-layers 0" if layers else ""
            raise UsageError(f"{path} cannot be loaded by llama.cpp ({error}){hint}.") from None
        # Freed by the interpreter's own clearing up, llama-cpp-python may complain on stderr.
        weakref.finalize(self, self._llama.close)
        super().__init__(int(self._llama.n_ctx()), int(self._llama.n_embd()))
        self._template = self._llama.metadata.get("tokenizer.chat_template")
        self._special = {
            "bos_token": self._piece(self._llama.token_bos()),
            "eos_token": self._piece(self._llama.token_eos()),
        }

    @cached_property
    def profile(self) -> ModelProfile:
        """See Session."""
        from llama_cpp import llama_model_n_params

        return profile_of(self._llama.metadata, int(llama_model_n_params(self._llama.model)))

    def _piece(self, token: int) -> str:
        if token < 0:
            return ""
        return self._llama.detokenize([token], special=True).decode("utf-8", "ignore")

    def render(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        """See Session."""
        safe = [{**m, "content": self._neutralized(m["content"])} for m in messages]
        return render(self._template, safe, add_generation_prompt, self._special)

    def _neutralized(self, text: str) -> str:
        # Listing the special tokens takes longer than to see that there is none.
        if self.tokenize(text) == self.tokenize(text, special=False):
            return text
        return neutralize(text, self._special_tokens)

    @cached_property
    def _special_tokens(self) -> list[str]:
        from llama_cpp import llama_model_get_vocab, llama_vocab_is_control

        vocab = llama_model_get_vocab(self._llama.model)
        control = filter(partial(llama_vocab_is_control, vocab), range(self._llama.n_vocab()))
        return [self._piece(token) for token in control]

    def tokenize(self, text: str, special: bool = True) -> list[int]:
        """See Session. special: whether special tokens are read as such."""
        return list(self._llama.tokenize(text.encode(), add_bos=False, special=special))

    def generate(self, limit: int, decoding: Decoding = GREEDY) -> Iterator[str]:
        """See Session."""
        decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        limit = min(limit, self.context - len(self.tokens) - 1)
        if limit <= 0:
            return
        before = len(self.tokens) - self._shared_prefix(self._held())
        self.computed += before
        self._compute_soft_tokens()
        self._llama.set_seed(decoding.seed)
        stream = self._llama.generate(
            self.tokens,
            top_k=TOP_K,
            top_p=TOP_P,
            min_p=0.0,
            temp=decoding.temperature,
            repeat_penalty=REPEAT_PENALTY,
        )
        for number, token in enumerate(stream):
            if self._ends(token) or number >= limit:
                return
            self.tokens.append(token)
            self.computed += 1
            text = decoder.decode(self._llama.detokenize([token], self.tokens[-2:-1]))
            if text:
                yield text

    def next_logits(self) -> np.ndarray:
        """See Session."""
        from llama_cpp import llama_get_logits_ith

        self._compute_soft_tokens()
        start = self._shared_prefix(self._held())
        self._llama.n_tokens = start
        self._llama.eval(self.tokens[start:])
        logits = llama_get_logits_ith(self._llama.ctx, -1)
        return np.ctypeslib.as_array(logits, shape=(self._llama.n_vocab(),)).copy()

    def _compute_soft_tokens(self) -> None:
        """Compute the context up to its last soft token, which llama-cpp-python itself cannot."""
        last = max((i + 1 for i, token in enumerate(self.tokens) if token < 0), default=0)
        position = self._shared_prefix(self._held())
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

        llama, width = self._llama, self.width
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

    def _held(self) -> list[int]:
        held: list[int] = self._llama.input_ids[: self._llama.n_tokens].tolist()
        return held

    def close(self) -> None:
        """See Session."""
        self._llama.close()


@cache
def _silence() -> object:
    """Let llama.cpp write nothing, however many threads there are.

    llama-cpp-python points the process's stdout and stderr elsewhere for as long as it loads, and
    what another thread prints meanwhile, such as the prompt, would be lost.
    """
    import llama_cpp
    import llama_cpp._internals
    import llama_cpp.llama

    silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(silent, None)
    for module in (llama_cpp.llama, llama_cpp._internals):
        module.suppress_stdout_stderr = lambda disable=True: nullcontext()  # type: ignore[attr-defined]
    return silent  # which C calls, so it must be kept


@cache
def avoid_amx(cpuinfo: Path = Path("/proc/cpuinfo")) -> None:
    """Let llama.cpp multiply without AMX tiles on a processor that has them.

    GCC before 12.4 and 13.3 (bug 114098) leaves out most of what llama.cpp writes of the tiles'
    configuration, and the process dies at the first batch; Debian 12 has 12.2. What a llama.cpp was
    compiled with cannot be asked. Weights in its repacked layouts fall away, too: they hang on the
    same switch.
    """
    import llama_cpp.llama

    if not cpuinfo.exists() or " amx_tile" not in cpuinfo.read_text(errors="replace"):
        return
    defaults = llama_cpp.llama.llama_cpp.llama_model_default_params

    def without_extra_buffers() -> object:
        params = defaults()
        params.use_extra_bufts = False
        return params

    llama_cpp.llama.llama_cpp.llama_model_default_params = without_extra_buffers


def _gpu_layers(asked: int | None) -> int:
    from llama_cpp import llama_supports_gpu_offload

    if llama_supports_gpu_offload():
        return -1 if asked is None else asked
    if asked:
        raise UsageError(
            "This llama-cpp-python was built for the processor alone, so --gpu-layers has no card "
            "to put layers on; docs/runtimes.md says how to install it for CUDA or Metal."
        )
    return 0
