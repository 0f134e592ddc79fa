"""Stage 3 from the command line, with a tiny random language model; the adapter that ships is
measured in tests/core/training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ophglm_core.model_folder import ModelFolder, file_sha256, open_model

from ..conftest import SHARED
from .conftest import Run


@pytest.mark.slow
def test_texts_training_and_a_conversation_with_the_adapter(
    ophglm: Run,
    few: Path,
    tiny_model: Path,
    tiny_gguf: Path,
    tmp_path: Path,
) -> None:
    texts, out = tmp_path / "texts", tmp_path / "tuned"
    questions = SHARED / "medquad_eye" / "medquad_eye.jsonl"
    if not questions.is_file():
        questions = tmp_path / "questions.jsonl"
        questions.write_text(
            json.dumps({"question": "What is the uvea?", "answer": "The eye's middle layer."})
        )
    built = ophglm("build-instructions", "--out", texts, "--questions", questions)
    assert built.returncode == 0, built.stderr
    assert len(list(texts.glob("*.jsonl"))) == 6
    first = json.loads((texts / "conversations.jsonl").read_text().splitlines()[0])
    assert [m["role"] for m in first["messages"]][:2] == ["user", "assistant"]
    counted = json.loads(ophglm("data", "stats", texts, "--json").stdout)
    assert counted["count"] > 700
    assert counted["duplicates"] == 0
    assert ophglm("data", "validate", texts).returncode == 0
    for path in texts.glob("*.jsonl"):  # enough to train and to hold out; all would take minutes
        path.write_text("".join(path.read_text().splitlines(keepends=True)[::16]))
    options = ["--epochs", "1", "--samples", "8", "--batch-size", "4", "--rank", "4"]
    options += ["--llm", str(tiny_gguf)]
    command = ["sft", tiny_model, texts, "--photographs", few, "--out", out, *options]
    trained = ophglm(*command)
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.strip() == str(out)
    assert "tokens a second" in trained.stderr
    assert "perplexity" in trained.stderr
    lines = [json.loads(x) for x in (out / "metrics.jsonl").read_text().splitlines()]
    assert [(x["step"], "validation" in x) for x in lines] == [(1, False), (2, False), (2, True)]
    assert all(x["tokens_per_second"] > x["samples_per_second"] > 0 for x in lines[:2])
    assert lines[2]["validation"]["held_out_loss"] > 0
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    model = open_model(out)
    assert model.manifest.adapter is not None
    assert model.manifest.adapter.soft_tokens is True
    assert model.manifest.adapter.parity["correlation"] > 0.9999
    for name in ("encoder.onnx", "fusion.onnx", "fusion.safetensors"):
        assert file_sha256(out / name) == file_sha256(tiny_model / name)
    assert (out / "adapter" / "adapter_model.safetensors").stat().st_size < 20e6
    assert "## The adapter" in (out / "README.md").read_text()
    again = ophglm(*command)
    assert again.returncode == 2
    told = ophglm(
        "chat",
        "--image",
        "sample",
        "--prompt",
        "How is it treated?",
        "--model",
        out,
        "--llm",
        tiny_gguf,
    )
    assert told.returncode == 0, told.stderr
    assert "not a diagnosis" in told.stdout


@pytest.mark.slow
def test_bad_texts_are_named_and_refused(ophglm: Run, bundled: ModelFolder, tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    bad = {
        "messages": [
            {"role": "user", "content": "What is it?"},
            {"role": "assistant", "content": "This is definitely glaucoma."},
        ],
        "label": "glaucoma",
    }
    (texts / "a.jsonl").write_text(json.dumps(bad))
    found = ophglm("data", "validate", texts)
    assert found.returncode == 1
    assert "certain" in found.stdout
    copy = tmp_path / "copy"
    shutil.copytree(bundled.path, copy)
    refused = ophglm("sft", copy, texts)
    assert refused.returncode == 2
    assert "has an adapter already" in refused.stderr
    result = ophglm("sft", copy, texts, "--out", tmp_path / "out")
    assert result.returncode == 1
    assert "too few texts" in result.stderr
    (texts / "a.jsonl").write_text("{")
    assert "a.jsonl, line 1" in ophglm("sft", copy, texts, "--out", tmp_path / "out").stderr
