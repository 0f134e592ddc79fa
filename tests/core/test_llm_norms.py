"""A language model is known in Hugging Face's form, as a GGUF, and quantised."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ophglm_core.assets import embedded_gguf
from ophglm_core.errors import UsageError
from ophglm_core.export.gguf import quantize
from ophglm_core.llm_norms import norms_sha256
from ophglm_core.llm_source import belongs, find_llm
from ophglm_core.manifest import LanguageModelInfo
from ophglm_core.model_folder import open_model
from ophglm_core.networks.language_model import TorchLanguageModel

from ..families import write_family, write_trained_family
from ..families_gguf import write_family_gguf

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["SmolLM3", "Qwen3", "Phi-3", "GLM-4", "Gemma 3"])
def test_a_gguf_is_known_as_what_it_was_made_of(name: str, tmp_path: Path) -> None:
    untrained = write_family(name, tmp_path / "untrained")
    assert norms_sha256(untrained) is None
    folder = write_trained_family(name, tmp_path / "hf")
    made = write_family_gguf(name, TorchLanguageModel(str(folder), CPU), tmp_path / "made.gguf")
    known = norms_sha256(folder)
    assert known is not None
    assert norms_sha256(made) == known
    assert norms_sha256(write_trained_family(name, tmp_path / "other", seed=1)) != known


def test_quantising_changes_nothing_and_parts_belong(tiny_model: Path, tmp_path: Path) -> None:
    folder = write_trained_family("Llama 3", tmp_path / "hf")
    llm = TorchLanguageModel(str(folder), CPU)
    made = write_family_gguf("Llama 3", llm, tmp_path / "made.gguf")
    quantize(made, tmp_path / "small.gguf", "Q4_0")
    assert (tmp_path / "small.gguf").stat().st_size < 0.9 * made.stat().st_size
    assert norms_sha256(tmp_path / "small.gguf") == norms_sha256(folder)
    model = open_model(tiny_model)
    fusion = model.manifest.fusion
    assert fusion is not None
    info = llm.identity()
    assert info.norms_sha256 == norms_sha256(folder)
    part = replace(fusion, llm=info, training={"llm": str(folder)})
    assert belongs(model, find_llm(str(folder)), part)
    assert belongs(model, find_llm(str(tmp_path / "small.gguf")), part)
    assert not belongs(model, find_llm(None), part)
    other = write_trained_family("Llama 3", tmp_path / "other", seed=1)
    assert not belongs(model, find_llm(str(other)), part)
    # And the other way: what was trained on a GGUF, in Hugging Face's form.
    part = replace(fusion, llm=TorchLanguageModel(str(made), CPU).identity())
    assert belongs(model, find_llm(str(folder)), part)
    assert info.same_as(LanguageModelInfo("made", norms_sha256=info.norms_sha256))


def test_the_embedded_one_and_what_is_broken(tmp_path: Path) -> None:
    assert norms_sha256(embedded_gguf()) == norms_sha256(embedded_gguf())
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(embedded_gguf().read_bytes()[:2_500_000])
    with pytest.raises(UsageError, match="cut off"):
        norms_sha256(cut)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", 99) + b"{")
    with pytest.raises(UsageError, match="not a safetensors file"):
        norms_sha256(tmp_path)
