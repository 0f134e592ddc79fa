"""A tiny random language model with the first words of the embedded one's tokenizer, for tests that
need no sense in what it says."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from ophglm_core.assets import embedded_gguf

_WIDTH, _HEADS, _KEY_HEADS, _INNER, _LAYERS = 128, 4, 2, 256, 2
_TOKENS = 2048
_SIZES = {
    "llama.embedding_length": _WIDTH,
    "llama.attention.head_count": _HEADS,
    "llama.attention.head_count_kv": _KEY_HEADS,
    "llama.rope.dimension_count": _WIDTH // _HEADS,
    "llama.feed_forward_length": _INNER,
    "llama.block_count": _LAYERS,
    "llama.vocab_size": _TOKENS,
    "general.file_type": int(gguf.LlamaFileType.MOSTLY_F16),
}


def write_tiny_llm(path: Path, seed: int = 0) -> Path:
    """Write a random llama of two layers, 128 wide, in fp16, as a GGUF that both runtimes read."""
    source = gguf.GGUFReader(embedded_gguf())
    # The specials, the bytes and what the first merges make come first, so these are a tokenizer.
    tokens = [_text(source.fields["tokenizer.ggml.tokens"], i) for i in range(_TOKENS)]
    writer = gguf.GGUFWriter(str(path), "llama")
    for name, kv in source.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        array = kv.types[0] == gguf.GGUFValueType.ARRAY
        value = _SIZES.get(name) or (_first(kv, tokens) if array else kv.contents())
        writer.add_key_value(name, value, kv.types[0], sub_type=kv.types[-1] if array else None)
    rng = np.random.default_rng(seed)

    def add(name: str, *shape: int) -> None:
        values = rng.normal(size=shape).astype(np.float32) / np.sqrt(shape[-1])
        writer.add_tensor(f"{name}.weight", values.astype(np.float16))

    def add_norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(_WIDTH, np.float32))

    keys = _WIDTH // _HEADS * _KEY_HEADS
    add("token_embd", _TOKENS, _WIDTH)
    add_norm("output_norm")
    for layer in range(_LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            add_norm(f"blk.{layer}.{norm}")
        for matrix, rows, columns in (
            ("attn_q", _WIDTH, _WIDTH),
            ("attn_k", keys, _WIDTH),
            ("attn_v", keys, _WIDTH),
            ("attn_output", _WIDTH, _WIDTH),
            ("ffn_gate", _INNER, _WIDTH),
            ("ffn_up", _INNER, _WIDTH),
            ("ffn_down", _WIDTH, _INNER),
        ):
            add(f"blk.{layer}.{matrix}", rows, columns)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _first(kv: gguf.ReaderField, tokens: list[str]) -> list[object]:
    """Return what belongs to the tokens that are kept."""
    if kv.name != "tokenizer.ggml.merges":
        return [kv.contents(i) for i in range(min(len(kv.data), _TOKENS))]
    known, merges, index = set(tokens), [], 0
    while "".join(merge := _text(kv, index).split(" ")) in known:
        merges.append(" ".join(merge))
        index += 1
    return merges


def _text(kv: gguf.ReaderField, index: int) -> str:
    return str(bytes(kv.parts[kv.data[index]]), "utf-8")
