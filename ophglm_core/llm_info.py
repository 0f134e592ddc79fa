"""What a language model on this disk says of itself, read without its weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from .errors import UsageError
from .llm_source import LlmSource
from .runtime.gguf_header import read_header
from .runtime.session import CONTEXT
from .safetensors_header import opened_safetensors


@dataclass(frozen=True)
class LlmInfo:
    """What is known of a language model.

    size: bytes of its weights. parameters: how many. memory: bytes that a conversation takes in
    the runtime that reads this form (bfloat16 on CUDA for Hugging Face's). context: tokens that it
    was made for. languages, licence: as its file or card lists them; empty where it does not.
    instructs: whether it has a chat template.
    """

    form: str
    size: int
    parameters: int
    memory: int
    architecture: str
    context: int | None
    languages: tuple[str, ...]
    licence: str
    instructs: bool


def describe_llm(source: LlmSource) -> LlmInfo:
    """Read what a language model says of itself. Raises UsageError if a file cannot be read."""
    return _of_gguf(source.path) if source.is_gguf else _of_folder(source.path)


def _of_gguf(path: Path) -> LlmInfo:
    header = read_header(path)
    said = header.metadata
    architecture = str(said.get("general.architecture", ""))

    def number(key: str) -> int:
        value = said.get(f"{architecture}.{key}", 0)
        return int(max(value) if isinstance(value, list) and value else value or 0)

    heads = max(1, number("attention.head_count"))
    width = number("attention.key_length") or number("embedding_length") // heads
    cache = _cache_bytes(number("block_count"), number("attention.head_count_kv") or heads, width)
    size = path.stat().st_size
    return LlmInfo(
        form="GGUF",
        size=size,
        parameters=header.parameters,
        memory=size + cache,
        architecture=architecture,
        context=number("context_length") or None,
        languages=_listed(said.get("general.languages")),
        licence=str(said.get("general.license", "")),
        instructs="tokenizer.chat_template" in said,
    )


def _of_folder(folder: Path) -> LlmInfo:
    config = _json(folder / "config.json")
    text = config.get("text_config", config)
    card = read_card(folder)
    heads = int(text.get("num_attention_heads") or 1)
    width = int(text.get("head_dim") or int(text.get("hidden_size") or 0) // heads)
    keys = int(text.get("num_key_value_heads") or heads)
    weights = sorted(folder.glob("*.safetensors"))
    parameters = sum(_count(path) for path in weights)
    tokenizer = folder / "tokenizer_config.json"
    template = "chat_template" in _json(tokenizer) if tokenizer.is_file() else False
    return LlmInfo(
        form="Hugging Face",
        size=sum(path.stat().st_size for path in weights),
        parameters=parameters,
        memory=2 * parameters + _cache_bytes(int(text.get("num_hidden_layers") or 0), keys, width),
        architecture=str(config.get("model_type", "")),
        context=text.get("max_position_embeddings"),
        languages=_listed(card.get("language")),
        licence=str(card.get("license", "")),
        instructs=template or any(folder.glob("chat_template.*")),
    )


def _cache_bytes(layers: int, heads: int, width: int) -> int:
    """Return the bytes of a conversation's keys and values, two bytes a number."""
    return 2 * 2 * layers * heads * width * CONTEXT


def _listed(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),) if value else ()


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UsageError(f"{path} cannot be read.") from None
    return values if isinstance(values, dict) else {}


def _count(path: Path) -> int:
    """Return how many numbers a safetensors file holds, by its header."""
    with opened_safetensors(path) as (tensors, _, _):
        return sum(prod(tensor["shape"]) for tensor in tensors.values())


def read_card(folder: Path) -> dict[str, Any]:
    """Return what heads a folder's model card of the hub; nothing where there is none."""
    path = folder / "README.md"
    if not path.is_file():
        return {}
    from huggingface_hub import metadata_load

    try:
        return metadata_load(path) or {}
    except Exception:  # a person's YAML; a card that cannot be read says nothing
        return {}
