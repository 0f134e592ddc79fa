"""From photographs to findings: the image encoder, calibrated, over one picture or thousands."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from .assets import SAMPLE, sample_path
from .calibration import calibrated
from .errors import InputError
from .findings import Findings, laterality_from_name, positive_labels
from .images import Picture, find_images, load_crop
from .model_folder import ModelFolder
from .quality import Quality, measure
from .runtime.onnx import EncoderSession

_BATCH_SIZE = 8
#: Test-time augmentation: a retina seen in a mirror or turned shows the same diseases, so the
#: encoder is asked about each picture four times, by the axes (height, width) that are reversed,
#: and the answers are averaged.
_VIEWS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))


@dataclass(frozen=True)
class Prediction:
    """What the encoder says of one picture: logits [L], class activation maps [L, h, w], the last
    feature map [C, h, w], the out-of-distribution score, and the picture's quality.

    The features are those of the picture as it is, not of its mirrored views.
    """

    logits: np.ndarray
    cams: np.ndarray
    features: np.ndarray
    ood_score: float
    quality: Quality


class EncoderPredictor:
    """Runs an exported encoder over pictures: decoding in threads, the network in batches."""

    def __init__(self, onnx: Path, size: int):
        self.session = EncoderSession(onnx)
        self.size = size

    def stream(
        self, pictures: Iterable[Picture]
    ) -> Iterator[tuple[Picture, InputError | Prediction]]:
        """Yield each picture, in order, with its prediction or its error."""
        remaining = iter(pictures)
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            ahead: list[tuple[Picture, Future[np.ndarray]]] = []
            try:
                while True:
                    # Two batches ahead keep the network fed and fit into any memory.
                    for picture in islice(remaining, 2 * _BATCH_SIZE - len(ahead)):
                        ahead.append((picture, pool.submit(load_crop, picture, self.size)))
                    if not ahead:
                        return
                    batch, ahead = ahead[:_BATCH_SIZE], ahead[_BATCH_SIZE:]
                    yield from self._run(batch)
            finally:
                for _, future in ahead:
                    future.cancel()

    def _run(
        self, batch: list[tuple[Picture, Future[np.ndarray]]]
    ) -> Iterator[tuple[Picture, InputError | Prediction]]:
        crops: dict[int, np.ndarray] = {}
        errors: dict[int, InputError] = {}
        for index, (_, future) in enumerate(batch):
            try:
                crops[index] = future.result()
            except InputError as error:
                errors[index] = error
        results: dict[int, Prediction] = {}
        if crops:
            pixels = np.stack(list(crops.values())).transpose(0, 3, 1, 2).astype(np.float32) / 255
            logits, cams, features, score = self._views(pixels)
            for row, (index, crop) in enumerate(crops.items()):
                results[index] = Prediction(
                    logits[row], cams[row], features[row], float(score[row]), measure(crop)
                )
        for index, (picture, _) in enumerate(batch):
            yield picture, errors[index] if index in errors else results[index]

    def _views(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """RGB [B, 3, H, W] -> logits [B, L], class activation maps [B, L, h, w], features
        [B, C, h, w] and OOD scores [B]; all but the features over all views."""
        outputs = [self.session.run(np.ascontiguousarray(np.flip(pixels, v))) for v in _VIEWS]
        cams = [np.flip(o.cams, v) for o, v in zip(outputs, _VIEWS, strict=True)]
        return (
            np.mean([o.logits for o in outputs], axis=0),
            np.mean(cams, axis=0),
            outputs[0].features,
            np.mean([o.ood_score for o in outputs], axis=0),
        )


def collect(inputs: Iterable[Picture | str]) -> tuple[list[Picture], list[Findings]]:
    """Gather the photographs that are named: files and pictures in memory as they are, folders
    recursively, each file once.

    Returns them and, with status 'error', the paths that name nothing.
    """
    files: dict[Path, None] = {}
    pictures: list[Picture] = []
    unusable = []
    for item in inputs:
        if not isinstance(item, str | Path):
            pictures.append(item)
            continue
        path = Path(item)
        found: list[Path] = []
        if path.is_dir():
            found = list(find_images(path))
            if not found:
                unusable.append(_unusable(path, f"{path} holds no photographs."))
        elif path.exists():
            found = [path]
        elif str(path) == SAMPLE:
            found = [sample_path()]
        else:
            unusable.append(_unusable(path, f"No such file or folder: {path}."))
        pictures += [file for file in found if file not in files]
        files.update(dict.fromkeys(found))
    return pictures, unusable


def _unusable(path: Path, message: str) -> Findings:
    return Findings(image=str(path), status="error", model="", message=message)


class Classifier:
    """A model folder's encoder with its calibration and thresholds: photographs to findings.

    Example: `next(Classifier(open_model()).classify([Path("a.jpg")])).positive`.
    """

    def __init__(self, model: ModelFolder):
        self.model = model
        self._predictor = EncoderPredictor(model.encoder_onnx, model.manifest.encoder.input_size)
        head = model.manifest.conditions_head
        #: Per label, the probability from which it is positive.
        self.thresholds = {label: head.calibration_of(label).threshold for label in model.labels}

    def classify(
        self, pictures: Iterable[Picture], keep_outputs: bool = False
    ) -> Iterator[Findings]:
        """Yield findings in the order of the pictures; a broken one yields status 'error'.

        keep_outputs: whether the findings hold their class activation maps and features.
        """
        for number, (picture, result) in enumerate(self._predictor.stream(pictures), start=1):
            yield self._findings(picture, number, result, keep_outputs)

    def _findings(
        self, picture: Picture, number: int, result: InputError | Prediction, keep_outputs: bool
    ) -> Findings:
        path = picture if isinstance(picture, Path) else None
        findings = partial(
            Findings,
            image=str(path) if path else f"picture {number}",
            model=self.model.identity,
            laterality=laterality_from_name(path) if path else None,
            picture=picture if keep_outputs else None,
        )
        if isinstance(result, InputError):
            return findings(status="error", message=str(result))
        manifest, labels = self.model.manifest, self.model.labels
        reason = result.quality.reason()
        threshold = manifest.ood_threshold
        if reason is None and threshold is not None and result.ood_score > threshold:
            reason = "it does not look like a colour fundus photograph"
        if reason is not None:
            return findings(status="ungradable", message=f"Not graded: {reason}.")
        values = calibrated(result.logits[None], manifest.conditions_head)[0]
        probabilities = {label: float(v) for label, v in zip(labels, values, strict=True)}
        return findings(
            status="ok",
            probabilities=probabilities,
            positive=positive_labels(probabilities, self.thresholds),
            cams=result.cams if keep_outputs else None,
            features=result.features if keep_outputs else None,
        )
