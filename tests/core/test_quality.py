from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from ophglm_core.classifier import Classifier
from ophglm_core.conditions import default_labels
from ophglm_core.data.records import read_records
from ophglm_core.data.splits import Split
from ophglm_core.findings import Findings
from ophglm_core.inputs import find_images
from ophglm_core.model_folder import ModelFolder
from ophglm_core.quality import BLURRED, measure
from ophglm_core.wording import describe, message_in

from ..conftest import draw_fundus


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda p: p * 0.05, "too dark"),
        (lambda p: np.where(p.max(axis=2, keepdims=True) > 18, p * 0 + 245, 0), "washed out"),
        (lambda p: p[..., ::-1], "does not look like"),
        (lambda p: np.repeat(p.mean(axis=2, keepdims=True), 3, axis=2), "does not look like"),
    ],
)
def test_reasons(change: object, reason: str) -> None:
    picture = np.asarray(draw_fundus((224, 224)))
    assert measure(picture).reason() is None
    changed = np.asarray(change(picture.astype(float))).astype(np.uint8)  # type: ignore[operator]
    assert reason in (measure(changed).reason() or "")


def test_a_blurred_photograph_is_said_to_be_so(bundled: ModelFolder, odir: Path) -> None:
    paths = sorted((odir / "images").iterdir())[::400]
    sharp = [Image.open(p).convert("RGB") for p in paths]
    for radius in (5, 8):
        blurred = [p.filter(ImageFilter.GaussianBlur(radius)) for p in sharp]
        messages = [f.message or "" for f in Classifier(bundled).classify(blurred)]
        assert sum("blurred" in m.lower() for m in messages) >= 0.8 * len(messages), messages
    messages = [f.message or "" for f in Classifier(bundled).classify(paths)]
    assert not any("blurred" in m.lower() for m in messages)


def test_a_small_photograph_is_not_called_blurred() -> None:
    small = draw_fundus((120, 120)).resize((320, 320))
    assert not measure(np.asarray(small), side=120).blurred
    soft = draw_fundus((640, 640)).filter(ImageFilter.GaussianBlur(16)).resize((320, 320))
    assert measure(np.asarray(soft), side=640).blurred


def test_at_most_two_percent_of_real_photographs_are_ungradable(
    bundled: ModelFolder, odir: Path
) -> None:
    paths = sorted((odir / "images").iterdir())[::20]
    results = list(Classifier(bundled).classify(paths))
    ungradable = [f for f in results if f.status != "ok"]
    assert len(ungradable) <= 0.02 * len(paths), [(f.image, f.message) for f in ungradable]


def foreign_pictures() -> list[Path]:
    """All pictures in the wheels of scikit-image and scikit-learn but the retina."""
    import skimage
    import sklearn

    folders = (Path(skimage.__file__).parent / "data", Path(sklearn.__file__).parent / "datasets")
    found = [p for folder in folders for p in find_images(folder)]
    return [p for p in found if p.name not in ("retina.jpg", "multipage_rgb.tif")]


def test_foreign_pictures_are_ungradable(bundled: ModelFolder) -> None:
    paths = foreign_pictures()
    assert len(paths) > 20
    results = list(Classifier(bundled).classify(paths))
    taken = [f.image for f in results if f.status == "ok"]
    assert len(taken) <= 0.05 * len(paths), taken


def test_hazy_pictures_of_cataract_are_still_judged(bundled: ModelFolder, odir: Path) -> None:
    records = Split().parts(read_records(odir), default_labels())["test"]
    hazy = [r.image for r in records if r.labels["cataract"]]
    results = list(Classifier(bundled).classify(hazy))
    judged = [f for f in results if f.status == "ok"]
    assert len(judged) >= 0.9 * len(hazy)
    likely = [f for f in judged if f.probabilities["cataract"] > 0.5]
    assert len(likely) >= 0.6 * len(judged)


def test_blur_is_said_in_both_languages() -> None:
    labels = default_labels()
    probabilities = {label: 0.9 if label == "cataract" else 0.0 for label in labels}
    seen = Findings(
        image="a.jpg",
        model="m",
        status="ok",
        probabilities=probabilities,
        positive=["cataract"],
        message=BLURRED,
    )
    assert BLURRED in describe(seen, labels)
    assert "照片模糊" in describe(seen, labels, "zh")
    assert message_in(seen, "zh").startswith("照片模糊")
    ungradable = Findings(
        image="a.jpg", model="m", status="ungradable", message="Not graded: it is blurred."
    )
    assert message_in(ungradable, "zh") == "未判读：模糊。"
