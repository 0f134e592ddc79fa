"""A fusion module and an adapter belong to the language model that they were trained with."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from ophglm_core.assets import embedded_gguf
from ophglm_core.assistant import Assistant
from ophglm_core.errors import UsageError
from ophglm_core.export.folder import export_model
from ophglm_core.llm_source import belongs, find_llm
from ophglm_core.manifest import LanguageModelInfo, Manifest
from ophglm_core.model_folder import ModelFolder, identify_llm, open_model, save_manifest

OTHER = LanguageModelInfo("Other-1B", "other.gguf", "0" * 64, architecture="qwen2", licence="mit")


@pytest.fixture
def foreign(bundled: ModelFolder, tmp_path: Path) -> ModelFolder:
    """The bundled model, whose adapter was trained with another language model than the rest."""
    copy = tmp_path / "copy"
    shutil.copytree(bundled.path, copy)
    manifest = open_model(copy).manifest
    assert manifest.adapter is not None
    manifest.adapter.llm = OTHER
    manifest.adapter.training["llm"] = str(tmp_path / "other.gguf")
    save_manifest(copy, manifest)
    return open_model(copy)


def test_the_manifest_keeps_what_a_parts_language_model_is(foreign: ModelFolder) -> None:
    manifest = Manifest.from_json(foreign.manifest.to_json())
    assert manifest.adapter is not None
    assert manifest.fusion is not None
    assert manifest.adapter.llm is not None
    assert asdict(manifest.adapter.llm) == asdict(OTHER)
    assert manifest.llm_of(manifest.adapter) == OTHER
    assert manifest.llm_of(manifest.fusion) == identify_llm()
    assert not OTHER.same_as(identify_llm())
    assert LanguageModelInfo("a/b").same_as(LanguageModelInfo("a/b"))


def test_chat_leaves_a_foreign_adapter_out_and_says_so(foreign: ModelFolder) -> None:
    remarks: list[str] = []
    _, reader, adapter = Assistant(foreign, remark=remarks.append)._language_model()
    assert adapter is None
    assert reader is not None  # the fusion module is the embedded model's
    assert len(remarks) == 1
    assert "The adapter belongs to Other-1B" in remarks[0]


def test_chat_leaves_both_out_with_a_third_language_model(
    foreign: ModelFolder, tiny_gguf: Path
) -> None:
    remarks: list[str] = []
    assistant = Assistant(foreign, str(tiny_gguf), remark=remarks.append)
    _, reader, adapter = assistant._language_model()
    assert (reader, adapter) == (None, None)
    assert len(remarks) == 1
    with pytest.raises(UsageError, match="was trained with"):
        Assistant(foreign, str(tiny_gguf), evidence="fusion")._language_model()


def test_export_and_evaluate_refuse_another_file(
    foreign: ModelFolder, tiny_gguf: Path, tmp_path: Path
) -> None:
    adapter = foreign.manifest.adapter
    assert adapter is not None
    with pytest.raises(UsageError, match="No such language model file"):
        foreign.trained_gguf(adapter)
    shutil.copy(tiny_gguf, tmp_path / "other.gguf")
    with pytest.raises(UsageError, match="its content is another"):
        foreign.trained_gguf(adapter)
    with pytest.raises(UsageError, match="its content is another"):
        export_model(foreign, quantization="F16")
    adapter.training["llm"] = "org/model"
    with pytest.raises(UsageError, match=r"convert_hf_to_gguf.py org/model"):
        foreign.trained_gguf(adapter)


def test_the_bundled_parts_belong_to_the_embedded_file(bundled: ModelFolder) -> None:
    manifest = bundled.manifest
    for part in (manifest.fusion, manifest.adapter):
        assert part is not None
        assert bundled.trained_gguf(part) == embedded_gguf()
        assert belongs(bundled, find_llm(None), part)


def test_a_folder_is_known_by_its_weights_and_not_by_its_name(tmp_path: Path) -> None:
    for name, weights in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "model.safetensors").write_bytes(weights)
    a, b, c = (identify_llm(str(tmp_path / name)) for name in "abc")
    assert a.same_as(b)
    assert not a.same_as(c)
