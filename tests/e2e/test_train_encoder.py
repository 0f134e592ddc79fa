from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ophglm_core.errors import InputError, UsageError
from ophglm_core.evaluation.classification import evaluate_classifier
from ophglm_core.images import load_crop
from ophglm_core.model_folder import open_model
from ophglm_core.networks.encoder import load_encoder
from ophglm_core.runtime.onnx import EncoderSession
from ophglm_core.training import train_encoder

from ..conftest import draw_fundus
from .conftest import OPHGLM, Run


@pytest.mark.slow
def test_an_epoch_killed_half_way_and_resumed(
    ophglm: Run, three_hundred: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model"
    options = ["train-encoder", str(three_hundred), "--out", str(out), "--epochs", "1"]
    options += ["--size", "128", "--batch-size", "4", "--precision", "no"]
    process = subprocess.Popen(
        [str(OPHGLM), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    state = tmp_path / "model.training" / "checkpoint.pt"
    for _ in range(1200):
        if state.exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not out.exists()
    held = torch.load(state, weights_only=True)["numbers"]
    assert held["epoch"] == 0
    assert 0 < held["step"] < 60
    result = ophglm(*options)
    assert result.returncode == 0, result.stderr
    assert "epoch 1/1" in result.stderr
    assert "AUC" in result.stderr
    assert result.stdout.strip() == str(out)
    assert not state.parent.exists()
    manifest = json.loads((out / "ophglm.json").read_text())
    assert manifest["training"]["history"][0]["epoch"] == 1
    check_model(out, three_hundred / "images")
    again = ophglm(*options)
    assert again.returncode == 2
    assert "already holds a model" in again.stderr


def check_model(out: Path, images: Path) -> None:
    """The folder is whole, its two encoders agree on real pictures, and it classifies."""
    model = open_model(out)
    assert f"# {out.name}" in (out / "README.md").read_text()
    size = model.manifest.encoder.input_size
    crops = np.stack([load_crop(p, size) for p in sorted(images.iterdir())[:8]])
    pixels = crops.transpose(0, 3, 1, 2).astype(np.float32) / 255
    encoder = load_encoder(model)
    with torch.no_grad():
        expected = encoder(torch.from_numpy(pixels)).numpy()
    output = EncoderSession(model.encoder_onnx).run(pixels)
    assert np.abs(expected - output.logits).max() < 1e-4
    # The maps' mean over places is the logit without the head's bias.
    bias = encoder.classifier.bias.detach().numpy()
    assert np.abs(output.cams.mean(axis=(2, 3)) + bias - output.logits).max() < 1e-4


@pytest.mark.slow
def test_ctrl_c_saves_and_says_so(three_hundred: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    command = [str(OPHGLM), "train-encoder", str(three_hundred), "--out", str(out)]
    command += ["--size", "64", "--epochs"]
    process = subprocess.Popen([*command, "30"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch 1/"):
            break
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(timeout=60) == 130
    assert "the same command goes on" in rest
    assert (tmp_path / "model.training" / "checkpoint.pt").exists()
    other = subprocess.run([*command, "31"], capture_output=True, text=True)
    assert other.returncode == 2
    assert "other options (epochs)" in other.stderr


@pytest.mark.slow
def test_data_that_cannot_be_trained_on(ophglm: Run, tmp_path: Path) -> None:
    result = ophglm("train-encoder", tmp_path / "nowhere", "--out", tmp_path / "m")
    assert result.returncode == 1
    assert "No such file or folder" in result.stderr
    data = tmp_path / "classes"
    (data / "normal").mkdir(parents=True)
    draw_fundus().save(data / "normal" / "a.jpg")
    result = ophglm("train-encoder", data, "--out", tmp_path / "m")
    assert result.returncode == 1
    assert "too few" in result.stderr
    for seed in range(40):
        draw_fundus((80, 80), seed).save(data / "normal" / f"{seed}.jpg")
    options = ["--architecture", "test_convnext", "--size", "32", "--epochs", "1", "--compile"]
    # A cache of its own, or an earlier compilation would be found there.
    environment = {"CXX": "/nowhere", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor")}
    result = ophglm("train-encoder", data, "--out", tmp_path / "m", *options, env=environment)
    assert result.returncode == 2
    assert result.stderr.strip().endswith("omit --compile.")
    shutil.rmtree(tmp_path / "m.training")
    result = ophglm("train-encoder", data, "--out", tmp_path / "m", "--architecture", "convnext_x")
    assert result.returncode == 2
    assert "no network called 'convnext_x'" in result.stderr


@pytest.mark.slow
def test_learning_from_a_teacher_and_going_on_from_a_model(
    ophglm: Run, a_hundred: Path, tmp_path: Path
) -> None:
    common = ["train-encoder", a_hundred, "--size", "64", "--epochs", "1"]
    teacher, student = tmp_path / "teacher", tmp_path / "student"
    small = ["--architecture", "test_convnext"]
    result = ophglm(*common, *small, "--out", teacher)
    assert result.returncode == 0, result.stderr
    # A teacher may know more than its student learns.
    result = ophglm(*common, *small, "--out", student, "--teacher", teacher, "--label", "amd")
    assert result.returncode == 0, result.stderr
    assert json.loads((student / "ophglm.json").read_text())["training"]["teacher"] == "teacher"
    check_model(student, a_hundred / "images")
    further = tmp_path / "further"
    options = ["--from", teacher, "--learning-rate", "0", "--precision", "no", "--freeze", "2"]
    result = ophglm(*common, "--out", further, *options)  # the network is the start's
    assert result.returncode == 0, result.stderr
    before, after = load_encoder(open_model(teacher)), load_encoder(open_model(further))
    assert torch.equal(before.classifier.weight, after.classifier.weight)
    result = ophglm(*common, "--out", tmp_path / "x", *options, "--architecture", "convnext_femto")
    assert result.returncode == 2
    assert "--architecture test_convnext" in result.stderr
    result = ophglm(*common, "--out", tmp_path / "x", "--from", student, "--teacher", student)
    assert result.returncode == 2
    assert "a teacher must know them all" in result.stderr


@pytest.mark.slow
def test_all_patients_and_two_networks_beside_each_other(a_hundred: Path, tmp_path: Path) -> None:
    """In this process, which has torch loaded."""
    # A process has one precision, and other tests here have this one.
    plain: dict[str, Any] = {"precision": "no"}
    options = {**plain, "size": 64, "epochs": 1, "architecture": "test_convnext"}
    teacher, final = tmp_path / "teacher", tmp_path / "final"
    train_encoder(a_hundred, teacher, **options)
    # The same on all patients, with the thresholds and the figures of what was measured.
    train_encoder(a_hundred, final, **options, measured=teacher)
    told, measured = (open_model(folder).manifest for folder in (final, teacher))
    assert told.heads == measured.heads
    assert told.metrics["labels"] == measured.metrics["labels"]
    assert told.training["measured"]["model"] == open_model(teacher).identity
    assert "that one's" in (final / "README.md").read_text()
    assert told.encoder.sha256 != measured.encoder.sha256
    assert told.split == measured.split  # what is trained on top still has patients to be judged on
    with pytest.raises(InputError, match="No photograph"):  # all of it was trained on
        evaluate_classifier(open_model(final), [a_hundred], "test")
    # Two networks before heads on both: with nothing learned, the mean of what they say.
    joined = tmp_path / "joined"
    options = {**plain, "start": teacher, "beside": final}
    train_encoder(a_hundred, joined, **options, heads_only=True, epochs=0, views=1)
    both = open_model(joined)
    assert (both.manifest.encoder.backbones, both.manifest.encoder.views) == (2, 1)
    check_model(joined, a_hundred / "images")
    assert "nothing was learned here" in (joined / "README.md").read_text()
    pixels = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        own, first, second = (load_encoder(open_model(m))(pixels) for m in (joined, teacher, final))
    assert torch.allclose(own, (first + second) / 2, atol=2e-3)  # rounded to fp16
    assert not torch.allclose(first, second, atol=2e-3)
    with pytest.raises(UsageError, match="--beside goes with --heads-only"):
        train_encoder(a_hundred, tmp_path / "x", **options)
    # Heads on both learn, too.
    learned = tmp_path / "learned"
    train_encoder(a_hundred, learned, **plain, start=joined, heads_only=True, epochs=1)
    after = load_encoder(open_model(learned))
    before = load_encoder(both)
    assert torch.equal(before.beside[0].stem[0].weight, after.beside[0].stem[0].weight)
    assert not torch.equal(before.classifier.weight, after.classifier.weight)
