"""How noise in a photograph moves what is found: `python -m tests.benchmarks.noise SET ...`.

Gaussian noise of 0.5, 1 and 2 grey levels is added to the disc crop in the network's size, which is
less than what cameras differ by. Printed are the mean change of each probability and the median,
over photographs, of the largest one. SET: a folder of photographs, of which some are drawn.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np

from ophglm_core.classifier import Classifier
from ophglm_core.images import load_crop
from ophglm_core.inputs import find_images
from ophglm_core.model_folder import open_model

_LEVELS = (0.5, 1.0, 2.0)


def main() -> None:
    """Print a row for each set and level."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--model", default=None)
    parser.add_argument("--count", type=int, default=60)
    options = parser.parse_args()
    model = open_model(options.model)
    classifier, size = Classifier(model), model.manifest.encoder.input_size

    def probabilities(crops: list[np.ndarray]) -> list[dict[str, float]]:
        return [found.probabilities for found in classifier.classify(crops)]

    rng = np.random.default_rng(0)
    labels = list(model.manifest.label_set())
    print(f"| set | grey levels | {' | '.join(labels)} | median of the largest |")
    print("| --- " * (len(labels) + 3) + "|")
    for folder in options.sets:
        found = sorted(find_images(folder))
        drawn = random.Random(0).sample(found, min(options.count, len(found)))
        crops = [load_crop(picture, size) for picture in drawn]
        before = probabilities(crops)
        for level in _LEVELS:
            noisy = [
                np.clip(np.rint(c + rng.normal(0, level, c.shape)), 0, 255).astype(np.uint8)
                for c in crops
            ]
            pairs = [(a, b) for a, b in zip(before, probabilities(noisy), strict=True) if a and b]
            moved = np.array([[b[label] - a[label] for label in labels] for a, b in pairs])
            means = " | ".join(f"{value:+.3f}" for value in moved.mean(axis=0))
            largest = np.median(np.abs(moved).max(axis=1))
            print(f"| {folder.name} | {level:g} | {means} | {largest:.3f} |", flush=True)


if __name__ == "__main__":
    main()
