"""Calibrate a model for a clinic: its cameras, its prevalence, and nothing of the weights."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .calibration import choose_rule_out, refit, sigmoid
from .classifier import EncoderPredictor
from .conditions import NORMAL
from .data.duplicates import read_sets
from .data.records import Record
from .data.report import ReadReport
from .data.targets import target_matrix
from .errors import InputError, UsageError
from .evaluation.metrics import (
    FEWEST_POSITIVES,
    bootstrap,
    confidence_interval,
    expected_calibration_error,
)
from .manifest import Calibration, Head, Manifest
from .model_folder import ModelFolder, open_model, save_manifest, write_model_folder

#: With fewer photographs a calibration would be of chance.
LEAST_PHOTOGRAPHS = 100
_FOLDS = 5
#: What is measured before and after, on patients that the calibration has not seen.
FIGURES = ("ece", "brier", "sensitivity", "specificity")


@dataclass(frozen=True)
class _Seen:
    """Photographs that could be graded: their records, logits and truth [N, outputs], the latter 0,
    1 or NaN where unknown; excluded: how many could not, by status."""

    records: list[Record]
    logits: np.ndarray
    truth: np.ndarray
    excluded: dict[str, int]


def calibrate(
    model: ModelFolder,
    data: Sequence[Path],
    out: Path,
    rounds: int = 200,
    progress: Callable[[int, int], None] = lambda *_: None,
    remark: Callable[[str], None] = lambda _: None,
) -> ModelFolder:
    """Set a model's temperature, offset and threshold of each condition on a clinic's own labelled
    photographs, and write it as a new model folder.

    data: sets as `read_records` reads them. out: the new folder; weights are the same, manifest and
    card say what was done. rounds: bootstrap resamples of patients. progress: called with the
    number of photographs done and of all. remark: called with a sentence on what to know.

    A condition with fewer than ten photographs that show it, or that do not, keeps its values.
    What it brings (`manifest.local_calibration`) is measured on held-out folds of patients, each
    condition's own, with 95 % confidence intervals. Sources: see `calibration.refit`.

    Raises UsageError if `out` is there already; InputError if the data cannot be read, have fewer
    than LEAST_PHOTOGRAPHS that can be graded, or no condition that can be calibrated.

    Example: `calibrate(open_model(), [Path("our_clinic")], Path("our_model"))`.
    """
    if out.exists():
        raise UsageError(f"{out} is there already; name another folder.")
    seen = _look(model, data, progress, remark)
    manifest = deepcopy(model.manifest)
    patients = np.array([r.patient for r in seen.records])
    outputs: dict[str, Any] = {}
    kept = []
    for column, (head, label) in enumerate(_outputs(manifest)):
        name = label if head.kind == "multi_label" else f"grade {label} or more"
        known = ~np.isnan(seen.truth[:, column])
        actual = seen.truth[known, column].astype(int)
        if not _enough(actual, patients[known]):
            kept.append(name)
            continue
        logits, old = seen.logits[known, column], head.calibration_of(label)
        new = refit(old, logits, actual, head.operating_point)
        head.calibration[label] = new
        if label == NORMAL:
            probability = sigmoid(logits * new.scale + new.offset)
            head.rule_out = choose_rule_out(probability, actual, new.threshold)
        outputs[name] = {
            "positives": int(actual.sum()),
            "negatives": int((1 - actual).sum()),
            "old": asdict(old),
            "new": asdict(new),
            **_held_out(old, logits, actual, patients[known], head.operating_point, rounds),
        }
    if not outputs:
        raise InputError(
            f"No condition has {FEWEST_POSITIVES} photographs that show it and as many that do not."
        )
    if kept:
        remark(
            f"Fewer than {FEWEST_POSITIVES} photographs that show it or that do not, so as it was: "
            f"{', '.join(kept)}."
        )
    worse = [k for k, row in outputs.items() if row["after"]["brier"] > row["before"]["brier"]]
    if worse:
        remark(f"On held-out patients no better than before: {', '.join(worse)}.")
    heads = json.dumps([asdict(head) for head in manifest.heads])
    manifest.name = out.resolve().name
    manifest.local_calibration = {
        "base": model.identity,
        "data": [place.resolve().name for place in data],
        "photographs": len(seen.records),
        "patients": len(set(patients)),
        "excluded": seen.excluded,
        "folds": _FOLDS,
        "outputs": outputs,
        "kept": kept,
        "sha256": hashlib.sha256(heads.encode()).hexdigest(),
    }
    with write_model_folder(out, model) as folder:
        save_manifest(folder, manifest)
    return open_model(out)


def _outputs(manifest: Manifest) -> list[tuple[Head, str]]:
    return [(head, label) for head in manifest.heads for label in head.labels]


def _look(
    model: ModelFolder,
    data: Sequence[Path],
    progress: Callable[[int, int], None],
    remark: Callable[[str], None],
) -> _Seen:
    """Read the sets and run the encoder over them. Raises InputError as `calibrate` does."""
    report = ReadReport()
    records = [r for found in read_sets(data, report).values() for r in found]
    for sentence in report.sentences():
        remark(sentence)
    manifest = model.manifest
    truth = target_matrix(records, manifest.heads)
    useful = ~np.isnan(truth).all(axis=1)
    if not useful.any():
        raise InputError(
            f"{', '.join(map(str, data))} labels nothing that the model gives "
            f"({', '.join(model.labels)})."
        )
    records, truth = [r for r, u in zip(records, useful, strict=True) if u], truth[useful]
    _require(len(records))
    predictor = EncoderPredictor(model.encoder_onnx, manifest.encoder)
    logits: list[np.ndarray] = []
    rows: list[int] = []
    excluded = {"ungradable": 0, "error": 0}
    for row, (_, result) in enumerate(predictor.stream(r.image for r in records)):
        progress(row + 1, len(records))
        if isinstance(result, InputError):
            excluded["error"] += 1
        elif result.reason(manifest.ood_threshold) is not None:
            excluded["ungradable"] += 1
        else:
            rows.append(row)
            logits.append(result.logits)
    _require(len(rows))
    return _Seen([records[row] for row in rows], np.array(logits), truth[rows], excluded)


def _require(photographs: int) -> None:
    if photographs < LEAST_PHOTOGRAPHS:
        raise InputError(
            f"The data have {photographs} labelled photographs that can be graded; a calibration "
            f"needs {LEAST_PHOTOGRAPHS} or more."
        )


def _enough(actual: np.ndarray, patients: np.ndarray) -> bool:
    """Whether there are enough of both, and of two patients or more, so that one can be held
    out."""
    sides = [actual == 1, actual == 0]
    return all(side.sum() >= FEWEST_POSITIVES and len(set(patients[side])) > 1 for side in sides)


def _held_out(
    old: Calibration,
    logits: np.ndarray,
    actual: np.ndarray,
    patients: np.ndarray,
    operating_point: float,
    rounds: int,
) -> dict[str, Any]:
    """Return FIGURES before and after, each photograph judged by a calibration that was fitted
    without its patient, and their confidence intervals.

    logits, actual, patients: [N].
    """
    from sklearn.model_selection import StratifiedGroupKFold

    before = sigmoid(logits * old.scale + old.offset)
    after, limits = before.copy(), np.full(len(logits), old.threshold)
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    with warnings.catch_warnings():  # of fewer patients that show it than folds
        warnings.simplefilter("ignore")
        parts = list(folds.split(logits, actual, patients))
    for train, test in parts:
        if len(set(actual[train])) < 2:
            continue
        new = refit(old, logits[train], actual[train], operating_point)
        after[test], limits[test] = sigmoid(logits[test] * new.scale + new.offset), new.threshold

    def figures(rows: np.ndarray) -> dict[str, dict[str, float | None]]:
        return {
            "before": _figures(actual[rows], before[rows], np.full(len(rows), old.threshold)),
            "after": _figures(actual[rows], after[rows], limits[rows]),
        }

    resampled = bootstrap(list(patients), figures, rounds)
    return {
        **figures(np.arange(len(actual))),
        "confidence_intervals": {
            when: {
                name: confidence_interval([r[when][name] for r in resampled]) for name in FIGURES
            }
            for when in ("before", "after")
        },
    }


def _figures(
    actual: np.ndarray, probability: np.ndarray, thresholds: np.ndarray
) -> dict[str, float | None]:
    """FIGURES of one output; actual, probability, thresholds: [N]."""
    called = probability >= thresholds
    positive, negative = actual == 1, actual == 0
    return {
        "ece": expected_calibration_error(actual, probability),
        "brier": float(((probability - actual) ** 2).mean()),
        "sensitivity": float(called[positive].mean()) if positive.any() else None,
        "specificity": float(1 - called[negative].mean()) if negative.any() else None,
    }
