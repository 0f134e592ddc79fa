"""What follows the training of an encoder: export, calibration, measurement, model card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import calibration
from ..classify import EncoderPredictor
from ..data.records import Record
from ..encoder.export import write_encoder
from ..encoder.network import ImageEncoder
from ..labels import DISEASES, LABELS
from ..llm.source import default_llm
from ..metrics import auc_per_label, mean_defined
from ..modelcard import write_card
from ..modelfolder import (
    ENCODER_ONNX,
    ENCODER_WEIGHTS,
    MANIFEST,
    EncoderInfo,
    Manifest,
    file_sha256,
    written_folder,
)
from .encoder import label_matrix

if TYPE_CHECKING:
    from .encoder_run import EncoderOptions


def finish(
    encoder: ImageEncoder,
    options: EncoderOptions,
    parts: dict[str, list[Record]],
    training: dict[str, Any],
) -> None:
    """Write the model folder `options.out`.

    Calibration and thresholds come from the validation patients, the figures from the test
    patients (or from validation where the split has no test part), both through the exported
    ONNX file, as the user will run it.
    """
    with written_folder(options.out) as folder:
        difference = write_encoder(encoder, options.size, folder)
        predictor = EncoderPredictor(folder / ENCODER_ONNX, options.size)
        logits = {
            part: predictor.logits([r.image for r in parts[part]])
            for part in ("validation", "test")
        }
        truth = {part: label_matrix(parts[part]) for part in ("validation", "test")}
        for part in truth:  # a picture that cannot be read judges nothing
            truth[part][np.isnan(logits[part]).any(axis=1)] = np.nan
        fitted = calibration.fit(logits["validation"], truth["validation"], options.operating_point)
        judged = "test" if parts["test"] else "validation"
        auc = auc_per_label(truth[judged], logits[judged], LABELS)
        manifest = Manifest(
            name=options.out.name,
            encoder=EncoderInfo(
                encoder.architecture,
                options.size,
                encoder.features,
                file_sha256(folder / ENCODER_WEIGHTS),
            ),
            calibration=fitted,
            operating_point=options.operating_point,
            llm=default_llm(),
            training=training,
            metrics={
                "part": judged,
                "photographs": len(parts[judged]),
                "patients": len({r.patient for r in parts[judged]}),
                "macro_auc": mean_defined([auc[label] for label in DISEASES]),
                "auc": auc,
                "onnx_difference": difference,
            },
        )
        (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        write_card(folder, manifest)
