"""A language model in shares: two processes on gloo, as `accelerate launch` starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import ophglm_core as ophglm
from ophglm_core.data.build_instructions import build_instructions
from ophglm_core.data.splits import split_texts
from ophglm_core.model_folder import open_model
from ophglm_core.networks.language_model import TorchLanguageModel
from ophglm_core.training import sft

from .. import sharded_sft
from ..families import write_family
from .conftest import OPHGLM, Run

_CONFIG = """\
distributed_type: FSDP
use_cpu: true
num_machines: 1
num_processes: 2
fsdp_config:
  fsdp_version: 2
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
"""


def launch(config: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a script as `accelerate launch --config_file CONFIG --main_process_port 29523`."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    return subprocess.run(
        [*command, "--main_process_port", "29523", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
    )


@pytest.mark.slow
def test_a_sharded_language_model_learns_as_a_whole_one(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = split_texts([t for t in build_instructions() if t.language == "en"])
    texts, config = tmp_path / "texts.jsonl", tmp_path / "fsdp.yaml"
    chosen = [*parts[0][::100], *parts[1][::200]]
    texts.write_text("\n".join(json.dumps(text.to_json()) for text in chosen))
    config.write_text(_CONFIG)
    folder = write_family("Llama 3", tmp_path / "llama")
    launched = launch(config, Path(sharded_sft.__file__), tiny_model, texts, folder, tmp_path)
    assert launched.returncode == 0, launched.stderr

    said = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    for share in said:
        assert 0.45 < share["held"] / share["parameters"] < 0.55
    assert sum(share["held"] for share in said) == said[0]["parameters"]
    assert said[0]["held_out"] == said[1]["held_out"]
    assert len(said[0]["held_out"]) == 2

    monkeypatch.setattr(sft, "add_adapter", sft.add_adapter)
    monkeypatch.setattr(sft, "_JUDGED", sft._JUDGED)
    sharded_sft.without_dropout()
    options = {"llm": str(folder), **sharded_sft.OPTIONS}
    ophglm.sft(tiny_model, texts, out=tmp_path / "one", **options)
    one, stopped = (
        load_file(tmp_path / name / "adapter" / "adapter_model.safetensors")
        for name in ("one", "stopped")
    )
    assert one.keys() == stopped.keys()
    assert any(one[name].abs().max() > 1e-4 for name in one if "lora_B" in name)
    for name, weight in one.items():
        assert torch.allclose(weight, stopped[name], atol=2e-5, rtol=1e-2), name

    loss, gradient = sharded_sft.soft_token_gradient(
        TorchLanguageModel(str(folder), torch.device("cpu"))
    )
    for share in said:
        assert share["loss"] == pytest.approx(loss, rel=1e-5)
        assert share["gradient"] == pytest.approx(gradient, rel=1e-3, abs=1e-6)


@pytest.mark.slow
def test_a_fusion_module_learns_before_a_sharded_language_model(
    ophglm: Run, few: Path, tiny_model: Path, tmp_path: Path
) -> None:
    vqa, config = tmp_path / "vqa.jsonl", tmp_path / "fsdp.yaml"
    assert ophglm("build-vqa", few, "--out", vqa).returncode == 0
    config.write_text(_CONFIG)
    folder = write_family("Llama 3", tmp_path / "llama")
    command = ["train-fusion", tiny_model, vqa, "--llm", folder, "--precision", "no"]
    command += ["--head-epochs", "1", "--epochs", "2", "--samples", "16", "--batch-size", "8"]
    one = ophglm(*command, "--out", tmp_path / "one")
    assert one.returncode == 0, one.stderr
    two = launch(config, OPHGLM, *command, "--out", tmp_path / "two")
    assert two.returncode == 0, two.stderr
    parts = [open_model(tmp_path / name).manifest.fusion for name in ("one", "two")]
    alone, together = (part.training["history"] for part in parts if part is not None)
    assert len(alone) == len(together) == 3
    for a, b in zip(alone, together, strict=True):
        # Sixteen questions, and each process has a dropout of its own.
        assert b["loss"] == pytest.approx(a["loss"], rel=0.2)
    assert together[2]["language_loss"] == pytest.approx(alone[2]["language_loss"], rel=0.1)


def test_what_cannot_be_sharded_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace
    from typing import Any

    from ophglm_core.errors import UsageError
    from ophglm_core.networks.sharding import launched_sharding

    two: Any = SimpleNamespace(num_processes=2)
    assert launched_sharding(two, four_bit=True) is None
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert launched_sharding(SimpleNamespace(num_processes=1), four_bit=True) is None  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="set fsdp_version: 2"):
        launched_sharding(two, four_bit=False)
    monkeypatch.setenv("FSDP_VERSION", "2")
    with pytest.raises(UsageError, match="omit --4bit or FSDP"):
        launched_sharding(two, four_bit=True)
    monkeypatch.setenv("FSDP_OFFLOAD_PARAMS", "true")
    with pytest.raises(UsageError, match="fsdp_offload_params: false"):
        launched_sharding(two, four_bit=False)
