from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, cohen_kappa_score, f1_score, roc_auc_score

from ophglm_core.conditions import DEFAULT_LABELS, default_labels
from ophglm_core.data.records import read_records
from ophglm_core.data.splits import Split
from ophglm_core.model_folder import MANIFEST, ModelFolder

from .conftest import Run


@pytest.fixture(scope="module")
def test_part(labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of the photographs of patients of the default split's test part."""
    return fifth(labelled, "test", tmp_path_factory.mktemp("held out"))


@pytest.fixture(scope="module")
def parted(bundled: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model, which learned from all patients, as if it had by the default split."""
    folder = tmp_path_factory.mktemp("parted") / "model"
    shutil.copytree(bundled.path, folder)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["training"]["split"] = Split().to_json()
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def fifth(labelled: Path, part: str, folder: Path) -> Path:
    """Every fifth photograph of a part, as a set of its own."""
    folder.mkdir(exist_ok=True)
    records = Split().parts(read_records(labelled), default_labels())[part][::8]
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "patient", *DEFAULT_LABELS])
        for r in records:
            (folder / r.image.name).symlink_to(r.image)
            writer.writerow([r.image.name, r.patient, *(r.labels[k] for k in DEFAULT_LABELS)])
    return folder


@pytest.mark.slow
def test_metrics_are_scikit_learn_s_on_the_csv(
    ophglm: Run, test_part: Path, bundled: ModelFolder, tmp_path: Path
) -> None:
    report = tmp_path / "report.html"
    arguments = ["evaluate", bundled.path, test_part, "--json", "--rounds", "20"]
    result = ophglm(*arguments, "--report", report)
    assert result.returncode == 0, result.stderr
    metrics = json.loads(result.stdout)
    rows = csv.DictReader(io.StringIO(ophglm("classify", test_part).stdout))
    truth = {r.image.name: r.labels for r in read_records(test_part)}
    judged = [r for r in rows if r["status"] == "ok"]
    assert metrics["photographs"] == len(judged)
    measured = 0
    rule_out = bundled.manifest.conditions_head.rule_out
    assert rule_out is not None
    normal = np.array([float(r["normal"]) for r in judged])
    healthy = np.array([truth[Path(r["image"]).name]["normal"] for r in judged])
    flagged = np.array([r["positive"] not in ("", "normal") for r in judged])
    assert metrics["any_disease"]["sensitivity"] == pytest.approx(flagged[healthy == 0].mean())
    assert metrics["any_disease"]["specificity"] == pytest.approx(1 - flagged[healthy == 1].mean())
    for label in DEFAULT_LABELS:
        assert metrics["positives"][label] == sum(
            truth[Path(r["image"]).name][label] for r in judged
        )
        actual = np.array([truth[Path(r["image"]).name][label] for r in judged])
        score = np.array([float(r[label]) for r in judged])
        limit = bundled.manifest.calibrations()[label].threshold
        needed = np.full(len(judged), limit)
        if label != "normal":  # what is rather normal is flagged only for what is likely
            needed[normal >= rule_out] = max(limit, 0.5)
        called = (score >= needed).astype(int)
        got = metrics["labels"][label]
        if actual.min() == actual.max():
            assert got["auc"] is None
            continue
        measured += 1
        # The CSV has four decimals, so a tie or a threshold can fall otherwise now and then; a low
        # threshold's false alarms weigh little in sensitivity and more in F1 and kappa.
        assert got["auc"] == pytest.approx(roc_auc_score(actual, score), abs=2e-3)
        assert got["average_precision"] == pytest.approx(
            average_precision_score(actual, score), abs=1e-2
        )
        assert got["f1"] == pytest.approx(f1_score(actual, called), abs=3e-2)
        assert got["kappa"] == pytest.approx(cohen_kappa_score(actual, called), abs=3e-2)
        assert got["sensitivity"] == pytest.approx(called[actual == 1].mean(), abs=1e-2)
        interval = metrics["confidence_intervals"]["labels"][label]["auc"]
        if actual.sum() < 10:
            assert interval is None
        else:
            assert interval[0] <= got["auc"] <= interval[1]
        assert metrics["confusion"][label]["of"] == actual.sum()
    assert measured > 1
    check_report(report.read_text(encoding="utf-8"))


def check_report(text: str) -> None:
    """The page stands alone: every picture is inside, and nothing is fetched."""
    assert text.startswith("<!doctype html>")
    assert text.count("data:image/png;base64,") == 1
    assert text.count("data:image/jpeg;base64,") > 3
    assert not re.search(r"(src|href)='?(http|/|\.)", text)
    for words in ("diabetic retinopathy", "ODIR score", "not a diagnosis"):
        assert words in text


@pytest.mark.slow
def test_terminal_output_and_part(
    ophglm: Run, test_part: Path, parted: Path, bundled: ModelFolder
) -> None:
    result = ophglm("evaluate", parted, test_part, "--part", "test", "--rounds", "2")
    assert result.returncode == 0, result.stderr
    assert "AUC mean over the diseases" in result.stdout
    assert "kappa" in result.stdout
    result = ophglm("evaluate", parted, test_part, "--part", "train")
    assert result.returncode == 1
    assert "is in part train" in result.stderr
    assert ophglm("evaluate", parted, test_part, "--part", "most").returncode == 2
    # It has seen all of these patients.
    result = ophglm("evaluate", bundled.path, test_part, "--part", "test")
    assert result.returncode == 1
    assert "is in part test" in result.stderr


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--vqa", "--report", "r.html"], "--report"),
        (["--vqa", "--rounds", "9"], "--rounds"),
        (["--texts", "--part", "test"], "--part"),
        (["--limit", "3"], "--limit"),
        (["--vqa", "--texts"], "two measurements"),
    ],
)
def test_an_option_that_means_nothing_is_refused(
    ophglm: Run, options: list[str], named: str, tmp_path: Path
) -> None:
    result = ophglm("evaluate", "ophglm-smollm2-135m", tmp_path, *options)
    assert result.returncode == 2
    assert named in result.stderr


@pytest.mark.slow
def test_training_data_is_warned_of(
    ophglm: Run, labelled: Path, parted: Path, tmp_path: Path
) -> None:
    data = fifth(labelled, "validation", tmp_path / "odir5k")
    for part, warned in (("validation", False), ("all", True)):
        result = ophglm("evaluate", parted, data, "--part", part, "--rounds", "2")
        assert "patients" in result.stdout
        assert ("trained on" in result.stderr) == warned


def test_heatmaps_are_written_beside_their_folders(
    ophglm: Run, test_part: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    chosen = [r for r in read_records(test_part) if r.labels["dr"] or r.labels["myopia"]][:12]
    for record in chosen:
        (folder / "sub" / record.image.name).symlink_to(record.image.resolve())
    maps = tmp_path / "maps"
    result = ophglm("classify", folder, "--format", "jsonl", "--heatmaps", maps)
    assert result.returncode == 0, result.stderr
    expected = set()
    for line in result.stdout.splitlines():
        row = json.loads(line)
        name = Path(row["image"]).name
        expected |= {f"{name}.{d}.jpg" for d in row["positive"] if d != "normal"}
    assert expected
    assert {p.name for p in (maps / "sub").iterdir()} == expected
    with Image.open(maps / "sub" / min(expected)) as picture:
        assert picture.size == (512, 542)
    other = tmp_path / "other"
    shutil.copytree(folder, other, symlinks=True)  # the same names again, and none is lost
    both = tmp_path / "both"
    assert ophglm("classify", folder, other, "--heatmaps", both).returncode == 0
    for name in ("pictures", "other"):
        assert {p.name for p in (both / name / "sub").iterdir()} == expected
