"""Stage 3 as it is called: stopped and taken up again, and what the folder says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import ophglm_core as ophglm
from ophglm_core.data.build_instructions import build_instructions
from ophglm_core.data.splits import split_texts
from ophglm_core.errors import UsageError
from ophglm_core.model_folder import ModelFolder, identify_llm, open_model
from ophglm_core.training.config import Callbacks, Progress

from ...families import write_family


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough to train on and to hold out."""
    parts = split_texts([t for t in build_instructions() if t.language == "en"])
    path = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    chosen = [*parts[0][::100], *parts[1][::200]]
    path.write_text("\n".join(json.dumps(text.to_json()) for text in chosen))
    return path


@pytest.mark.slow
def test_an_adapter_taken_up_again_is_the_undisturbed_one(
    tiny_model: Path, tiny_gguf: Path, texts: Path, tmp_path: Path
) -> None:
    options = {
        "llm": str(tiny_gguf),
        "rank": 4,
        "alpha": 8,
        "epochs": 2,
        "samples": 8,
        "batch_size": 4,
        "max_length": 96,
        "precision": "no",
    }
    remarks: list[str] = []
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    ophglm.sft(tiny_model, texts, Callbacks(remark=remarks.append), out=whole, **options)
    assert any(r.startswith("The adapter is on ") and "q_proj (2)" in r for r in remarks)

    def stop(progress: Progress) -> None:
        if (progress.epoch, progress.step) == (2, 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ophglm.sft(tiny_model, texts, Callbacks(step=stop), out=stopped, **options)
    ophglm.sft(tiny_model, texts, out=stopped, **options)
    first, second = (
        load_file(out / "adapter" / "adapter_model.safetensors") for out in (whole, stopped)
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)

    adapter = open_model(whole).manifest.adapter
    assert adapter is not None
    assert adapter.llm is not None
    assert adapter.llm == identify_llm(str(tiny_gguf))
    assert adapter.llm.architecture == "llama"
    assert len(adapter.llm.chat_template_sha256 or "") == 64
    assert adapter.parity["correlation"] > 0.999


@pytest.mark.slow
def test_soft_tokens_of_another_language_model_are_refused_before_the_training(
    bundled: ModelFolder, texts: Path, tmp_path: Path
) -> None:
    folder = write_family("Qwen2.5", tmp_path / "qwen")
    with pytest.raises(UsageError, match=r"belongs to SmolLM2-135M-Instruct and not to qwen"):
        ophglm.sft(
            bundled.path,
            texts,
            out=tmp_path / "out",
            llm=str(folder),
            photographs=(tmp_path,),
            precision="no",
        )


@pytest.mark.slow
def test_a_base_model_is_refused_before_the_training(
    tiny_model: Path, texts: Path, tmp_path: Path
) -> None:
    folder = write_family("Qwen2.5", tmp_path / "base")
    for path in folder.glob("chat_template*"):
        path.unlink()
    (folder / "generation_config.json").unlink()
    config = folder / "tokenizer_config.json"
    values = json.loads(config.read_text())
    values.pop("chat_template", None)
    config.write_text(json.dumps(values))
    tokenizer = folder / "tokenizer.json"
    # ChatML's marks are what a base model's tokenizer lacks.
    tokenizer.write_text(tokenizer.read_text().replace("<|im_end|>", "<|end|>"))
    config.write_text(config.read_text().replace("<|im_end|>", "<|end|>"))
    with pytest.raises(UsageError, match="base has no chat template") as refused:
        ophglm.sft(
            tiny_model, texts, out=tmp_path / "out", llm=str(folder), samples=4, precision="no"
        )
    assert "train with an instruct model" in str(refused.value)
