"""What follows the training of an encoder: gate, export, calibration, measurement, model card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .. import calibration
from ..classify import Classifier, EncoderPredictor, Prediction
from ..data.records import Record, label_matrix
from ..encoder.export import write_encoder
from ..encoder.network import ImageEncoder
from ..errors import InputError
from ..evaluation import evaluate
from ..images import load_crop
from ..labels import LABELS
from ..llm.source import identify_llm
from ..modelcard import write_manifest
from ..modelfolder import (
    ENCODER_ONNX,
    ENCODER_WEIGHTS,
    EncoderInfo,
    Manifest,
    ModelFolder,
    file_sha256,
    written_folder,
)
from .augment import to_pixels

if TYPE_CHECKING:
    from .encoder_run import EncoderOptions

#: Photographs that the gate is fitted to: more change nothing, and from fewer it cannot be fitted.
_GATE_PHOTOGRAPHS, _GATE_FEWEST = 3000, 1000
#: The gate turns away this share of the photographs that its limit is set on.
_GATE_SHARE, _GATE_EVERY = 0.01, 4


def finish(
    encoder: ImageEncoder,
    options: EncoderOptions,
    parts: dict[str, list[Record]],
    training: dict[str, Any],
) -> None:
    """Write the model folder `options.out`.

    Calibration, thresholds and the gate's limit come from the validation patients, the figures
    from the test patients (or from validation where the split has no test part), both through the
    exported ONNX file, as the user will run it.
    """
    chosen = parts["train"][:: max(1, len(parts["train"]) // _GATE_PHOTOGRAPHS)]
    gated = len(chosen) >= _GATE_FEWEST
    if gated:
        encoder.gate.fit(_features(encoder, [r.image for r in chosen], options.size))
    with written_folder(options.out) as folder:
        difference = write_encoder(encoder, options.size, folder)
        predictor = EncoderPredictor(folder / ENCODER_ONNX, options.size)
        logits, distance = _predict(predictor, parts["validation"])
        # Pictures that can only train often come from other cameras; the gate must know them too.
        partial = [r for r in parts["train"] if not r.complete][::_GATE_EVERY]
        _, other = _predict(predictor, partial)
        truth = label_matrix(parts["validation"])
        truth[np.isnan(logits).any(axis=1)] = np.nan  # unreadable: judges nothing
        manifest = Manifest(
            name=options.out.name,
            encoder=EncoderInfo(
                encoder.architecture,
                options.size,
                encoder.features,
                file_sha256(folder / ENCODER_WEIGHTS),
            ),
            calibration=calibration.fit(logits, truth, options.operating_point),
            operating_point=options.operating_point,
            farthest=_limit(np.concatenate([distance, other])) if gated else None,
            llm=identify_llm(),
            training=training,
        )
        judged = "test" if parts["test"] else "validation"
        classifier = Classifier(ModelFolder(folder, manifest))
        figures = evaluate(classifier, parts[judged]).figures
        manifest.metrics = {"part": judged, "onnx_difference": difference, **figures}
        write_manifest(folder, manifest)


def _limit(distance: np.ndarray) -> float:
    return round(float(np.nanquantile(distance, 1 - _GATE_SHARE)), 4)


@torch.no_grad()
def _features(encoder: ImageEncoder, paths: list[Path], size: int, batch: int = 32) -> Tensor:
    """Pooled, normed features [N, C] of the photographs that can be read."""
    encoder.eval()
    rows = []
    for start in range(0, len(paths), batch):
        crops = []
        for path in paths[start : start + batch]:
            try:
                crops.append(torch.from_numpy(load_crop(path, size).copy()))
            except InputError:
                continue
        if crops:
            pooled = encoder.feature_map(to_pixels(torch.stack(crops))).mean(dim=(2, 3))
            rows.append(encoder.norm(pooled))
    return torch.cat(rows)


def _predict(predictor: EncoderPredictor, records: list[Record]) -> tuple[np.ndarray, np.ndarray]:
    """Logits [N, L] and distances [N], NaN where a picture cannot be read."""
    logits = np.full((len(records), len(LABELS)), np.nan, dtype=np.float32)
    distance = np.full(len(records), np.nan, dtype=np.float32)
    for row, (_, result) in enumerate(predictor.stream(r.image for r in records)):
        if isinstance(result, Prediction):
            logits[row], distance[row] = result.logits, result.distance
    return logits, distance
