"""One table of conditions: a toy one is added in one place and goes all the way."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ophglm_core as ophglm
from ophglm_core.conditions import CONDITIONS, Condition, LabelSet, canonical, register
from ophglm_core.errors import UsageError
from ophglm_core.model_folder import open_model

from ..conftest import draw_fundus


@pytest.fixture
def toy() -> Iterator[Condition]:
    condition = Condition(
        key="toy",
        name="toy spots",
        name_zh="玩具斑点",
        finding="signs that suggest toy spots",
        finding_zh="提示玩具斑点的征象",
        short="toy",
        aliases=("spots",),
        pattern=r"toy spots?|玩具斑点",
    )
    register(condition)
    yield condition
    del CONDITIONS["toy"]


def labelled(folder: Path, columns: tuple[str, ...]) -> Path:
    """48 drawn photographs; those with the second label have a bright spot."""
    folder.mkdir()
    rows = []
    for number in range(48):
        picture = np.array(draw_fundus((128, 128), number))
        spotted = number % 2
        if spotted:
            picture[40:60, 40:60] = (240, 240, 120)
        Image.fromarray(picture).save(folder / f"{number}.png")
        values = dict(zip(columns, (1 - spotted, spotted), strict=True))
        rows.append({"image": f"{number}.png", "patient": number, **values})
    with (folder / "labels.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def train(data: Path, out: Path) -> Path:
    written = ophglm.train_encoder(
        data, out, architecture="test_convnext", size=32, epochs=1, batch_size=8, precision="no"
    )
    assert written is not None
    return written


@pytest.mark.slow
def test_a_toy_condition_is_trained_classified_evaluated_and_talked_about(
    toy: Condition, tmp_path: Path
) -> None:
    data = labelled(tmp_path / "data", ("normal", "spots"))
    model = train(data, tmp_path / "model")
    assert open_model(model).labels.keys == ("normal", "toy")
    assistant = ophglm.load(model, evidence="findings")
    (finding,) = assistant.classify(data / "1.png")
    assert list(finding.probabilities) == ["normal", "toy"]
    metrics = ophglm.evaluate(assistant.model, [data]).metrics
    assert set(metrics["labels"]) == {"normal", "toy"}
    parts = list(assistant.chat(data / "1.png").ask("Do you see toy spots?"))
    assert any("toy spots" in part.text for part in parts if part.kind == "finding")


@pytest.mark.slow
def test_a_hospital_s_own_label_needs_no_code(tmp_path: Path) -> None:
    model = open_model(train(labelled(tmp_path / "data", ("normal", "pox")), tmp_path / "model"))
    assert model.labels.own == ("pox",)
    assert "nothing but the name is known: pox" in (model.path / "README.md").read_text()
    # Without its declaration the label is one that this version does not know.
    manifest = json.loads((model.path / "ophglm.json").read_text())
    manifest["own_labels"] = []
    (model.path / "ophglm.json").write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match="does not know the label pox"):
        open_model(model.path)


def test_outputs_are_named_by_the_manifest_and_not_by_the_table(tmp_path: Path) -> None:
    import shutil

    bundled = open_model()
    copy = tmp_path / "copy"
    shutil.copytree(bundled.path, copy)
    manifest = json.loads((copy / "ophglm.json").read_text())
    head = manifest["heads"][0]
    head["labels"][2], head["labels"][3] = head["labels"][3], head["labels"][2]
    (copy / "ophglm.json").write_text(json.dumps(manifest))
    (before,) = ophglm.load().classify("sample", keep_outputs=True)
    (after,) = ophglm.load(copy).classify("sample", keep_outputs=True)
    assert list(after.probabilities)[2:4] == ["glaucoma", "amd"]
    assert before.cams is not None
    assert after.cams is not None
    assert np.array_equal(before.cams, after.cams)


def test_pictures_in_memory_and_too_many_of_them() -> None:
    assistant = ophglm.load()
    picture = draw_fundus((300, 300))
    a, b = assistant.classify([picture, np.asarray(picture)])
    assert a.probabilities == b.probabilities
    assert (a.image, b.image) == ("picture 1", "picture 2")
    (broken,) = assistant.classify(np.zeros((4, 4, 2), np.uint8))
    assert broken.status == "error"
    with pytest.raises(UsageError, match="one photograph or two"):
        assistant.chat("sample", "sample", "sample")


def test_names_mean_conditions() -> None:
    assert canonical("Diabetic Retinopathy") == "dr"
    assert canonical("unheard of") is None
    assert LabelSet.of(["normal", "dr"]).named_in("Is it DR or a cataract?") == ["dr"]
    with pytest.raises(ValueError, match="means dr already"):
        register(Condition(key="x", name="", name_zh="", finding="", finding_zh="", aliases=("d",)))
