from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from ophglm_core.conditions import DEFAULT_LABELS, default_labels
from ophglm_core.data.records import read_records
from ophglm_core.data.splits import Split
from ophglm_core.evaluation.metrics import auc_per_label
from ophglm_core.model_folder import ModelFolder

from ..conftest import shared
from .conftest import OPHGLM, Run


def test_json_lines_for_a_folder_with_broken_pictures(
    ophglm: Run, photographs: Path, bundled: ModelFolder
) -> None:
    result = ophglm("classify", photographs, "--format", "jsonl")
    assert result.returncode == 1
    rows = {Path(r["image"]).name: r for r in map(json.loads, result.stdout.splitlines())}
    assert set(rows) == {"one_left.jpg", "two.png", "three OD.tif", "broken.jpg", "notes.jpg"}
    for name in ("broken.jpg", "notes.jpg"):
        assert rows[name]["status"] == "error"
        assert rows[name]["probabilities"]["dr"] is None
        assert name in result.stderr
    for name in ("one_left.jpg", "two.png", "three OD.tif"):
        row = rows[name]
        assert row["status"] in ("ok", "ungradable")
        assert list(row["probabilities"]) == list(bundled.labels)
        if row["status"] == "ok":
            assert all(0 <= p <= 1 for p in row["probabilities"].values())
            assert row["dr_grade"] in range(5)
            assert row["referable"] in (True, False)
    assert rows["one_left.jpg"]["eye"] == "left"
    assert rows["three OD.tif"]["eye"] == "right"
    assert result.stderr.count("not a diagnosis") == 1
    assert "Traceback" not in result.stderr


def test_csv_and_json_lines_say_the_same(
    ophglm: Run, photographs: Path, bundled: ModelFolder
) -> None:
    one_thread = ophglm("classify", photographs, "--workers", "1").stdout
    assert one_thread == ophglm("classify", photographs).stdout
    as_csv = list(csv.DictReader(io.StringIO(one_thread)))
    as_json = [
        json.loads(line)
        for line in ophglm("classify", photographs, "--format", "jsonl").stdout.splitlines()
    ]
    after = ["positive", "dr_grade", "referable", "message", "eye", "patient", "acquired", "model"]
    assert list(as_csv[0]) == ["image", "status", *bundled.labels, *after]
    for row, other in zip(as_csv, as_json, strict=True):
        assert row["image"] == other["image"]
        assert row["positive"] == ";".join(other["positive"])
        grade = other["dr_grade"]
        assert row["dr_grade"] == ("" if grade is None else str(grade))
        assert row["referable"] == {True: "yes", False: "no", None: ""}[other["referable"]]
        for label in bundled.labels:
            value = other["probabilities"][label]
            assert row[label] == ("" if value is None else str(value))


def test_table(ophglm: Run, photographs: Path) -> None:
    result = ophglm("classify", photographs, "--format", "table")
    assert "norm" in result.stdout
    assert "two.png" in result.stdout
    assert "\x1b[" not in result.stdout  # no colours off a terminal


def test_sample_photograph(ophglm: Run) -> None:
    result = ophglm("classify", "sample", "--format", "jsonl")
    assert result.returncode == 0
    row = json.loads(result.stdout)
    assert row["status"] == "ok"
    # A healthy retina by its description in scikit-image.
    assert row["probabilities"]["cataract"] < 0.5


def test_missing_path_empty_folder_and_others_go_on(
    ophglm: Run, photographs: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    result = ophglm("classify", "nowhere.jpg", empty, photographs / "two.png")
    assert result.returncode == 1
    assert "No such file or folder: nowhere.jpg." in result.stderr
    assert "holds no photographs" in result.stderr
    assert "two.png,ok" in result.stdout or "two.png,ungradable" in result.stdout


def test_what_is_no_model_folder(ophglm: Run, bundled: ModelFolder, tmp_path: Path) -> None:
    import shutil

    result = ophglm("classify", "sample", "--model", tmp_path)
    assert result.returncode == 2
    assert "has no ophglm.json" in result.stderr
    part = tmp_path / "part"
    shutil.copytree(bundled.path, part)
    (part / "encoder.onnx").unlink()
    result = ophglm("classify", "sample", "--model", part)
    assert result.returncode == 2
    assert "lacks encoder.onnx" in result.stderr
    (part / "encoder.onnx").write_bytes(b"nothing")
    result = ophglm("classify", "sample", "--model", part)
    assert result.returncode == 2
    assert "cannot be loaded" in result.stderr
    (part / "ophglm.json").write_text("{}")
    result = ophglm("classify", "sample", "--model", part)
    assert result.returncode == 2
    assert "cannot be read" in result.stderr
    for words in result.stderr.splitlines():
        assert "Traceback" not in words


@pytest.mark.slow
def test_out_file_is_complete_or_not_there_and_goes_on(
    ophglm: Run, odir: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for path in sorted((odir / "images").iterdir())[:250]:
        (folder / path.name).symlink_to(path)
    out = tmp_path / "result.csv"
    command = [str(OPHGLM), "classify", str(folder), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    part = out.with_name("result.csv.part")
    for _ in range(600):
        if part.exists() and part.read_text().count("\n") > 40:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"the same command goes on" in complaint
    assert not out.exists()
    before = part.read_text().splitlines()[1:]
    assert len(before) < 240
    result = ophglm("classify", folder, "--out", out)
    assert result.returncode == 0, result.stderr
    assert not part.exists()
    assert f"{len(before)} of these from an earlier run" in result.stderr
    after = out.read_text().splitlines()
    assert len(after) == 251
    assert len({line.split(",")[0] for line in after}) == 251


def test_a_reader_that_leaves_is_no_error(labelled: Path) -> None:
    images = labelled / "images"
    line = f"{OPHGLM} classify {images / '1_left.jpg'} {images} | head -n 2"
    result = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, timeout=120, env=os.environ
    )
    assert result.stdout.count("\n") == 2
    assert "Traceback" not in result.stderr
    assert "Broken" not in result.stderr


@pytest.mark.slow
def test_held_out_patients_are_told_apart(ophglm: Run, odir: Path) -> None:
    """The bundled encoder, through the command, on real patients that it never saw."""
    test = Split().parts(read_records(odir), default_labels())["test"][::3]
    result = ophglm("classify", *[r.image for r in test], "--format", "jsonl")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    score = np.array([[r["probabilities"][d] for d in DEFAULT_LABELS] for r in rows], dtype=float)
    truth = np.array([[float(r.labels[label]) for label in DEFAULT_LABELS] for r in test])
    gradable = ~np.isnan(score).any(axis=1)
    assert gradable.mean() > 0.97
    auc = auc_per_label(truth[gradable], score[gradable], default_labels())
    five = ("dr", "amd", "glaucoma", "myopia", "cataract")
    assert np.mean([auc[d] for d in five if auc[d] is not None]) > 0.88, auc
    assert auc["hypertensive"] is None or auc["hypertensive"] > 0.6
    assert auc["other"] is not None
    assert auc["other"] > 0.6


@pytest.mark.data
def test_camera_size_photographs(ophglm: Run) -> None:
    folder = shared("camera_size")
    result = ophglm("classify", folder, "--format", "jsonl")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(rows) == 40
    assert all(r["status"] == "ok" for r in rows)
    # All are of patients with diabetic retinopathy.
    assert np.mean(["dr" in r["positive"] for r in rows]) > 0.5


@pytest.mark.parametrize("format", ["xml", ""])
def test_unknown_format(ophglm: Run, format: str) -> None:
    assert ophglm("classify", "sample", "--format", format).returncode == 2
