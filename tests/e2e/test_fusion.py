"""Stage 2 from the command line, on real photographs: the command with a tiny random
language model, what ships with the real one."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from ophglm_core.model_folder import ModelFolder, file_sha256, open_model

from .conftest import Run


@pytest.mark.slow
def test_questions_training_and_what_it_leaves_alone(
    ophglm: Run, few: Path, bundled: ModelFolder, tiny_gguf: Path, tmp_path: Path
) -> None:
    vqa, start, out = tmp_path / "vqa.jsonl", tmp_path / "start", tmp_path / "fused"
    shutil.copytree(bundled.path, start)
    assert ophglm("build-vqa", few, "--out", vqa).returncode == 0
    before = {p.name: file_sha256(p) for p in start.iterdir() if p.is_file()}
    options = ["--epochs", "1", "--head-epochs", "1", "--samples", "16", "--batch-size", "8"]
    options += ["--fusion", "mlp", "--llm", str(tiny_gguf)]
    trained = ophglm("train-fusion", start, vqa, "--out", out, *options)
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.strip() == str(out)
    assert "epoch 2/2" in trained.stderr
    assert "language loss" in trained.stderr
    assert "does not know" in trained.stderr  # the Chinese wordings
    assert {p.name: file_sha256(p) for p in start.iterdir() if p.is_file()} == before
    for name in ("encoder.onnx", "encoder.safetensors"):
        assert file_sha256(out / name) == before[name]
    model = open_model(out)
    assert model.manifest.fusion is not None
    assert model.manifest.fusion.network.kind == "mlp"
    assert model.manifest.fusion.training["history"][1]["language_loss"] > 0
    assert model.manifest.fusion.parity["soft_tokens"] < 1e-3
    assert not list(tmp_path.glob("*-training"))
    # Two processes, with the same global batch, learn as one.
    torchrun = [str(Path(sys.executable).with_name("torchrun")), "--nproc-per-node=2"]
    two = tmp_path / "two"
    options += ["--out", str(two)]
    both = ophglm("train-fusion", start, vqa, *options, python=[*torchrun, "--master-port=29518"])
    assert both.returncode == 0, both.stderr
    told = open_model(two).manifest.fusion
    assert told is not None
    histories = (model.manifest.fusion.training["history"], told.training["history"])
    for alone, together in zip(*histories, strict=True):
        # Sixteen questions, and each process has a dropout of its own.
        assert together["loss"] == pytest.approx(alone["loss"], rel=0.2)
    again = ophglm("train-fusion", start, vqa, "--out", out)
    assert again.returncode == 2
    assert "is there already" in again.stderr
    told = ophglm("evaluate", "--vqa", out, vqa, "--limit", "1", "--json")
    assert told.returncode == 0, told.stderr
    metrics = json.loads(told.stdout)
    assert metrics["questions"] >= 4
    assert set(metrics["kinds"]["presence en"]) >= {"photograph", "nothing", "findings", "shuffled"}


@pytest.mark.slow
def test_the_bundled_module_looks_at_the_photograph(
    ophglm: Run, odir: Path, tmp_path: Path
) -> None:
    """On patients that nothing was trained on: far better with the right picture than another's."""
    vqa = tmp_path / "vqa.jsonl"
    assert ophglm("build-vqa", odir, "--out", vqa).returncode == 0
    lines = [line for line in vqa.read_text().splitlines() if '"kind": "presence"' in line]
    vqa.write_text("\n".join(lines))
    told = ophglm(
        "evaluate",
        "--vqa",
        "ophglm-smollm2-135m",
        vqa,
        "--part",
        "test",
        "--limit",
        "4",
        "--json",
    )
    assert told.returncode == 0, told.stderr
    mean = json.loads(told.stdout)["presence"]["mean"]
    assert mean["photograph"] > mean["shuffled"] + 0.15
    assert mean["photograph"] > mean["nothing"] + 0.15


@pytest.mark.slow
def test_export_writes_the_parts_again_and_says_how_alike_they_are(
    ophglm: Run, few: Path, bundled: ModelFolder, tmp_path: Path
) -> None:
    copy, vqa = tmp_path / "copy", tmp_path / "vqa.jsonl"
    assert ophglm("build-vqa", few, "--out", vqa).returncode == 0
    english = [line for line in vqa.read_text().splitlines() if '"language": "en"' in line]
    vqa.write_text("\n".join(english))
    shutil.copytree(bundled.path, copy)
    identity = open_model(copy).identity
    (copy / "fusion.onnx").write_bytes(b"broken")
    result = ophglm("export", copy, "--prompts", "5", "--vqa", vqa)
    assert result.returncode == 0, result.stderr
    assert "soft tokens: differ by at most" in result.stdout
    assert "first token: the same on 5 of 5 prompts" in result.stdout
    assert "with the weights quantised: correlation 0.99" in result.stdout
    assert (copy / "fusion.onnx").stat().st_size > 1e6
    assert open_model(copy).identity == identity  # what resumes and what was classified stand
    fusion = open_model(copy).manifest.fusion
    assert fusion is not None
    metrics = fusion.parity
    assert metrics["prompts"] == 5
    assert metrics["soft_tokens"] < 1e-3
    assert metrics["correlation"] > 0.9999
    assert 0.99 < metrics["quantised_correlation"] < metrics["correlation"]
    assert metrics["quantised_top1_agreement"] >= 0.6  # questions near the border


def test_chat_tells_its_two_kinds_of_evidence_apart(ophglm: Run) -> None:
    question = ["--image", "sample", "--prompt", "Does this photograph show glaucoma?", "--json"]
    kinds = {}
    for evidence in ("findings", "fusion", "both"):
        result = ophglm("chat", *question, "--evidence", evidence)
        assert result.returncode == 0, result.stderr
        kinds[evidence] = [p["kind"] for p in json.loads(result.stdout)["parts"]]
    assert "visual_answer" not in kinds["findings"]
    assert kinds["fusion"] == ["visual_answer"]
    assert kinds["both"].index("finding") < kinds["both"].index("visual_answer")
    wrong = ophglm("chat", *question, "--evidence", "guess")
    assert wrong.returncode == 2
    assert "findings, fusion, both" in wrong.stderr


def test_a_folder_that_lacks_a_part_of_its_fusion_is_refused(
    ophglm: Run, bundled: ModelFolder, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundled.path, copy)
    (copy / "tokenizer.json").unlink()
    result = ophglm("chat", "--image", "sample", "--prompt", "hello", "--model", copy)
    assert result.returncode == 2
    assert "lacks tokenizer.json" in result.stderr
