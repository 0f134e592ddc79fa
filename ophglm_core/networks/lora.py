"""The adapter: LoRA (Hu et al. 2022, arXiv 2106.09685) on a language model, for both runtimes.

peft keeps it as safetensors; llama.cpp loads it from a GGUF beside the base model's. llama.cpp
holds the rotary halves of q and k interleaved, transformers one after the other, so the rows of
these two matrices are put into llama.cpp's order on the way.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError
from ..modelfolder import ADAPTER_GGUF, PEFT_FOLDER

#: Linear layers of llama-like models: their names in transformers and in GGUF.
_LAYERS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def add_adapter(model: Any, rank: int, alpha: int, dropout: float = 0.05) -> Any:
    """Put a new adapter on all linear layers of a transformers model; only it can be trained.

    Raises UsageError if the model has no layers by the names that are known.
    """
    from peft import LoraConfig, get_peft_model

    targets = sorted({name.split(".")[-1] for name in _LAYERS})
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise UsageError(f"No adapter can be put on this language model ({error}).") from None


def load_adapter(model: Any, folder: Path) -> Any:
    """Put a saved adapter on a transformers model, frozen. Raises UsageError if it does not fit."""
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, str(folder)).eval()
    except (OSError, ValueError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0]
        raise UsageError(f"{folder} is no adapter of this language model ({first}).") from None


def adapter_parameters(model: Any) -> dict[str, torch.nn.Parameter]:
    """Return the adapter's parameters of a peft model, by name."""
    return {n: p for n, p in model.named_parameters() if "lora_" in n}


def write_peft(model: Any, folder: Path) -> None:
    """Write `adapter/` as peft does, its weights in fp16, without a card of its own."""
    from safetensors.torch import load_file, save_file

    target = folder / PEFT_FOLDER
    model.save_pretrained(str(target), save_embedding_layers=False)
    (target / "README.md").unlink(missing_ok=True)
    weights = target / "adapter_model.safetensors"
    state = {k: v.half().contiguous() for k, v in load_file(weights).items()}
    save_file(state, weights, metadata={"format": "pt"})
    weights.chmod(0o644)
    config_file = target / "adapter_config.json"
    config = json.loads(config_file.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = None  # a path of the machine that trained it says nothing
    config_file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write_gguf(folder: Path, heads: int, key_heads: int) -> None:
    """Write `adapter.gguf` from `adapter/`. heads, key_heads: of the base model's attention."""
    import gguf
    from safetensors.torch import load_file

    config = json.loads((folder / PEFT_FOLDER / "adapter_config.json").read_text(encoding="utf-8"))
    state = load_file(folder / PEFT_FOLDER / "adapter_model.safetensors")
    writer = gguf.GGUFWriter(str(folder / ADAPTER_GGUF), "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(config["lora_alpha"]))
    for name, tensor in sorted(state.items()):
        layer, part = _gguf_name(name)
        if part == "b" and layer.endswith(("attn_q.weight", "attn_k.weight")):
            count = heads if layer.endswith("attn_q.weight") else key_heads
            tensor = to_llama_order(tensor, count)
        writer.add_tensor(f"{layer}.lora_{part}", tensor.numpy().astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _gguf_name(name: str) -> tuple[str, str]:
    """'...layers.3.self_attn.q_proj.lora_A.weight' -> ('blk.3.attn_q.weight', 'a')."""
    path, _, part = name.removesuffix(".weight").rpartition(".lora_")
    number, _, layer = path.partition(".layers.")[2].partition(".")
    if layer not in _LAYERS:
        raise UsageError(f"llama.cpp has no place for the adapter's layer {name}.")
    return f"blk.{number}.{_LAYERS[layer]}.weight", part.lower()


def to_llama_order(weight: Tensor, heads: int) -> Tensor:
    """Rows of q or k, [heads * D, ...], from transformers' order of the rotary halves to
    llama.cpp's."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.transpose(1, 2).reshape(weight.shape)
