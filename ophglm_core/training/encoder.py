"""Stage 1: the image encoder on multi-label classification of fundus photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional

from ..calibration import fit_calibration
from ..classifier import Classifier, EncoderPredictor, Prediction
from ..conditions import LabelSet
from ..data.records import Record, choose_labels, count_labels, label_matrix, read_records
from ..data.splits import Split
from ..errors import InputError, UsageError
from ..evaluation.classification import evaluate
from ..evaluation.metrics import auc_per_label, mean_defined
from ..export.onnx import write_encoder
from ..files import file_sha256
from ..manifest import EncoderInfo, Head, Manifest
from ..model_folder import (
    ENCODER_ONNX,
    ENCODER_WEIGHTS,
    MANIFEST,
    ModelFolder,
    identify_llm,
    open_model,
    save_manifest,
    write_model_folder,
)
from ..networks.encoder import ImageEncoder, load_encoder
from ..networks.pretrained import load_imagenet_weights
from .augmentation import DRAWS, augment, draws_of, resize, to_pixels
from .caches import CropStore
from .config import Callbacks, EncoderConfig
from .distillation import VIEWS, StoredAnswers, Student, Teacher, distillation_loss, turn
from .ood_gate import fit_gate, ood_threshold
from .trainer import TrainingResult, random_order

#: Crops are kept a little larger than the network's input, for rotation and scale to draw on.
CROP_MARGIN = 1.14
#: The share of the epochs that see the size of `EncoderConfig.first_size`.
_FIRST_SHARE = 0.75
_LABEL_SMOOTHING = 0.04
_LABEL_SHARE = 0.2
#: The OOD threshold is set on the validation photographs and on each so-many-th that only trains.
_OOD_EVERY = 4


@dataclass(frozen=True)
class FirstEpochs:
    """The first `epochs` see photographs of `size` pixels."""

    size: int
    epochs: int


class EncoderStage:
    """The data, the loss, the evaluation and the model folder of the image encoder.

    Raises InputError where the data cannot be used, UsageError where `config.out` holds a model.
    """

    module: nn.Module

    def __init__(self, config: EncoderConfig):
        if (config.out / MANIFEST).exists():
            raise UsageError(
                f"{config.out} already holds a model; name another --out or remove it."
            )
        self.config, self.out = config, config.out
        self.state_folder = config.out.with_name(config.out.name + ".training")
        self.split = Split(config.validation, config.test, config.seed)
        self.sets = {data: read_records(data) for data in config.data}
        records = [record for found in self.sets.values() for record in found]
        self.labels = choose_labels(records, config.labels)
        used = [r for r in records if any(label in r.labels for label in self.labels)]
        self.unlabelled = len(records) - len(used)
        self.records = used
        self.parts = self.split.parts(used, self.labels)
        if not self.parts["train"] or not self.parts["validation"]:
            raise InputError(
                f"{len(used)} photographs of {len({r.patient for r in used})} patients are too "
                "few to part into training and validation; add some or raise --validation."
            )

    def prepare(self, accelerator: Accelerator, callbacks: Callbacks) -> None:
        """Load the network and decode all photographs; see trainer.Stage."""
        config, self.device = self.config, accelerator.device
        self._remark_labels(callbacks)
        encoder, self.origin = self._first_weights()
        if config.gradient_checkpointing:
            encoder.backbone.set_grad_checkpointing()
        self.teacher: Teacher | None = None
        if config.teacher is not None:
            source = open_model(config.teacher)
            if source.labels != self.labels:
                raise UsageError(
                    f"{config.teacher} knows {', '.join(source.labels)}, and the data "
                    f"{', '.join(self.labels)}; a teacher must know the same (see --labels)."
                )
            size = source.manifest.encoder.input_size
            self.teacher = Teacher(load_encoder(source), size, self.device)
        module: nn.Module = Student(encoder, self.teacher.widths) if self.teacher else encoder
        self.module = module.to(self.device)
        self.module.to(memory_format=torch.channels_last)
        self.first: FirstEpochs | None = None
        if config.first_size is not None:
            self.first = FirstEpochs(config.first_size, int(config.epochs * _FIRST_SHARE))
        with accelerator.main_process_first():  # the others find the crops decoded
            self._decode(callbacks)
        if not self.samples:
            raise InputError("No training photograph could be read.")

    def _remark_labels(self, callbacks: Callbacks) -> None:
        declared = dict.fromkeys(label for r in self.records for label in r.declared)
        unused = [label for label in declared if label not in self.labels]
        callbacks.remark(f"Labels: {', '.join(self.labels)}.")
        if unused:
            callbacks.remark(f"Not trained (name them with --labels): {', '.join(unused)}.")
        if self.labels.own:
            callbacks.remark(
                f"Of {', '.join(self.labels.own)} nothing is known but the name: shown by it, "
                "without knowledge or codes."
            )
        if self.unlabelled:
            callbacks.remark(f"Excluded: {self.unlabelled} photographs with none of these labels.")

    def _decode(self, callbacks: Callbacks) -> None:
        train, validation = self.parts["train"], self.parts["validation"]
        size, teacher, folder = self.config.size, self.teacher, self.state_folder
        largest = max(size, teacher.size) if teacher else size
        self.crops = CropStore(folder, [r.image for r in train], round(largest * CROP_MARGIN))
        self.validation_crops = CropStore(folder, [r.image for r in validation], size)
        self.truth = label_matrix(train, self.labels)
        self.validation_truth = label_matrix(validation, self.labels)
        weights = torch.from_numpy(_positive_weights(self.truth))
        self.positive_weight = weights.to(self.device)
        self.answers: StoredAnswers | None = None
        if teacher is not None:
            self.answers = StoredAnswers(folder, teacher, len(train), size, VIEWS)
        total = len(train) + len(validation)
        self.crops.fill(lambda done, _: callbacks.decoding(done, total))
        self.validation_crops.fill(lambda done, _: callbacks.decoding(len(train) + done, total))
        self.usable = [i for i in range(len(train)) if i not in self.crops.broken]
        for index in self.validation_crops.broken:
            self.validation_truth[index] = np.nan
        for sentence in (*self.crops.broken.values(), *self.validation_crops.broken.values()):
            callbacks.remark(f"Excluded: {sentence}")

    def _first_weights(self) -> tuple[ImageEncoder, str]:
        """Return the network as training starts from it, and where its weights come from."""
        config = self.config
        if config.start is not None:
            source = open_model(config.start)
            encoder = load_encoder(source)
            if encoder.architecture != config.architecture:
                raise UsageError(
                    f"{config.start} holds a {encoder.architecture}; give --architecture "
                    f"{encoder.architecture} to go on from it."
                )
            if source.labels != self.labels:
                return self._with_new_head(encoder), config.start.name
            return encoder, config.start.name
        encoder = ImageEncoder(config.architecture, len(self.labels))
        origin = load_imagenet_weights(encoder) if config.pretrained else "random"
        if not config.pretrained:
            _open_layer_scale(encoder)
        _start_head(encoder, self.parts["train"], self.labels)
        return encoder, origin

    def _with_new_head(self, source: ImageEncoder) -> ImageEncoder:
        """Return the encoder with a head for these labels: it learned others."""
        encoder = ImageEncoder(source.architecture, len(self.labels))
        state = {k: v for k, v in source.state_dict().items() if not k.startswith("classifier.")}
        encoder.load_state_dict(state, strict=False)
        _start_head(encoder, self.parts["train"], self.labels)
        return encoder

    @property
    def samples(self) -> int:
        """Number of training photographs that could be read."""
        return len(self.usable)

    def fingerprint(self) -> dict[str, Any]:
        """See trainer.Stage."""
        return {
            "data": [str(data.resolve()) for data in self.config.data],
            "photographs": len(self.records),
            "labels": list(self.labels),
        }

    def order(self, seed: int, epoch: int, batch_size: int) -> list[int]:
        """Return a random order of the photographs."""
        return random_order(self.samples, seed, epoch)

    def loss(
        self, model: nn.Module, indices: list[int], epoch: int, generator: torch.Generator
    ) -> Tensor:
        """Binary cross-entropy over the known labels, positives weighted by the root of rarity.

        With a teacher, its answers are learned as well.
        """
        samples = [self.usable[i] for i in indices]
        truth = torch.from_numpy(self.truth[samples]).to(self.device)  # [B, L], NaN: unknown
        size = self.size_at(epoch)
        if self.teacher is None or self.answers is None:
            draws = torch.rand(len(samples), DRAWS, generator=generator)
            crops = self.crops.batch(samples).to(self.device)
            logits = model(_channels_last(augment(crops, size, draws)))
            return masked_loss(logits.float(), truth, self.positive_weight)
        view, largest = epoch % VIEWS, max(self.config.size, self.teacher.size)

        def augmented(some: Sequence[int], pixels: int) -> Tensor:
            draws = draws_of(sample * VIEWS + view for sample in some)
            return augment(self.crops.batch(some).to(self.device), pixels, draws)

        answer = self.answers.answer(samples, view, lambda some: augmented(some, largest))
        quarters, mirrored = torch.randint(0, 4, (2,), generator=generator).tolist()
        answer = answer.turned(quarters, mirrored > 1)
        pixels = turn(resize(augmented(samples, self.config.size), size), quarters, mirrored > 1)
        logits, maps = model(_channels_last(pixels))
        loss = distillation_loss(logits, maps, answer)
        return loss + _LABEL_SHARE * masked_loss(logits.float(), truth, self.positive_weight)

    def size_at(self, epoch: int) -> int:
        """Return the input size in pixels of an epoch, counted from 0."""
        return self.first.size if self.first and epoch < self.first.epochs else self.config.size

    def evaluate(self, module: nn.Module, epoch: int) -> dict[str, Any]:
        """Return the validation AUC per label and as 'score' the mean over the diseases.

        While the resolution is low the score only grows, so that neither the early stop nor the
        choice of the best epoch falls into that part.
        """
        encoder = module.encoder if isinstance(module, Student) else module
        size = self.size_at(epoch)
        logits = predict_logits(encoder, self.validation_crops, size, self.device)
        auc = auc_per_label(self.validation_truth, logits, self.labels)
        macro = mean_defined([auc[label] for label in self.labels.diseases])
        score = 0.0 if np.isnan(macro) else macro
        return {
            "score": score if size == self.config.size else epoch - 1e6,
            "auc": auc,
            "macro_auc": macro,
        }

    def write_model_folder(self, result: TrainingResult, callbacks: Callbacks) -> None:
        """Write the model folder.

        Calibration, thresholds and the OOD threshold come from the validation patients, the metrics
        from the test patients (or from validation where the split has no test part), both through
        the exported ONNX file, as the user will run it.
        """
        config, labels, parts = self.config, self.labels, self.parts
        # A fresh module: accelerate has wrapped the trained one's forward in mixed precision.
        encoder = ImageEncoder(config.architecture, len(labels))
        prefix = "encoder." if self.teacher else ""
        best = {k: v for k, v in result.best_state.items() if k.startswith(prefix)}
        encoder.load_state_dict({k.removeprefix(prefix): v for k, v in best.items()})
        gated = fit_gate(encoder, parts["train"], config.size)
        with write_model_folder(self.out) as folder:
            difference = write_encoder(encoder, config.size, folder)
            predictor = EncoderPredictor(folder / ENCODER_ONNX, config.size)
            logits, scores = _predict(predictor, parts["validation"], len(labels))
            # Pictures that only train often come from other cameras; the gate must know them too.
            partial = [r for r in parts["train"] if not r.is_complete(labels)][::_OOD_EVERY]
            _, other = _predict(predictor, partial, len(labels))
            truth = label_matrix(parts["validation"], labels)
            truth[np.isnan(logits).any(axis=1)] = np.nan  # unreadable: judges nothing
            calibration = fit_calibration(logits, truth, labels, config.operating_point)
            sha256 = file_sha256(folder / ENCODER_WEIGHTS)
            manifest = Manifest(
                name=self.out.name,
                encoder=EncoderInfo(config.architecture, config.size, encoder.features, sha256),
                heads=[
                    Head(
                        "conditions",
                        "multi_label",
                        list(labels),
                        calibration,
                        config.operating_point,
                    )
                ],
                own_labels=list(labels.own),
                ood_threshold=ood_threshold(np.concatenate([scores, other])) if gated else None,
                llm=identify_llm(),
                training=self._training(result),
            )
            judged = "test" if parts["test"] else "validation"
            classifier = Classifier(ModelFolder(folder, manifest))
            metrics = evaluate(classifier, parts[judged]).metrics
            manifest.metrics = {"part": judged, "onnx_difference": difference, **metrics}
            save_manifest(folder, manifest)

    def _training(self, result: TrainingResult) -> dict[str, Any]:
        config = self.config
        names = ("epochs", "batch_size", "learning_rate", "weight_decay", "ema_decay", "seed")
        return {
            "stage": "encoder",
            "data": [
                {
                    "name": data.name,
                    "photographs": len(records),
                    "patients": len({r.patient for r in records}),
                    "labels": count_labels(records, self.labels),
                }
                for data, records in self.sets.items()
            ],
            "command": config.command,
            "initialisation": self.origin,
            "teacher": config.teacher.name if config.teacher else None,
            "split": self.split.to_json(),
            "config": {
                **{name: getattr(config, name) for name in names},
                "precision": result.precision,
            },
            "best_epoch": result.best_epoch + 1,
            "seconds": round(result.seconds),
            "history": [
                {k: epoch[k] for k in ("epoch", "loss", "macro_auc", "auc")}
                for epoch in result.history
            ],
        }


def _channels_last(pixels: Tensor) -> Tensor:
    return pixels.contiguous(memory_format=torch.channels_last)


def masked_loss(logits: Tensor, truth: Tensor, positive_weight: Tensor) -> Tensor:
    """Label-smoothed binary cross-entropy of [B, L] over the labels that are known (not NaN)."""
    known = ~torch.isnan(truth)
    target = torch.where(known, truth, 0.0) * (1 - 2 * _LABEL_SMOOTHING) + _LABEL_SMOOTHING
    loss = functional.binary_cross_entropy_with_logits(
        logits, target, pos_weight=positive_weight, reduction="none"
    )
    return (loss * known).sum() / known.sum().clamp_min(1)


def _positive_weights(truth: np.ndarray) -> np.ndarray:
    positive, negative = np.nansum(truth == 1, axis=0), np.nansum(truth == 0, axis=0)
    weights: np.ndarray = np.sqrt((negative + 1) / (positive + 1)).clip(0.5, 8.0)
    return weights.astype(np.float32)


def _open_layer_scale(encoder: ImageEncoder) -> None:
    """Let ConvNeXt's blocks take part from the start.

    Their layer scale begins at 1e-6, made for hundreds of epochs; in a dozen it keeps them shut.
    """
    for name, parameter in encoder.backbone.named_parameters():
        if name.endswith(".gamma"):
            nn.init.ones_(parameter)


def _start_head(encoder: ImageEncoder, records: list[Record], labels: LabelSet) -> None:
    """Start each label's bias at its frequency, so that the first steps need not learn it."""
    with torch.no_grad():
        for index, label in enumerate(labels):
            known = [r.labels[label] for r in records if label in r.labels]
            share = (sum(known) + 1) / (len(known) + 2)
            encoder.classifier.bias[index] = float(np.log(share / (1 - share)))


@torch.no_grad()
def predict_logits(
    module: nn.Module, crops: CropStore, size: int, device: torch.device, batch_size: int = 32
) -> np.ndarray:
    """Logits float32 [N, L] of a store of crops, seen at `size` pixels."""
    module.eval()
    parts = []
    for start in range(0, len(crops.paths), batch_size):
        indices = range(start, min(start + batch_size, len(crops.paths)))
        pixels = _channels_last(resize(to_pixels(crops.batch(indices).to(device)), size))
        parts.append(module(pixels).float().cpu().numpy())
    return np.concatenate(parts)


def _predict(
    predictor: EncoderPredictor, records: list[Record], labels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Logits [N, L] and OOD scores [N], NaN where a picture cannot be read."""
    logits = np.full((len(records), labels), np.nan, dtype=np.float32)
    scores = np.full(len(records), np.nan, dtype=np.float32)
    for index, (_, result) in enumerate(predictor.stream(r.image for r in records)):
        if isinstance(result, Prediction):
            logits[index], scores[index] = result.logits, result.ood_score
    return logits, scores
