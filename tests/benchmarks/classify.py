"""Pictures a second and peak memory of `ophglm classify`, beside what others would write.

    python -m tests.benchmarks.classify FOLDER [PICTURES]

FOLDER: photographs, taken again from the first where PICTURES is more than there are. In one run,
each in a process of its own, with the same encoder (the bundled one):

- ophglm: `ophglm classify FOLDER --out rows.csv`, the model's views, checks of quality, CSV.
- timm: timm's recipe as its model cards give it: open, transform, one picture at a time in torch.
- loop: twenty lines: draft decode in threads, square crop of the whole frame, one view, ONNX
  Runtime in batches of 8.
- network: ONNX Runtime on pictures that are decoded already, the same views: the network alone.

The times leave out the start of the process but not the loading of the model. Printed beside them
is how far probabilities are from those of the same pictures decoded at full size.
"""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from ophglm_core.inputs import find_images
from ophglm_core.model_folder import ModelFolder, open_model

_BATCH = 8


def ophglm(model: ModelFolder, pictures: list[Path]) -> None:
    """Classify as the command does, in this process, so that memory is of it alone."""
    from ophglm_cli.main import app

    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "pictures"
        listed.mkdir()
        for number, picture in enumerate(pictures):
            (listed / f"{number:05d}{picture.suffix}").symlink_to(picture.resolve())
        out = Path(folder) / "rows.csv"
        app(["classify", str(listed), "--out", str(out), "--quiet"], standalone_mode=False)
        with out.open(encoding="utf-8", newline="") as file:
            assert sum(1 for _ in csv.DictReader(file)) == len(pictures)


def timm_recipe(model: ModelFolder, pictures: list[Path]) -> None:
    """Open, transform, ask: one picture after the other."""
    import timm
    import torch
    from timm.data import create_transform, resolve_data_config

    from ophglm_core.networks.encoder import load_encoder

    network = load_encoder(model).eval()
    size = model.manifest.encoder.input_size
    plain = timm.create_model(model.manifest.encoder.architecture)
    config = resolve_data_config({"input_size": (3, size, size)}, model=plain)
    transform = create_transform(**{**config, "mean": (0, 0, 0), "std": (1, 1, 1)})
    with torch.inference_mode():
        for picture in pictures:
            with Image.open(picture) as image:
                torch.sigmoid(network(transform(image.convert("RGB")).unsqueeze(0)))


def loop(model: ModelFolder, pictures: list[Path]) -> None:
    """What an engineer writes in an afternoon."""
    import onnxruntime

    size = model.manifest.encoder.input_size
    session = onnxruntime.InferenceSession(str(model.encoder_onnx))

    def load(picture: Path) -> np.ndarray:
        with Image.open(picture) as image:
            image.draft("RGB", (size, size))
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            square = image.convert("RGB").crop((left, top, left + side, top + side))
            pixels = np.asarray(square.resize((size, size)), np.float32) / 255
        return pixels.transpose(2, 0, 1)

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(pictures), _BATCH):
            batch = np.stack(list(pool.map(load, pictures[start : start + _BATCH])))
            session.run(["logits"], {"pixels": batch})


def network(model: ModelFolder, pictures: list[Path]) -> None:
    """The network on pictures in memory, each as often as the model looks at it."""
    from ophglm_core.runtime.onnx import EncoderSession

    size = model.manifest.encoder.input_size
    session = EncoderSession(model.encoder_onnx)
    pixels = np.random.default_rng(0).random((_BATCH, 3, size, size), dtype=np.float32)
    for start in range(0, len(pictures), _BATCH):
        some = pixels[: len(pictures[start : start + _BATCH])]
        for _ in range(model.manifest.encoder.views):
            session.run(some)


WAYS: dict[str, Callable[[ModelFolder, list[Path]], None]] = {
    "ophglm": ophglm,
    "timm": timm_recipe,
    "loop": loop,
    "network": network,
}


def largest_differences(model: ModelFolder, pictures: list[Path]) -> list[float]:
    """Return how far each file's probabilities lie from those of the picture fully decoded."""
    from ophglm_core.classifier import Classifier
    from ophglm_core.images import open_photograph

    classifier = Classifier(model)
    largest = []
    for drafted, whole in zip(
        classifier.classify(pictures),
        classifier.classify(open_photograph(picture) for picture in pictures),
        strict=True,
    ):
        pairs = zip(drafted.probabilities.values(), whole.probabilities.values(), strict=True)
        largest.append(max(abs(a - b) for a, b in pairs))
    return largest


def main() -> None:
    """Run each way in a process of its own, or, named, the one."""
    folder, number = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200
    found = sorted(find_images(folder))
    pictures = [found[i % len(found)] for i in range(number)]
    model = open_model()
    if len(sys.argv) > 3:
        began = time.perf_counter()
        WAYS[sys.argv[3]](model, pictures)
        seconds = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"rate": number / seconds, "peak": peak}))
        return
    print(f"{number} pictures of {folder}\n{'':8} pictures/s  peak MB")
    for name in WAYS:
        command = [
            sys.executable,
            "-m",
            "tests.benchmarks.classify",
            str(folder),
            str(number),
            name,
        ]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        row = json.loads(told.splitlines()[-1])
        print(f"{name:8} {row['rate']:10.1f} {row['peak']:8.0f}", flush=True)
    some = pictures[: min(len(found), 40)]
    found_largest = largest_differences(model, some)
    print(
        f"difference to full-size decoding, largest of a picture: {np.median(found_largest):.4f} "
        f"(median), {max(found_largest):.4f} (largest)"
    )


if __name__ == "__main__":
    main()
