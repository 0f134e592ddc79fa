"""A clinic's own calibration, on logits that are off by a known temperature and offset."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ophglm_core as ophglm
from ophglm_core import local_calibration
from ophglm_core.calibration import refit, sigmoid
from ophglm_core.classifier import Prediction
from ophglm_core.dicom import Tags
from ophglm_core.errors import InputError, UsageError
from ophglm_core.manifest import Calibration, EncoderInfo, Head, Manifest
from ophglm_core.model_folder import ModelFolder, open_model, save_manifest
from ophglm_core.quality import measure

from ..conftest import draw_fundus

_GRADABLE = measure(np.asarray(draw_fundus((120, 120))))
_LABELS = ["normal", "dr", "amd"]


class Predictor:
    """Reads the logits off the file's name: `NUMBER_NORMAL_DR_AMD.png`, in hundredths."""

    def __init__(self, onnx: Path, size: int):
        pass

    def stream(self, pictures: Iterable[Path]) -> Iterator[tuple[Path, InputError | Prediction]]:
        for path in pictures:
            if "broken" in path.stem:
                yield path, InputError("broken")
                continue
            logits = np.array([float(part) / 100 for part in path.stem.split("_")[1:4]])
            score = 9.0 if "strange" in path.stem else 0.0
            yield path, Prediction(logits, logits, logits, score, _GRADABLE, Tags())


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModelFolder:
    monkeypatch.setattr(local_calibration, "EncoderPredictor", Predictor)
    calibration = {label: Calibration(threshold=0.4) for label in _LABELS}
    head = Head("conditions", "multi_label", list(_LABELS), calibration)
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("encoder.onnx", "encoder.safetensors"):
        (folder / name).write_bytes(name.encode())
    encoder = EncoderInfo("-", 32, 1, "5" * 64)
    save_manifest(folder, Manifest("m", encoder, [head], ood_threshold=1.0))
    return open_model(folder)


