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

from .calibration import calibrated
from .encoder.onnx_runtime import EncoderSession
from .errors import InputError
from .findings import Findings, eye_from_name, positive_labels
from .images import SAMPLE, find_images, load_crop, sample_path
from .labels import LABELS
from .modelfolder import Calibration, ModelFolder
from .quality import Quality, measure

_BATCH = 8


#: A retina seen in a mirror or turned shows the same diseases, so the encoder is asked about each
#: picture four times, by the axes (height, width) that are reversed, and the answers are averaged.
_VIEWS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))


@dataclass(frozen=True)
class Prediction:
    """What the encoder says of one picture: logits [L], class activation maps [L, h, w], the last
    feature map [C, h, w], the distance from the training's photographs, and the picture's quality.

    The features are those of the picture as it is, not of its mirrored views.
    """

    logits: np.ndarray
    maps: np.ndarray
    features: np.ndarray
    distance: float
    quality: Quality


class EncoderPredictor:
    """Runs an exported encoder over files: decoding in threads, the network in batches."""

    def __init__(self, onnx: Path, size: int):
        self.session = EncoderSession(onnx)
        self.size = size

    def stream(self, paths: Iterable[Path]) -> Iterator[tuple[Path, InputError | Prediction]]:
        """Yield each path, in order, with its prediction or its error."""
        remaining = iter(paths)
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            ahead: list[tuple[Path, Future[np.ndarray]]] = []
            try:
                while True:
                    # Two batches ahead keep the network fed and fit into any memory.
                    for path in islice(remaining, 2 * _BATCH - len(ahead)):
                        ahead.append((path, pool.submit(load_crop, path, self.size)))
                    if not ahead:
                        return
                    batch, ahead = ahead[:_BATCH], ahead[_BATCH:]
                    yield from self._run(batch)
            finally:
                for _, future in ahead:
                    future.cancel()

    def _run(
        self, batch: list[tuple[Path, Future[np.ndarray]]]
    ) -> Iterator[tuple[Path, InputError | Prediction]]:
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
            logits, maps, features, distance = self._views(pixels)
            for row, (index, crop) in enumerate(crops.items()):
                results[index] = Prediction(
                    logits[row], maps[row], features[row], float(distance[row]), measure(crop)
                )
        for index, (path, _) in enumerate(batch):
            yield path, errors[index] if index in errors else results[index]

    def _views(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """RGB [B, 3, H, W] -> logits [B, L], maps [B, L, h, w], features [B, C, h, w] and
        distances [B]; all but the features over all views."""
        outputs = [self.session.run(np.ascontiguousarray(np.flip(pixels, v))) for v in _VIEWS]
        maps = [np.flip(o.maps, v) for o, v in zip(outputs, _VIEWS, strict=True)]
        return (
            np.mean([o.logits for o in outputs], axis=0),
            np.mean(maps, axis=0),
            outputs[0].features,
            np.mean([o.distance for o in outputs], axis=0),
        )


def collect(paths: Iterable[Path]) -> tuple[list[Path], list[Findings]]:
    """Gather the photographs that paths name: files as they are, folders recursively, each once.

    Returns them and, with status 'error', the paths that name nothing.
    """
    images: dict[Path, None] = {}
    unusable = []
    for path in paths:
        if path.is_dir():
            found = list(find_images(path))
            images.update(dict.fromkeys(found))
            if not found:
                unusable.append(_unusable(path, f"{path} holds no photographs."))
        elif path.exists():
            images[path] = None
        elif str(path) == SAMPLE:
            images[sample_path()] = None
        else:
            unusable.append(_unusable(path, f"No such file or folder: {path}."))
    return list(images), unusable


def _unusable(path: Path, message: str) -> Findings:
    return Findings(image=str(path), status="error", model="", message=message)


class Classifier:
    """A model folder's encoder with its calibration and thresholds: photographs to findings."""

    def __init__(self, model: ModelFolder):
        self.model = model
        self._predictor = EncoderPredictor(model.encoder_onnx, model.manifest.encoder.input_size)
        calibration = model.manifest.calibration
        #: Per label, the probability from which it is positive.
        self.thresholds = {
            label: calibration.get(label, Calibration()).threshold for label in LABELS
        }

    def classify(self, paths: Iterable[Path], keep_outputs: bool = False) -> Iterator[Findings]:
        """Yield findings in the order of the paths; a broken picture yields status 'error'.

        keep_outputs: whether the findings hold their class activation maps and features.
        """
        for path, result in self._predictor.stream(paths):
            yield self._findings(path, result, keep_outputs)

    def _findings(
        self, path: Path, result: InputError | Prediction, keep_outputs: bool
    ) -> Findings:
        findings = partial(
            Findings, image=str(path), model=self.model.identity, eye=eye_from_name(path)
        )
        if isinstance(result, InputError):
            return findings(status="error", message=str(result))
        reason = result.quality.reason()
        farthest = self.model.manifest.farthest
        if reason is None and farthest is not None and result.distance > farthest:
            reason = "it does not look like a colour fundus photograph"
        if reason is not None:
            return findings(status="ungradable", message=f"Not graded: {reason}.")
        values = calibrated(result.logits[None], self.model.manifest.calibration)[0]
        probabilities = {label: float(v) for label, v in zip(LABELS, values, strict=True)}
        positive = positive_labels(probabilities, self.thresholds)
        return findings(
            status="ok",
            probabilities=probabilities,
            positive=positive,
            maps=result.maps if keep_outputs else None,
            features=result.features if keep_outputs else None,
        )
