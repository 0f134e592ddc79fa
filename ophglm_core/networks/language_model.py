"""The language model in the torch runtime: transformers, from a GGUF file, a folder or the hub."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import nullcontext, redirect_stderr, suppress
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ..assets import embedded_gguf, reads_gguf, resolve_llm
from ..chat_template import neutralize, render
from ..errors import UsageError
from ..llm_info import read_card
from ..llm_source import find_llm
from ..manifest import LanguageModelInfo
from ..model_folder import identify_llm
from ..runtime.gguf_header import read_header
from ..runtime.profile import ModelProfile

if TYPE_CHECKING:
    from .sharding import Sharded, Sharding

P = ParamSpec("P")
T = TypeVar("T")


class TorchLanguageModel:
    """A causal language model with its tokenizer, frozen and in eval mode.

    name: a GGUF file, a folder in Hugging Face's form, or a hub id; None is the embedded one.
    four_bit: load it with bitsandbytes' NF4 (Dettmers et al. 2023, arXiv 2305.14314).
    half: keep the matrices in bfloat16 on a CPU, too. It must then run under autocast; what lies
    between the matrices stays in fp32.
    sharding: each process keeps a share of it; what is computed with it then goes through `run`.
    Raises UsageError if it cannot be loaded.
    """

    def __init__(
        self,
        name: str | None,
        device: torch.device,
        four_bit: bool = False,
        half: bool = False,
        sharding: Sharding | None = None,
    ):
        self._given = name
        self.device = device
        self._prefixes: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = {}
        self._sharded: Sharded | None = None
        with sharding.turn() if sharding is not None else nullcontext():
            self._load(four_bit, half, sharding)
        self.width = int(self.model.config.get_text_config().hidden_size)

    def _load(self, four_bit: bool, half: bool, sharding: Sharding | None) -> None:
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        logging.set_verbosity_error()
        name, device = self._given, self.device
        source = name or str(embedded_gguf())
        #: Its file or folder without the way to it, or its hub id.
        self.name = Path(source).name if Path(source).exists() else source
        # Code that comes with a model is never run, and nobody is asked whether it may.
        options: dict[str, Any] = {"trust_remote_code": False}
        if source.lower().endswith(".gguf"):
            path = Path(source).expanduser()
            if not path.is_file():
                raise UsageError(f"No such language model file: {path}.")
            source, options["gguf_file"] = str(path.parent), path.name
            if four_bit:
                raise UsageError(
                    f"{path.name} is quantised already; --4bit is for a folder or a hub id."
                )
        on_cuda = device.type == "cuda"
        loading: dict[str, Any] = {"dtype": torch.bfloat16 if on_cuda else torch.float32}
        if four_bit:
            loading |= _four_bit(device, half)
        try:
            # transformers shows a bar for a GGUF file that no setting of its own takes away.
            with redirect_stderr(StringIO()):
                self.tokenizer: Any = AutoTokenizer.from_pretrained(source, **options)
                self.model: Any = AutoModelForCausalLM.from_pretrained(source, **options, **loading)
        except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise UsageError(
                f"The language model '{name or source}' cannot be loaded ({first})."
            ) from None
        if not four_bit and sharding is None:
            self.model.to(device)  # type: ignore[arg-type]
        self.model.requires_grad_(False).eval()
        if half and not four_bit:
            # Autocast casts a frozen matrix again in every step, which costs what bfloat16 gains.
            for module in self.model.get_decoder().modules():
                if isinstance(module, nn.Linear):
                    module.to(torch.bfloat16)
        if sharding is not None:
            self._sharded = sharding.apply(self.model)

    @property
    def sharded(self) -> bool:
        """Whether this process has only a share of it."""
        return self._sharded is not None

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function gives that calls `embed`, `hidden` or `logits`.

        Where the model is sharded, all processes must run one at the same time.
        """
        if self._sharded is None:
            return function(*args, **kwargs)
        result: T = self._sharded(function, *args, **kwargs)
        return result

    def identity(self) -> LanguageModelInfo:
        """Return what the manifest records of it: its identity, architecture, template, licence."""
        info = identify_llm(self._given)
        info.architecture = str(self.model.config.model_type)
        if self.template is not None:
            info.chat_template_sha256 = hashlib.sha256(self.template.encode()).hexdigest()
        with suppress(UsageError):  # transformers has it from where we do not look
            info.norms_sha256 = find_llm(self._given).norms_sha256
        info.licence = _licence(self._given)
        return info

    @property
    def scale(self) -> float:
        """The root mean square of the token embeddings, as they enter the first layer."""
        embeddings = self.model.get_input_embeddings()
        factor = float(getattr(embeddings, "embed_scale", 1.0))  # Gemma multiplies on the way
        return factor * float(embeddings.weight.float().square().mean().sqrt())

    @cached_property
    def profile(self) -> ModelProfile:
        """What the model can be asked to do."""
        parameters = int(self.model.num_parameters())
        return ModelProfile(parameters, bool(self.tokenizer.chat_template))

    def render(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        """Render chat messages with the model's own template.

        A special token that stands in a message becomes plain text.
        """
        safe = [{**m, "content": self.neutralized(m["content"])} for m in messages]
        return render(self.template, safe, add_generation_prompt, self.named_tokens)

    def neutralized(self, text: str) -> str:
        """Return a text in which no special token can be read."""
        return neutralize(text, self.special_tokens)

    @property
    def template(self) -> str | None:
        """The model's chat template, or None where it has none."""
        held = self.tokenizer.chat_template
        return held.get("default") if isinstance(held, dict) else held

    @property
    def named_tokens(self) -> dict[str, str | None]:
        """The tokens that a template may name: bos_token and eos_token."""
        return {name: getattr(self.tokenizer, name) for name in ("bos_token", "eos_token")}

    @cached_property
    def special_tokens(self) -> list[str]:
        """The tokens that are no text, the longest first."""
        added = self.tokenizer.added_tokens_decoder.values()
        found = {*self.tokenizer.all_special_tokens, *(str(t) for t in added if t.special)}
        return sorted(found, key=lambda token: (-len(token), token))

    @cached_property
    def end_tokens(self) -> frozenset[str]:
        """The tokens that end what is generated, as tokenizer and configuration name them."""
        ids = {self.tokenizer.eos_token_id}
        for config in (self.model.config, getattr(self.model, "generation_config", None)):
            listed = getattr(config, "eos_token_id", None)
            ids.update(listed if isinstance(listed, list) else [listed])
        known = [i for i in ids if i is not None]
        return frozenset(self.tokenizer.convert_ids_to_tokens(known))

    def tokenize(self, text: str) -> list[int]:
        """Return a text's tokens, without any that the tokenizer would add."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def embed(self, ids: Tensor) -> Tensor:
        """int64 [...] -> token embeddings [..., H]."""
        embedded: Tensor = self.model.get_input_embeddings()(ids)
        return embedded

    def hidden(self, embedded: Tensor, mask: Tensor, prefix: tuple[int, ...] = ()) -> Tensor:
        """[B, T, H] and mask [B, T] -> the last layer's states [B, T, H].

        prefix: P tokens that stand before, the mask is then [B, P + T]. They are computed once and
        kept, which is right only where nothing in the model is trained.
        """
        options: dict[str, Any] = {"use_cache": False}
        if prefix:
            options = {"use_cache": True, "past_key_values": self._begun(prefix, len(embedded))}
        states: Tensor = self.model.get_decoder()(
            inputs_embeds=embedded, attention_mask=mask, **options
        ).last_hidden_state
        return states

    def _begun(self, prefix: tuple[int, ...], batch: int) -> Any:
        """Return a cache that holds the prefix, for a batch."""
        from transformers import DynamicCache

        if prefix not in self._prefixes:
            ids = torch.tensor([prefix], device=self.device)
            with torch.no_grad():
                held = self.model.get_decoder()(input_ids=ids, use_cache=True).past_key_values
            self._prefixes[prefix] = [(layer.keys, layer.values) for layer in held.layers]
        cache = DynamicCache()
        for index, (keys, values) in enumerate(self._prefixes[prefix]):
            shape = (batch, -1, -1, -1)
            cache.update(keys.expand(shape), values.expand(shape), index)
        return cache

    def logits(self, states: Tensor) -> Tensor:
        """[..., H] -> logits [..., V]."""
        logits: Tensor = self.model.get_output_embeddings()(states)
        return logits

    @torch.no_grad()
    def next_logits(self, embedded: Tensor) -> np.ndarray:
        """[T, H] -> logits [V] of the token that follows, float32."""
        mask = torch.ones(1, len(embedded), dtype=torch.long, device=self.device)
        logits = self.logits(self.hidden(embedded[None], mask)[0, -1])
        return np.asarray(logits.float().cpu().numpy())


def _licence(name: str | None) -> str | None:
    """Return the licence that a model's own file or card names, or None."""
    if reads_gguf(name):
        held = read_header(resolve_llm(name)).metadata.get("general.license")
    else:
        held = read_card(Path(str(name)).expanduser()).get("license")
    return None if held is None else str(held)


def _four_bit(device: torch.device, half: bool) -> dict[str, Any]:
    try:
        import bitsandbytes  # noqa: F401
        from transformers import BitsAndBytesConfig
    except ImportError:
        raise UsageError(
            "4-bit loading needs bitsandbytes; run pip install bitsandbytes."
        ) from None
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if half or device.type == "cuda" else torch.float32,
    )
    return {"quantization_config": config, "device_map": {"": device}}
