"""The adapter as a GGUF for llama.cpp, for every family whose layers it holds as transformers does.

Names come from gguf's own tables. llama.cpp's converter turns the rows of q and k of some families,
so that the rotary halves stand interleaved; the adapter's rows are then turned alike.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ..errors import UsageError
from ..files import atomic_write
from ..model_folder import ADAPTER_GGUF, PEFT_FOLDER
from ..networks.lora import adapter_parameters

#: llama.cpp's architectures that adapters are written for, and whether its converter
#: (convert_hf_to_gguf.py) turns the rows of q and k.
_TURNED = {
    "llama": True,
    "smollm3": True,
    "qwen2": False,
    "qwen3": False,
    "phi3": False,
    "glm4": False,
    "gemma2": False,
    "gemma3": False,
}
#: transformers' model types that llama.cpp has under another name.
_ARCHITECTURES = {"mistral": "llama", "gemma3_text": "gemma3"}
#: What peft puts before a module's path.
_PEFT = "base_model.model."


@dataclass(frozen=True)
class GgufLayout:
    """Where llama.cpp has the layers that an adapter is on.

    architecture: llama.cpp's name. tensors: names of base tensors by a module's path in
    transformers. heads: by such a path, the heads whose rows are turned.
    """

    architecture: str
    tensors: dict[str, str]
    heads: dict[str, int]


def adapter_layout(model: Any, base: Path | None = None) -> GgufLayout:
    """Return where the layers of a peft model's adapter stand in llama.cpp.

    base: the GGUF that the model was read from, whose architecture and shapes it has to fit. Raises
    UsageError if llama.cpp does not know the family, or has no place for a layer.
    """
    import gguf

    config = model.config
    architecture = _ARCHITECTURES.get(config.model_type, config.model_type)
    shapes: dict[str, list[int]] = {}
    if base is not None:
        reader = gguf.GGUFReader(base)
        architecture = str(reader.fields["general.architecture"].contents())
        shapes = {t.name: [int(n) for n in reversed(t.shape)] for t in reader.tensors}
    known = {name: key for key, name in gguf.MODEL_ARCH_NAMES.items()}
    if architecture not in _TURNED or architecture not in known:
        raise UsageError(
            f"An adapter of the architecture '{architecture}' cannot be written for llama.cpp; "
            f"those that can are {', '.join(_TURNED)}."
        )
    names = gguf.get_tensor_name_map(known[architecture], config.num_hidden_layers)
    tensors: dict[str, str] = {}
    outputs: dict[str, list[int]] = {}
    for name, parameter in adapter_parameters(model).items():
        path, part = _split(name)
        found = names.get_name(path)
        if found is None:
            raise UsageError(f"llama.cpp's {architecture} has no place for the layer {path}.")
        tensors[path] = f"{found}.weight"
        sizes = outputs.setdefault(path, [0, 0])
        sizes[0 if part == "B" else 1] = parameter.shape[0 if part == "B" else 1]
    for path, tensor in tensors.items():
        if base is not None and shapes.get(tensor) != outputs[path]:
            raise UsageError(f"{base.name} has no {tensor} of the shape of {path}.")
    heads = {}
    if _TURNED[architecture]:
        counts = {"q": config.num_attention_heads, "k": config.num_key_value_heads}
        for path, tensor in tensors.items():
            if tensor.endswith(("attn_q.weight", "attn_k.weight")):
                heads[path] = counts[tensor.removesuffix(".weight")[-1]]
    return GgufLayout(architecture, tensors, heads)


def write_adapter_gguf(folder: Path, layout: GgufLayout) -> None:
    """Write a model folder's `adapter.gguf` from its `adapter/`."""
    import gguf
    from safetensors.torch import load_file

    config = json.loads((folder / PEFT_FOLDER / "adapter_config.json").read_text(encoding="utf-8"))
    state = load_file(folder / PEFT_FOLDER / "adapter_model.safetensors")
    with atomic_write(folder / ADAPTER_GGUF) as partial:
        writer = gguf.GGUFWriter(str(partial), layout.architecture)
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", float(config["lora_alpha"]))
        for name, tensor in sorted(state.items()):
            path, part = _split(name)
            if part == "B" and path in layout.heads:
                tensor = to_llama_order(tensor, layout.heads[path])
            values = tensor.float().numpy().astype(np.float16)
            writer.add_tensor(f"{layout.tensors[path]}.lora_{part.lower()}", values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def _split(name: str) -> tuple[str, str]:
    """'base_model.model.model.layers.3.mlp.up_proj.lora_A.default.weight' ->
    ('model.layers.3.mlp.up_proj', 'A')."""
    path, _, rest = name.removeprefix(_PEFT).partition(".lora_")
    return path, rest[:1]


def to_llama_order(weight: Tensor, heads: int) -> Tensor:
    """Rows of q or k, [heads * D, ...], from transformers' order of the rotary halves to
    llama.cpp's."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.transpose(1, 2).reshape(weight.shape)
