from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ophglm_core.conditions import DEFAULT_LABELS
from ophglm_core.errors import UsageError
from ophglm_core.files import atomic_directory, file_sha256
from ophglm_core.manifest import Manifest
from ophglm_core.model_card import card
from ophglm_core.model_folder import ModelFolder, identify_llm, open_model


def test_bundled_model_is_whole_small_and_says_what_it_is(bundled: ModelFolder) -> None:
    manifest = bundled.manifest
    assert file_sha256(bundled.encoder_weights) == manifest.encoder.sha256
    assert set(manifest.conditions_head.calibration) == set(DEFAULT_LABELS)
    size = {p.name: p.stat().st_size for p in bundled.path.rglob("*")}
    assert size["encoder.onnx"] + size["encoder.safetensors"] < 31_000_000
    assert size["fusion.onnx"] + size["fusion.safetensors"] < 20_000_000
    assert size["adapter.gguf"] + size["adapter_model.safetensors"] < 20_000_000
    assert sum(size.values()) < 95_000_000
    suffixes = {p.suffix for p in bundled.path.rglob("*") if p.is_file()}
    assert suffixes <= {".json", ".onnx", ".safetensors", ".md", ".gguf"}
    text = (bundled.path / "README.md").read_text(encoding="utf-8")
    for words in ("What it was trained on", "How well it does", "What it must not be used for"):
        assert words in text


def test_manifest_survives_a_round_trip(bundled: ModelFolder) -> None:
    again = Manifest.from_json(bundled.manifest.to_json())
    assert again == bundled.manifest
    assert card(again) == card(bundled.manifest)


def test_a_name_opens_a_bundled_model_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_model("ophglm-smollm2-135m").path == open_model().path


def test_another_format_is_refused(bundled: ModelFolder, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundled.path, copy)
    values = json.loads((copy / "ophglm.json").read_text(encoding="utf-8"))
    values["format"] = 99
    (copy / "ophglm.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(UsageError, match="format 99"):
        open_model(copy)


def test_a_folder_that_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "model"

    def fail() -> None:
        with atomic_directory(target) as partial:
            (partial / "a").write_text("1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
    with atomic_directory(target) as partial:
        (partial / "a").write_text("1")
    with atomic_directory(target) as partial:
        (partial / "b").write_text("2")
    assert sorted(p.name for p in target.iterdir()) == ["a", "b"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_the_manifest_names_the_embedded_language_model(bundled: ModelFolder) -> None:
    assert bundled.manifest.llm == identify_llm()
    assert len(identify_llm().sha256 or "") == 64


def test_a_manifest_of_format_1_says_the_same() -> None:
    """Both are of one model, saved by the version that had each format."""
    old, new = (
        Path(__file__).with_name(f"manifest_format_{n}.json").read_text(encoding="utf-8")
        for n in (1, 2)
    )
    assert [json.loads(text)["format"] for text in (old, new)] == [1, 2]
    assert Manifest.from_json(old) == Manifest.from_json(new)
