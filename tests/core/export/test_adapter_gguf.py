"""The adapter in llama.cpp as in torch, for tiny models of each family."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from ophglm_core.errors import UsageError
from ophglm_core.export.adapter_gguf import adapter_layout, write_adapter_gguf
from ophglm_core.networks.language_model import TorchLanguageModel
from ophglm_core.networks.lora import adapted_layers, add_adapter, write_peft
from ophglm_core.runtime.llama import LlamaSession

from ...families import FAMILIES, LAYERS, write_family
from ...families_gguf import write_family_gguf

CPU = torch.device("cpu")
FUSED = {"Phi-3": {"qkv_proj", "gate_up_proj"}, "GLM-4": {"gate_up_proj"}}
QUESTION = [{"role": "user", "content": "What is glaucoma? It is a disease of the optic nerve."}]


def with_adapter(folder: Path, std: float = 0.3) -> TorchLanguageModel:
    """A model with a random adapter, with much of it on q and k, which could stand turned."""
    llm = TorchLanguageModel(str(folder), CPU)
    torch.manual_seed(0)
    llm.model = add_adapter(llm.model, rank=4, alpha=8)
    for name, parameter in llm.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=std)
    llm.model.eval()
    return llm


def torch_logits(llm: TorchLanguageModel, prompt: str) -> np.ndarray:
    return llm.next_logits(llm.embed(torch.tensor(llm.tokenize(prompt))))


def llama_logits(path: Path, prompt: str, adapter: Path | None = None) -> np.ndarray:
    with closing(LlamaSession(path, 256, adapter)) as session:
        session.append_text(prompt)
        return session.next_logits()


@pytest.mark.parametrize("name", FAMILIES)
def test_both_runtimes_say_the_same_with_a_familys_adapter(name: str, tmp_path: Path) -> None:
    folder = write_family(name, tmp_path / "hf")
    plain = TorchLanguageModel(str(folder), CPU)
    base = write_family_gguf(name, plain, tmp_path / "base.gguf")
    prompt = plain.render(QUESTION, True)
    without = torch_logits(plain, prompt)
    assert np.corrcoef(llama_logits(base, prompt), without)[0, 1] > 0.999
    adapted = with_adapter(folder)
    layers = adapted_layers(adapted.model)
    assert set(layers.values()) == {LAYERS}
    assert {"o_proj", "down_proj", *FUSED.get(name, ())} <= set(layers)
    write_peft(adapted.model, tmp_path)
    write_adapter_gguf(tmp_path, adapter_layout(adapted.model, base))
    expected = torch_logits(adapted, prompt)
    got = llama_logits(base, prompt, tmp_path / "adapter.gguf")
    assert np.corrcoef(got, expected)[0, 1] > 0.999
    assert np.corrcoef(got, without)[0, 1] < 0.99


def test_an_architecture_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    adapted = with_adapter(write_family("Qwen3", tmp_path / "hf"))
    adapted.model.config.model_type = "falcon_h1"
    with pytest.raises(UsageError, match="'falcon_h1' cannot be written for llama"):
        adapter_layout(adapted.model)


def test_a_base_model_of_another_shape_is_refused(tmp_path: Path, tiny_gguf: Path) -> None:
    adapted = with_adapter(write_family("Llama 3", tmp_path / "hf"))
    with pytest.raises(UsageError, match="of the shape of model"):
        adapter_layout(adapted.model, tiny_gguf)


def test_an_adapter_on_some_layers_only(tmp_path: Path) -> None:
    folder = write_family("Llama 3", tmp_path / "hf")
    llm = TorchLanguageModel(str(folder), CPU)
    some = add_adapter(llm.model, 4, 8, target_modules=("q_proj", "v_proj"))
    assert adapted_layers(some) == {"q_proj": LAYERS, "v_proj": LAYERS}
    for wanted in (("w_proj",), ("w_proj", "q_proj")):
        fresh = TorchLanguageModel(str(folder), CPU).model
        with pytest.raises(UsageError, match="w_proj"):
            add_adapter(fresh, 4, 8, target_modules=wanted)
