"""The tiny models of tests/families.py as GGUF files, as llama.cpp's convert_hf_to_gguf.py makes
them of the real ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from ophglm_core.export.adapter_gguf import to_llama_order
from ophglm_core.networks.language_model import TorchLanguageModel

from .families import FAMILIES, HEAD_WIDTH, HEADS, INNER, KEY_HEADS, LAYERS, WIDTH

#: llama.cpp's name of a family, where it has another than transformers.
_NAMES = {"mistral": "llama", "gemma3_text": "gemma3"}
#: The converter turns the rows of q and k of these.
_TURNED = ("llama", "smollm3")


def write_family_gguf(name: str, llm: TorchLanguageModel, path: Path) -> Path:
    """Write a family's tiny model in fp32 as a GGUF, which is returned. llm: the model, loaded."""
    family, config = FAMILIES[name], llm.model.config
    architecture = _NAMES.get(family.model_type, family.model_type)
    writer = gguf.GGUFWriter(str(path), architecture)
    # Not the name: llama.cpp strips blanks behind special tokens where it reads phi-3.
    writer.add_name("tiny")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(2048)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    head = getattr(config, "head_dim", None) or HEAD_WIDTH
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    rope = getattr(config, "rope_parameters", None) or {}
    rope = rope.get("full_attention", rope)
    writer.add_rope_freq_base(float(rope.get("rope_theta", 10000.0)))
    share = family.config.get("partial_rotary_factor", 1.0)
    writer.add_rope_dimension_count(int(head * share))
    if getattr(config, "sliding_window", None):
        writer.add_sliding_window(config.sliding_window)
    if architecture == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    _add_tokenizer(writer, name, llm)
    known = {held: key for key, held in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(known[architecture], LAYERS)
    tied = config.tie_word_embeddings
    for key, tensor in llm.model.state_dict().items():
        if tied and key == "lm_head.weight":
            continue
        stem, _, suffix = key.rpartition(".")
        target = names.get_name(stem)
        assert target is not None, key
        if architecture in _TURNED and target.endswith(("attn_q", "attn_k")):
            tensor = to_llama_order(tensor, HEADS if target.endswith("q") else KEY_HEADS)
        values = tensor.float().numpy()
        if architecture.startswith("gemma") and key.endswith("norm.weight"):
            values = values + 1  # transformers adds it as it computes
        writer.add_tensor(f"{target}.{suffix}", np.ascontiguousarray(values, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: gguf.GGUFWriter, name: str, llm: TorchLanguageModel) -> None:
    tokenizer: Any = llm.tokenizer
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")  # digits alone, then as GPT-2 splits
    writer.add_token_list(tokens)
    special = set(llm.special_tokens)
    kinds = [gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t in tokens]
    writer.add_token_types(kinds)
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in model["merges"]])
    if tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(0)  # Phi-3's own lies beyond this vocabulary
    writer.add_eot_token_id(tokenizer.convert_tokens_to_ids(FAMILIES[name].end))
    writer.add_add_bos_token(False)
    writer.add_chat_template(FAMILIES[name].template)
