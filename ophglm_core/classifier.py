"""From photographs to findings: the image encoder, calibrated, over one picture or thousands."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from .calibration import calibrated_outputs
from .conditions import MACULAR_OEDEMA, NORMAL
from .dicom import Tags
from .errors import InputError
from .eye_names import laterality_from_name
from .findings import Findings, LaterMaps, positive_labels
from .grading import REFERABLE, grade_probabilities, suggested_grade
from .images import DiscCrop, Picture, load_disc
from .manifest import EncoderInfo
from .model_folder import ModelFolder
from .quality import BLURRED, Quality, measure
from .runtime.onnx import EncoderSession
from .runtime.threads import usable_processors

#: How many pictures go through the network together. More are no faster on a processor, and hold
#: more memory in each thread.
BATCH_SIZE = 2
#: Test-time augmentation: a retina seen in a mirror shows the same diseases, so the encoder can be
#: asked about each picture once more, with this axis reversed, and the answers are averaged.
_VIEWS: tuple[tuple[int, ...], ...] = ((), (-1,))


@dataclass(frozen=True)
class Prediction:
    """What the encoder says of one picture: logits [outputs] of all heads, class activation maps
    [outputs, h, w], the last feature map [C, h, w], the out-of-distribution score, the picture's
    quality, and what its file says of it.

    The features are those of the picture as it is, not of its mirrored views. make_fine: makes maps
    of twice the resolution, where these were asked for later.
    """

    logits: np.ndarray
    cams: np.ndarray
    features: np.ndarray
    ood_score: float
    quality: Quality
    tags: Tags
    make_fine: Callable[[], np.ndarray] | None = None

    def reason(self, ood_threshold: float | None) -> str | None:
        """Return why the picture cannot be graded, or None if it can."""
        if (reason := self.quality.reason()) is not None:
            return reason
        if ood_threshold is not None and self.ood_score > ood_threshold:
            foreign = "it does not look like a colour fundus photograph"
            return "it is blurred" if self.quality.blurred else foreign
        return None


class EncoderPredictor:
    """Runs an exported encoder over pictures, a few batches beside each other, each decoded,
    measured and put through the network by one thread.

    info: its input size, and how many views of a picture are averaged. threads: for all of it; None
    takes as many as there are processors.
    """

    def __init__(self, onnx: Path, info: EncoderInfo, threads: int | None = None):
        self.session = EncoderSession(onnx, threads)
        self.size = info.input_size
        self.views = _VIEWS[: info.views]
        self._threads = threads or usable_processors()

    def stream(
        self, pictures: Iterable[Picture], fine: bool = False, later: bool = False
    ) -> Iterator[tuple[Picture, InputError | Prediction]]:
        """Yield each picture, in order, with its prediction or its error.

        fine: whether the maps have twice the network's resolution, for four more passes. later:
        whether predictions hold the picture, to make such maps when they are wanted.
        """
        remaining = iter(pictures)
        with ThreadPoolExecutor(max_workers=self._threads) as pool:
            ahead: deque[tuple[list[Picture], Future[list[InputError | Prediction]]]] = deque()
            try:
                while True:
                    # One that waits for each that runs keeps all threads busy.
                    while len(ahead) < 2 * self._threads and (
                        batch := list(islice(remaining, BATCH_SIZE))
                    ):
                        ahead.append((batch, pool.submit(self._run, batch, fine, later)))
                    if not ahead:
                        return
                    batch, future = ahead.popleft()
                    yield from zip(batch, future.result(), strict=True)
            finally:
                for _, future in ahead:
                    future.cancel()

    def _run(
        self, pictures: list[Picture], fine: bool, later: bool
    ) -> list[InputError | Prediction]:
        """Return each picture's prediction or its error."""
        opened = [self._open(picture) for picture in pictures]
        crops = [crop for crop in opened if isinstance(crop, DiscCrop)]
        predictions = iter(self._predict(crops, fine, later) if crops else ())
        return [next(predictions) if isinstance(o, DiscCrop) else o for o in opened]

    def _open(self, picture: Picture) -> InputError | DiscCrop:
        try:
            return load_disc(picture, self.size)
        except InputError as error:
            return error

    def _predict(self, crops: list[DiscCrop], fine: bool, later: bool) -> Iterator[Prediction]:
        pixels = np.empty((len(crops), 3, self.size, self.size), np.float32)
        for row, crop in enumerate(crops):
            # In one step: a picture of floats between takes ten times as long.
            np.divide(crop.pixels.transpose(2, 0, 1), np.float32(255), out=pixels[row])
        logits, cams, features, scores = self._views(pixels)
        patches = cams.shape[-1]
        if fine:
            cams = self._fine_maps(pixels, patches)
        for row, crop in enumerate(crops):
            make = partial(self._fine_maps, pixels[row : row + 1], patches) if later else None
            yield Prediction(
                logits[row],
                cams[row],
                features[row],
                float(scores[row]),
                measure(crop.pixels, crop.side),
                crop.tags,
                make,
            )

    def _views(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """RGB [B, 3, H, W] -> logits [B, outputs], class activation maps [B, outputs, h, w],
        features [B, C, h, w] and OOD scores [B]; all but the features over all views."""
        outputs = [self.session.run(np.ascontiguousarray(np.flip(pixels, v))) for v in self.views]
        cams = [np.flip(o.cams, v) for o, v in zip(outputs, self.views, strict=True)]
        return (
            np.mean([o.logits for o in outputs], axis=0),
            np.mean(cams, axis=0),
            outputs[0].features,
            np.mean([o.ood_score for o in outputs], axis=0),
        )

    def _fine_maps(self, pixels: np.ndarray, patches: int) -> np.ndarray:
        """RGB [B, 3, H, W] -> class activation maps [B, outputs, 2h, 2w].

        The picture is shifted by a quarter of a patch to each side and the maps are interlaced, so
        that each value stands for a patch around its own place (Long et al. 2015, arXiv 1411.4038,
        'shift-and-stitch').
        """
        quarter = self.size // patches // 4
        padded = np.pad(pixels, ((0, 0), (0, 0), (quarter, quarter), (quarter, quarter)))
        rows = []
        for y in (0, 2 * quarter):
            row = [
                self.session.run(
                    np.ascontiguousarray(padded[..., y : y + self.size, x : x + self.size])
                ).cams
                for x in (0, 2 * quarter)
            ]
            stacked = np.stack(row, axis=-1)  # [B, outputs, h, w, 2]
            rows.append(stacked.reshape(*stacked.shape[:3], -1))
        both = np.stack(rows, axis=3)  # [B, outputs, h, 2, 2w]
        return both.reshape(*both.shape[:2], -1, both.shape[-1])


class Classifier:
    """A model folder's encoder with its calibration and thresholds: photographs to findings.

    threads: see `EncoderPredictor`.

    Example: `next(Classifier(open_model()).classify([Path("a.jpg")])).positive`.
    """

    def __init__(self, model: ModelFolder, threads: int | None = None):
        self.model = model
        self._predictor = EncoderPredictor(model.encoder_onnx, model.manifest.encoder, threads)
        calibrations = model.manifest.calibrations()
        #: How many views of a picture are averaged.
        self.views = len(self._predictor.views)
        self.device = self._predictor.session.device
        #: Per label, the probability from which it is positive.
        self.thresholds = {label: calibrations[label].threshold for label in model.labels}
        #: See `findings.positive_labels`.
        self.rule_out = model.manifest.conditions_head.rule_out
        # Of each picture the same, and there are thousands.
        self._columns = model.manifest.columns("multi_label")
        self._grade_columns = model.manifest.columns("ordinal")
        grades = model.manifest.grade_head
        #: The probability of moderate retinopathy or worse from which it is referable.
        self.referable = grades.calibration_of(str(REFERABLE)).threshold if grades else None

    def classify(
        self,
        pictures: Iterable[Picture],
        keep_outputs: bool = False,
        fine: bool = False,
        later: bool = False,
    ) -> Iterator[Findings]:
        """Yield findings in the order of the pictures; a broken one yields status 'error'.

        keep_outputs: whether the findings hold their class activation maps and features. fine:
        whether these maps have twice the network's resolution, for four more passes; later: whether
        these passes wait until a map is looked at, with the picture held in memory.
        """
        predictions = self._predictor.stream(pictures, fine and not later, fine and later)
        for number, (picture, result) in enumerate(predictions, start=1):
            yield self._findings(picture, number, result, keep_outputs)

    def _maps(self, result: Prediction) -> np.ndarray | LaterMaps:
        """Return the maps of the labels alone."""
        make, columns = result.make_fine, self._columns
        if make is not None:
            return LaterMaps(lambda: make()[0][columns])
        maps: np.ndarray = result.cams[columns]
        return maps

    def _findings(
        self, picture: Picture, number: int, result: InputError | Prediction, keep_outputs: bool
    ) -> Findings:
        path = picture if isinstance(picture, Path) else None
        tags = Tags() if isinstance(result, InputError) else result.tags
        eye, remark = _laterality(path, tags)
        findings = partial(
            Findings,
            image=str(path) if path else f"picture {number}",
            model=self.model.identity,
            laterality=eye,
            eye_given=eye is not None and eye == tags.laterality,
            patient=tags.patient,
            acquired=tags.acquired,
            origin=tags.origin,
            message=remark,
            picture=picture if keep_outputs else None,
        )
        if isinstance(result, InputError):
            return findings(status="error", message=str(result))
        manifest = self.model.manifest
        values = calibrated_outputs(result.logits[None], manifest.heads)[0]
        pairs = zip(self.thresholds, values[self._columns], strict=True)
        probabilities = {label: float(value) for label, value in pairs}
        positive = positive_labels(probabilities, self.thresholds, self.rule_out)
        reason = result.reason(manifest.ood_threshold)
        if reason is None and result.quality.blurred:
            if "cataract" in positive:
                remark = " ".join([BLURRED, *filter(None, [remark])])
                findings = partial(findings, message=remark)
            else:
                reason = "it is blurred"
        if reason is not None:
            sentences = [f"Not graded: {reason}.", *([remark] if remark else [])]
            return findings(status="ungradable", message=" ".join(sentences))
        findings = partial(
            findings,
            status="ok",
            probabilities=probabilities,
            cams=self._maps(result) if keep_outputs else None,
            features=result.features if keep_outputs else None,
        )
        if self.referable is not None:
            grades = grade_probabilities(values[self._grade_columns])
            referable = bool(grades[REFERABLE:].sum() >= self.referable)
            if referable and "dr" in probabilities and "dr" not in positive:
                positive = ["dr", *(label for label in positive if label != NORMAL)]
            findings = partial(
                findings,
                grade=int(suggested_grade(grades)),
                grade_probabilities=tuple(float(p) for p in grades),
                referable=referable or MACULAR_OEDEMA in positive,
            )
        reached = positive_labels(probabilities, self.thresholds)
        outweighed = [label for label in reached if label not in (*positive, NORMAL)]
        return findings(positive=positive, outweighed=outweighed)


def _laterality(path: Path | None, tags: Tags) -> tuple[str | None, str | None]:
    """Return 'left', 'right' or None, and what is to be remarked on the file: its tags go before
    its name."""
    named = laterality_from_name(path) if path else None
    if tags.laterality is None:
        return named, tags.remark
    remarks = [tags.remark] if tags.remark else []
    if tags.laterality == "both":
        remarks.append("Its tags name both eyes.")
        return None, " ".join(remarks)
    if named not in (None, tags.laterality):
        remarks.append(f"Its name says {named} eye, its tags say {tags.laterality}.")
    return tags.laterality, " ".join(remarks) or None
