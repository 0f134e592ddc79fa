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


def write_tiny_adapter(gguf_file: Path, folder: Path) -> Path:
    """Write a random LoRA for `write_tiny_llm`'s model, as peft keeps it; return its folder."""
    import torch

    from ophglm_core.model_folder import PEFT_FOLDER
    from ophglm_core.networks.language_model import TorchLanguageModel
    from ophglm_core.networks.lora import adapter_parameters, add_adapter, write_peft

    model = add_adapter(TorchLanguageModel(str(gguf_file), torch.device("cpu")).model, 4, 8)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in adapter_parameters(model).values():
            parameter.normal_(0, 0.1)
    write_peft(model, folder)
    return folder / PEFT_FOLDER


#: A template a family, in short: turn marks of other forms, and a system's turn that some refuse.
_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_GEMMA = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ m['role'] }}\n{{ m['content'] }}"
    "<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
_PHI = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
_TEMPLATES = {"gemma2": _GEMMA, "gemma3": _GEMMA, "phi3": _PHI}
_MARKS = (
    *("<|endoftext|>", "<bos>", "<|im_start|>", "<|im_end|>", "<start_of_turn>", "<end_of_turn>"),
    *("<|user|>", "<|assistant|>", "<|system|>", "<|end|>"),
)


def write_tiny_family(family: str, folder: Path, seed: int = 0) -> Path:
    """Write a random model of another family, 2 layers and 64 wide, in Hugging Face's form.

    Its tokenizer knows bytes and turn marks, so any text can be read.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    tokenizer.add_special_tokens(list(_MARKS))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<|endoftext|>"
    )
    fast.chat_template = _TEMPLATES.get(family, _CHATML)
    fast.save_pretrained(str(folder))
    name = {"gemma3": "gemma3_text"}.get(family, family)
    ids = {"bos_token_id": fast.bos_token_id, "eos_token_id": fast.eos_token_id}
    config = AutoConfig.for_model(
        name,
        vocab_size=len(fast),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=8192,  # a character may be a token
        # Shorter than a test's context, so that what a window leaves out shows.
        sliding_window=16,
        pad_token_id=0,
        **ids,
    )
    torch.manual_seed(seed)
    AutoModelForCausalLM.from_config(config).save_pretrained(str(folder))
    return folder
