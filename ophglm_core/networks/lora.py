"""The adapter: LoRA (Hu et al. 2022, arXiv 2106.09685) on a language model, kept as peft keeps it.

`export.gguf` writes the same adapter for llama.cpp.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from ..errors import UsageError
from ..model_folder import PEFT_FOLDER

#: Linear layers of llama-like models.
TARGET_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def add_adapter(model: Any, rank: int, alpha: int, dropout: float = 0.05) -> Any:
    """Put a new adapter on all linear layers of a transformers model; only it can be trained.

    Raises UsageError if the model has no layers by the names that are known.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=sorted(TARGET_MODULES),
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
