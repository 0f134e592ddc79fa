"""Fixtures that all tests share: real photographs, drawn ones, and the model folder that ships."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from ophglm_core.assets import sample_path
from ophglm_core.knowledge.retrieval import Library
from ophglm_core.model_folder import ModelFolder, open_model
from ophglm_core.networks.language_model import TorchLanguageModel
from ophglm_core.runtime.sentence import SentenceEncoder

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared(name: str) -> Path:
    """The folder of one real data set; the test is skipped, with a reason, where it is not."""
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"the real photographs of {name} are not on this machine ({folder})")
    return folder


#: Files of tests that take minutes: first, so that no worker is left alone with one at the end.
_LONG = ("e2e/test_train_encoder.py", "e2e/test_fusion.py", "e2e/test_distributed.py")
_LONG += ("e2e/test_sft.py", "training/test_sft.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(_LONG)}
    items.sort(
        key=lambda item: next(
            (place for name, place in places.items() if item.path.as_posix().endswith(name)),
            len(places),
        )
    )
    for item in items:
        if "odir" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.data)


@pytest.fixture(scope="session")
def odir() -> Path:
    return shared("odir5k")


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ODIR-5K, or variants of the sample with its columns where that is not at hand: for jobs that
    have to run on any labelled photographs and not to be right about them."""
    real = SHARED / "odir5k"
    return real if real.is_dir() else draw_labelled(tmp_path_factory.mktemp("drawn") / "odir5k")


@pytest.fixture(scope="session")
def sample() -> Path:
    return sample_path()


@pytest.fixture(scope="session")
def bundled() -> ModelFolder:
    return open_model()


@pytest.fixture(scope="session")
def library() -> Library:
    """The library as `ophglm chat` asks it."""
    return Library(SentenceEncoder().embed)


@pytest.fixture(scope="session")
def llm() -> TorchLanguageModel:
    """The embedded language model, read once: that takes longer than most tests. For all to use and
    none to change."""
    return TorchLanguageModel(None, torch.device("cpu"))


@pytest.fixture(scope="session")
def plain(llm: TorchLanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model as a folder in Hugging Face's form, dequantised: read in a second."""
    from .benchmarks.sft_against_trl import plain_copy  # with it comes the training of stage 3

    folder = tmp_path_factory.mktemp("plain")
    plain_copy(llm, folder)
    return folder


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random language model of two layers, for both runtimes."""
    from .tiny import write_tiny_llm

    return write_tiny_llm(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture(scope="session")
def tiny_model(
    bundled: ModelFolder, tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A model folder of the bundled encoder and an untrained fusion module for the tiny model."""
    from ophglm_core.export.onnx import write_fusion
    from ophglm_core.model_folder import identify_llm, save_manifest, write_model_folder
    from ophglm_core.networks.fusion import make_fusion

    out = tmp_path_factory.mktemp("tiny") / "model"
    part = bundled.manifest.fusion
    assert part is not None
    with write_model_folder(out, bundled) as folder:
        for path in (folder / "adapter.gguf", *(folder / "adapter").glob("*")):
            path.unlink()
        manifest = open_model(folder).manifest
        network = replace(part.network, llm_width=128, scale=0.09)
        torch.manual_seed(0)
        write_fusion(make_fusion(network), folder)
        manifest.llm, manifest.adapter = identify_llm(str(tiny_gguf)), None
        manifest.fusion = replace(
            part, network=network, training={**part.training, "llm": str(tiny_gguf)}, llm=None
        )
        save_manifest(folder, manifest)
    return out


def draw_fundus(size: tuple[int, int] = (400, 300), seed: int = 0) -> Image.Image:
    """Draw a retina that is one in colour and shape: a disc, an optic disc, vessels, a macula."""
    rng = np.random.default_rng(seed)
    width, height = size
    picture = Image.new("RGB", size)
    draw = ImageDraw.Draw(picture)
    radius = 0.46 * min(size)
    cx, cy = width / 2, height / 2
    draw.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), fill=(186, 92, 38))
    ox, oy = cx + 0.5 * radius, cy + rng.uniform(-0.1, 0.1) * radius
    for angle in rng.uniform(0, 2 * np.pi, 9):
        points = [(ox, oy)]
        for step in range(1, 12):
            angle += rng.normal(0, 0.15)
            reach = step * 0.09 * radius
            points.append((ox + reach * np.cos(angle), oy + reach * np.sin(angle)))
        draw.line(points, fill=(120, 32, 20), width=max(1, round(radius / 50)))
    disc = 0.14 * radius
    draw.ellipse((ox - disc, oy - disc, ox + disc, oy + disc), fill=(240, 190, 120))
    draw.ellipse((cx - disc, cy - disc, cx + disc, cy + disc), fill=(140, 60, 26))
    aperture = Image.new("L", size)
    ImageDraw.Draw(aperture).ellipse((cx - radius, cy - radius, cx + radius, cy + radius), fill=255)
    surround = Image.new("RGB", size)
    return Image.composite(picture, surround, aperture).filter(ImageFilter.GaussianBlur(1.0))


def draw_labelled(folder: Path, patients: int = 240) -> Path:
    """Make both eyes of these patients of the public-domain sample: turned, in other light, and
    marked in the colour of the condition."""
    marks = {
        "normal": None,
        "dr": (110, 10, 10),
        "glaucoma": (250, 240, 200),
        "cataract": (200, 190, 180),
        "amd": (235, 215, 90),
        "myopia": (240, 200, 190),
    }
    retina = Image.open(sample_path()).convert("RGB").resize((260, 260))
    (folder / "images").mkdir(parents=True)
    lines = [",".join(("image", "patient", "eye", *marks, "quality", "keywords"))]
    for patient in range(patients):
        # Half are healthy, as in the real set nearly.
        key = "normal" if patient % 2 else list(marks)[patient // 2 % len(marks)]
        rng = np.random.default_rng(patient)
        for eye in ("left", "right"):
            picture = retina.rotate(float(rng.uniform(-8, 8)))
            picture = ImageEnhance.Brightness(picture).enhance(float(rng.uniform(0.92, 1.08)))
            picture = ImageEnhance.Color(picture).enhance(float(rng.uniform(0.92, 1.08)))
            if eye == "right":
                picture = ImageOps.mirror(picture)
            if (colour := marks[key]) is not None:
                for x, y in rng.integers(80, 170, (12, 2)).tolist():
                    ImageDraw.Draw(picture).ellipse((x, y, x + 4, y + 4), fill=colour)
            name = f"{patient}_{eye}.jpg"
            picture.save(folder / "images" / name, quality=90)
            labels = ",".join(str(int(label == key)) for label in marks)
            lines.append(f"{name},{patient},{eye},{labels},,")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder of drawn photographs, with a sub-folder, beside what must not stop the others."""
    folder = tmp_path / "photographs"
    (folder / "deeper").mkdir(parents=True)
    draw_fundus(seed=1).save(folder / "one_left.jpg", quality=90)
    draw_fundus((300, 300), seed=2).save(folder / "two.png")
    draw_fundus((900, 700), seed=3).save(folder / "deeper" / "three OD.tif")
    (folder / "notes.jpg").write_text("this is no picture\n")
    whole = (folder / "one_left.jpg").read_bytes()
    (folder / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "readme.txt").write_text("not a picture by its name either\n")
    return folder
