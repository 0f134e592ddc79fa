"""How many photographs are flagged, by which rule: `python -m tests.benchmarks.flags MODEL ODIR`.

MODEL: a folder whose network has not seen the validation and test patients of its split (`finer` in
models/train.sh). ODIR: a set that knows all conditions of each photograph. For each rule: of the
photographs with a disease, and of those without, the share that is flagged for any; and the mean
sensitivity of the diseases. Rules are fitted on the validation patients.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from ophglm_core.calibration import threshold_for_sensitivity, threshold_for_specificity
from ophglm_core.classifier import Classifier
from ophglm_core.conditions import NORMAL
from ophglm_core.data.records import label_matrix, read_records
from ophglm_core.data.splits import Split
from ophglm_core.model_folder import open_model

_SENSITIVITY = 0.85
_SPECIFICITIES = (0.7, 0.8, 0.85, 0.9)
_BELOW = (0.97, 0.95, 0.9, 0.85)


def main() -> None:
    """Print a row a rule."""
    model = open_model(Path(sys.argv[1]))
    labels = model.conditions
    normal = labels.index(NORMAL)
    diseases = [column for column in range(len(labels)) if column != normal]
    split = Split(**model.manifest.split)
    parts = split.parts(list(read_records(Path(sys.argv[2]))), labels)
    seen = {}
    for part in ("validation", "test"):
        found = list(Classifier(model).classify(r.image for r in parts[part]))
        kept = [i for i, f in enumerate(found) if f.status == "ok"]
        truth = label_matrix([parts[part][i] for i in kept], labels)
        seen[part] = truth, np.array([[found[i].probabilities[k] for k in labels] for i in kept])
    truth, probability = seen["validation"]

    def limits(specificity: float) -> np.ndarray:
        return np.array(
            [
                max(
                    threshold_for_sensitivity(p, t, _SENSITIVITY),
                    threshold_for_specificity(p, t, specificity),
                )
                for p, t in zip(probability.T, truth.T, strict=True)
            ]
        )

    rules = [(f"a specificity of {s}", limits(s), np.inf) for s in _SPECIFICITIES]
    for below in _BELOW:
        rule_out = threshold_for_specificity(probability[:, normal], truth[:, normal], below)
        rules.append((f"{below} below {rule_out:.3f}", limits(_SPECIFICITIES[0]), rule_out))
    print(
        "| | validation: with a disease, without | test | sensitivity |\n| --- | --- | --- | --- |"
    )
    for name, at, rule_out in rules:
        cells = []
        for truth, probability in seen.values():
            called = (probability >= at) & (probability[:, [normal]] < rule_out)
            any_disease, healthy = called[:, diseases].any(axis=1), truth[:, normal] == 1
            cells.append(f"{any_disease[~healthy].mean():.2f}, {any_disease[healthy].mean():.2f}")
        found = [called[truth[:, d] == 1, d].mean() for d in diseases if truth[:, d].any()]
        print(f"| {name} | {cells[0]} | {cells[1]} | {np.mean(found):.2f} |")


if __name__ == "__main__":
    main()