def clinic(folder: Path, patients: int = 150, amd: int = 4) -> Path:
    """Make two photographs a patient whose logits say twice as much as is true, and three more: a
    clinic with half the prevalence would see such. `amd`: how many patients have it."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["image,patient,normal,dr,amd"]
    for number in range(2 * patients):
        patient = number // 2
        odds = rng.normal(-0.5, 1.5)
        dr = int(rng.random() < sigmoid(np.array(odds)))
        logit = 2 * odds + 3
        values = [rng.normal(), logit, rng.normal()]
        name = "_".join([str(number), *(f"{round(100 * value)}" for value in values)]) + ".png"
        Image.new("RGB", (4, 4), (number % 256, number // 256, 0)).save(folder / name)
        lines.append(f"{name},{patient},{1 - dr},{dr},{int(patient < amd)}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_temperature_offset_and_threshold_are_found(model: ModelFolder, tmp_path: Path) -> None:
    remarks: list[str] = []
    out = tmp_path / "ours"
    new = ophglm.calibrate(model, [clinic(tmp_path / "clinic")], out, 20, remark=remarks.append)
    found = new.manifest.conditions_head.calibration["dr"]
    assert found.scale == pytest.approx(0.5, abs=0.15)
    assert found.offset == pytest.approx(-1.5, abs=0.5)
    done = new.manifest.local_calibration
    assert done["base"] == model.identity
    assert (done["photographs"], done["patients"]) == (300, 150)
    row = done["outputs"]["dr"]
    assert row["before"]["ece"] > 0.2
    assert row["after"]["ece"] < 0.08
    before, after = (row["confidence_intervals"][when]["ece"] for when in ("before", "after"))
    assert after[1] < before[0]
    assert row["after"]["sensitivity"] == pytest.approx(0.85, abs=0.08)
    assert row["after"]["specificity"] > row["before"]["specificity"] + 0.1
    # Eight photographs are too few, and what was is kept.
    assert "amd" not in done["outputs"]
    assert new.manifest.conditions_head.calibration["amd"] == Calibration(threshold=0.4)
    assert any("as it was: amd." in sentence for sentence in remarks)


def test_the_folder_has_the_same_weights_and_says_what_was_done(
    model: ModelFolder, tmp_path: Path
) -> None:
    new = ophglm.calibrate(model, [clinic(tmp_path / "clinic")], tmp_path / "ours", 5)
    assert new.encoder_onnx.read_bytes() == model.encoder_onnx.read_bytes()
    assert new.manifest.encoder == model.manifest.encoder
    assert new.identity.startswith("ours@55555555+")
    assert open_model(model.path).manifest == model.manifest  # as it was
    card = (new.path / "README.md").read_text(encoding="utf-8")
    assert "## Calibrated for clinic" in card
    assert "Of m@55555555 by `ophglm calibrate`, on 300 photographs of 150 patients" in card
    assert "so as they were: amd." in card
    again = ophglm.calibrate(new, [clinic(tmp_path / "other", 60)], tmp_path / "twice", 5)
    assert again.identity.rpartition("+")[2] != new.identity.rpartition("+")[2]
    with pytest.raises(UsageError, match="is there already"):
        ophglm.calibrate(model, [tmp_path / "clinic"], tmp_path / "ours")


def test_what_is_too_little_is_refused_and_leaves_nothing(
    model: ModelFolder, tmp_path: Path
) -> None:
    few = clinic(tmp_path / "few", 49)
    with pytest.raises(InputError, match=r"98 labelled photographs .* needs 100 or more"):
        ophglm.calibrate(model, [few], tmp_path / "ours")
    data = clinic(tmp_path / "clinic", 50)
    first, second = sorted(data.glob("*.png"))[:2]
    table = (data / "labels.csv").read_text()
    for path, name in ((first, "broken"), (second, "1_0_0_0_strange")):
        table = table.replace(path.name, f"{name}.png")
        shutil.move(path, data / f"{name}.png")
    (data / "labels.csv").write_text(table)
    with pytest.raises(InputError, match=r"98 labelled photographs"):
        ophglm.calibrate(model, [data], tmp_path / "ours")
    healthy = clinic(tmp_path / "healthy", 60, amd=0)
    lines = (healthy / "labels.csv").read_text().splitlines()
    names = [line.split(",")[:2] for line in lines[1:]]
    (healthy / "labels.csv").write_text(
        "image,patient,normal,dr\n" + "\n".join(f"{n},{p},1,0" for n, p in names)
    )
    with pytest.raises(InputError, match="No condition has 10 photographs that show it"):
        ophglm.calibrate(model, [healthy], tmp_path / "ours")
    (healthy / "labels.csv").write_text("image,hole\n" + "\n".join(f"{n},1" for n, _ in names))
    with pytest.raises(InputError, match="labels nothing that the model gives"):
        ophglm.calibrate(model, [healthy], tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_a_photograph_is_judged_without_its_patient(
    model: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a fit that remembers its photographs by their logits, none is found again."""
    fitted: list[set[float]] = []

    def remember(old: Calibration, logits: np.ndarray, *rest: Any) -> Calibration:
        fitted.append(set(logits.tolist()))
        return refit(old, logits, *rest)

    monkeypatch.setattr(local_calibration, "refit", remember)
    rng = np.random.default_rng(1)
    logits, patients = rng.normal(size=120), np.arange(120) // 3
    actual = (patients % 2 == 0).astype(int)
    local_calibration._held_out(Calibration(), logits, actual, patients, 0.85, 2)
    assert len(fitted) == 5
    by_patient = [set(logits[patients == p].tolist()) for p in range(40)]
    for group in by_patient:
        inside = [len(group & fit) for fit in fitted]
        assert sorted(inside) == [0, 3, 3, 3, 3]


def test_few_positives_that_are_told_apart_wholly_do_not_give_certainty() -> None:
    logits = np.concatenate([np.full(10, 2.0), np.full(90, -2.0)])
    actual = (logits > 0).astype(int)
    found = refit(Calibration(), logits, actual, 0.85)
    assert 0.9 < sigmoid(np.array(2.0 * found.scale + found.offset)) < 0.9999
    assert found.scale < 6
