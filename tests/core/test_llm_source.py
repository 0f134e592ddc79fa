"""What a language model's name means, and to which model folder it belongs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ophglm_core.assets import embedded_gguf
from ophglm_core.errors import UsageError
from ophglm_core.llm_source import LlmSource, belongs, find_llm, fusion_fits, trained_with
from ophglm_core.manifest import LanguageModelInfo
from ophglm_core.model_folder import ModelFolder, identify_llm, open_model
from ophglm_core.runtimes import open_runtime, runtime_of


def test_a_folder_is_what_lies_in_it(tiny_gguf: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_gguf, tmp_path / "one.gguf")
    assert find_llm(str(tmp_path)).path == tmp_path / "one.gguf"
    shutil.copy(tiny_gguf, tmp_path / "two.gguf")
    with pytest.raises(UsageError, match=r"several.*one\.gguf, two\.gguf"):
        find_llm(str(tmp_path))
    (tmp_path / "two.gguf").rename(tmp_path / "one-00002-of-00002.gguf")
    (tmp_path / "one.gguf").rename(tmp_path / "one-00001-of-00002.gguf")
    assert find_llm(str(tmp_path)).path.name == "one-00001-of-00002.gguf"
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model-1.safetensors").write_bytes(b"")
    assert find_llm(str(tmp_path)).path == tmp_path
    shards = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(UsageError, match=r"lacks model-2\.safetensors"):
        find_llm(str(tmp_path))


def test_a_model_folder_is_no_language_model(bundled: ModelFolder) -> None:
    with pytest.raises(UsageError, match="--model"):
        find_llm(str(bundled.path))
    for name, words in (("nowhere.gguf", "No such language model"), ("a b", "No such language")):
        with pytest.raises(UsageError, match=words):
            find_llm(name)


def test_parts_belong_to_what_they_were_trained_with(
    bundled: ModelFolder, tiny_model: Path, tiny_gguf: Path, tmp_path: Path
) -> None:
    tiny = open_model(tiny_model)
    ours, theirs = find_llm(str(tiny_gguf)), find_llm(None)
    assert (trained_with(bundled), trained_with(tiny)) == (None, str(tiny_gguf))
    fusion, part = tiny.manifest.fusion, bundled.manifest.fusion
    assert fusion is not None
    assert part is not None
    assert [belongs(bundled, s, part) for s in (ours, theirs)] == [False, True]
    assert [belongs(tiny, s, fusion) for s in (ours, theirs)] == [True, False]
    assert belongs(bundled, LlmSource("named", embedded_gguf()), part)
    assert fusion_fits(theirs)
    assert not fusion_fits(ours)
    assert runtime_of(tiny, fusion).source.path == tiny_gguf
    with pytest.raises(UsageError, match=r"was trained with tiny and not with SmolLM2"):
        runtime_of(tiny, fusion, str(embedded_gguf()))
    # A hub id is known by its name, a folder by where it lies.
    for recorded in ("some/model", str(tmp_path)):
        training = {**fusion.training, "llm": recorded}
        llm = LanguageModelInfo(recorded)
        named = replace(fusion, training=training, llm=llm)
        manifest = replace(tiny.manifest, llm=llm, fusion=named)
        model = ModelFolder(tiny.path, manifest)
        assert trained_with(model) == recorded
        assert belongs(model, LlmSource(recorded, tmp_path), named)
        assert belongs(model, LlmSource("elsewhere", tmp_path), named) == (
            recorded == str(tmp_path)
        )
        assert not belongs(model, LlmSource("other/model", tmp_path / "other"), named)


def test_auto_is_llama_cpp_without_a_card(tiny_gguf: Path) -> None:
    for name in (None, str(tiny_gguf)):
        assert open_runtime(find_llm(name)).description == "llama.cpp"
    with pytest.raises(UsageError, match="built for the processor alone"):
        open_runtime(find_llm(str(tiny_gguf)), gpu_layers=2).session(64)
    open_runtime(find_llm(str(tiny_gguf)), gpu_layers=0).session(64).close()


def test_other_weights_in_the_same_place_do_not_belong(tiny_model: Path, tmp_path: Path) -> None:
    model, folder = open_model(tiny_model), tmp_path / "llm"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"1")
    fusion = model.manifest.fusion
    assert fusion is not None
    named = {"llm": str(folder)}
    part = replace(fusion, llm=identify_llm(str(folder)), training=named)
    assert belongs(model, LlmSource(str(folder), folder), part)
    moved = folder.rename(tmp_path / "elsewhere")
    assert belongs(model, LlmSource("elsewhere", moved), part)
    (moved / "model.safetensors").write_bytes(b"2")
    folder = moved.rename(folder)
    assert not belongs(model, LlmSource(str(folder), folder), part)
