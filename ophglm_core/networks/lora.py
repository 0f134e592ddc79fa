"""The adapter: LoRA (Hu et al. 2022, arXiv 2106.09685) on a language model, kept as peft keeps it.

`export.adapter_gguf` writes the same adapter for llama.cpp.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..errors import UsageError
from ..model_folder import PEFT_FOLDER


def add_adapter(
    model: Any,
    rank: int,
    alpha: int,
    dropout: float = 0.05,
    target_modules: Sequence[str] = (),
) -> Any:
    """Put a new adapter on a transformers model; only it can be trained.

    target_modules: the ends of the names of the linear layers that it goes on, such as 'q_proj';
    none: all but the head, fused ones included. Raises UsageError if the model has none of them.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=sorted(target_modules) or "all-linear",
        task_type="CAUSAL_LM",
    )
    try:
        adapted = get_peft_model(model, config)
    except ValueError as error:
        first = str(error).strip().splitlines()[0].rstrip(".")
        raise UsageError(f"No adapter can be put on this language model ({first}).") from None
    missing = set(target_modules) - set(adapted_layers(adapted))
    if missing:
        raise UsageError(f"This language model has no layer {', '.join(sorted(missing))}.")
    return adapted


def adapted_layers(model: Any) -> dict[str, int]:
    """Return the names of the layers that a peft model's adapter is on, and how many of each."""
    paths = (n.partition(".lora_A.")[0] for n in adapter_parameters(model) if ".lora_A." in n)
    return dict(Counter(path.rpartition(".")[2] for path in paths))


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
