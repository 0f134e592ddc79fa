"""Stage 1: the image encoder on multi-label classification of fundus photographs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional

from ..calibration import fit_heads, sigmoid
from ..classifier import Classifier, EncoderPredictor, Prediction
from ..conditions import CONDITIONS
from ..data.duplicates import read_sets
from ..data.records import Record, count_labels
from ..data.report import ReadReport
from ..data.splits import Split
from ..data.targets import choose_heads, target_matrix
from ..errors import InputError, UsageError
from ..evaluation.classification import evaluate
from ..evaluation.metrics import auc_per_label, mean_defined, quadratic_kappa
from ..export.onnx import write_encoder
from ..files import file_sha256
from ..grading import grade_probabilities, suggested_grade
from ..manifest import EncoderInfo, Manifest
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
from ..networks.encoder import Heads, ImageEncoder, join_encoders, load_encoder
from ..networks.pretrained import load_imagenet_weights, load_weights_file
from .augmentation import DRAWS, augment, draws_of, resize, to_pixels
from .caches import CropStore, PooledFeatures
from .config import Callbacks, EncoderConfig
from .distillation import VIEWS, StoredAnswers, Student, Teacher, distillation_loss, turn
from .ood_gate import fit_gate, ood_threshold
from .trainer import TrainingResult, random_order

DEFAULT_ARCHITECTURE = "convnext_atto"
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

    name = "encoder"
    module: nn.Module

    def __init__(self, config: EncoderConfig):
        if (config.out / MANIFEST).exists():
            raise UsageError(
                f"{config.out} already holds a model; name another --out or remove it."
            )
        starts = [config.pretrained, config.weights is not None, config.start is not None]
        if sum(starts) > 1:
            raise UsageError("--pretrained, --weights and --from are three starts; choose one.")
        self.start = open_model(config.start) if config.start is not None else None
        self.architecture = config.architecture or (
            self.start.manifest.encoder.architecture if self.start else DEFAULT_ARCHITECTURE
        )
        if config.heads_only:
            if self.start is None or config.teacher is not None or config.first_size is not None:
                raise UsageError(
                    "--heads-only goes with --from, without --teacher and --first-size."
                )
            config = replace(config, size=self.start.manifest.encoder.input_size)
        elif config.beside is not None or not config.epochs:
            option = "--epochs 0" if config.beside is None else "--beside"
            raise UsageError(f"{option} goes with --heads-only.")
        self.beside = open_model(config.beside) if config.beside is not None else None
        self.config, self.out = config, config.out
        self.state_folder = config.out.with_name(config.out.name + ".training")
        self.measured = open_model(config.measured) if config.measured is not None else None
        self.split = (
            Split(config.validation, config.test, config.seed)
            if self.measured is None
            else Split(0.0, 0.0, config.seed)
        )
        self.report = ReadReport()
        self.sets = read_sets(config.data, self.report)
        records = [record for found in self.sets.values() for record in found]
        heads = choose_heads(records, config.labels)
        for head in heads:
            head.operating_point = config.operating_point
        self.manifest = Manifest(
            name=config.out.name,
            encoder=EncoderInfo(self.architecture, config.size, 0, views=config.views),
            heads=heads,
            own_labels=[label for label in heads[0].labels if label not in CONDITIONS],
        )
        self.labels = self.manifest.label_set()
        used = [r for r in records if any(label in r.labels for label in self.labels)]
        self.unlabelled = len(records) - len(used)
        self.records = used
        self.parts = self.split.parts(used, self.manifest.conditions())
        if self.measured is not None:
            if self.measured.manifest.outputs != self.manifest.outputs:
                raise UsageError(
                    f"{config.measured} gives something else than these data teach; give the same."
                )
        elif not self.parts["train"] or not self.parts["validation"]:
            raise InputError(
                f"{len(used)} photographs of {len({r.patient for r in used})} patients are too "
                "few to part into training and validation; add some or raise --validation."
            )

    def prepare(self, accelerator: Accelerator, callbacks: Callbacks) -> None:
        """Load the network and decode all photographs; see trainer.Stage."""
        config, self.device = self.config, accelerator.device
        self._remark_labels(callbacks)
        self._set_targets()
        encoder, self.origin = self._first_weights()
        encoder.freeze(config.freeze)
        if config.gradient_checkpointing:
            for backbone in encoder.backbones:
                backbone.set_grad_checkpointing()
        self.teacher: Teacher | None = None
        if config.teacher is not None:
            source = open_model(config.teacher)
            known = source.manifest.outputs
            if not set(self.manifest.outputs) <= set(known):
                raise UsageError(
                    f"{config.teacher} knows {', '.join(source.labels)}, and the data "
                    f"{', '.join(self.labels)}; a teacher must know them all (see --label)."
                )
            size = source.manifest.encoder.input_size
            outputs = [known.index(output) for output in self.manifest.outputs]
            self.teacher = Teacher(load_encoder(source), size, self.device, outputs)
        module: nn.Module = encoder
        if self.teacher is not None:
            module = Student(encoder, self.teacher.widths)
        elif config.heads_only:
            module = Heads(encoder)
        self.encoder = encoder
        self.manifest.encoder.backbones = len(encoder.backbones)
        self.manifest.encoder.features = encoder.features
        self.module = module.to(self.device)
        self.module.to(memory_format=torch.channels_last)
        self.first: FirstEpochs | None = None
        if config.first_size is not None:
            self.first = FirstEpochs(config.first_size, int(config.epochs * _FIRST_SHARE))
        self.pooled: dict[str, np.ndarray] = {}
        with accelerator.main_process_first():  # the others find all of it computed
            if not config.epochs:
                self._exclude((), (), (), callbacks)
            elif config.heads_only:
                self._pool(callbacks)
            else:
                self._decode(callbacks)
        if not self.samples:
            raise InputError("No training photograph could be read.")

    def _remark_labels(self, callbacks: Callbacks) -> None:
        declared = dict.fromkeys(label for r in self.records for label in r.declared)
        unused = [label for label in declared if label not in self.labels]
        for sentence in self.report.sentences():
            callbacks.remark(sentence)
        callbacks.remark(f"Labels: {', '.join(self.labels)}.")
        if unused:
            callbacks.remark(f"Not trained (name them with --label): {', '.join(unused)}.")
        if self.labels.own:
            callbacks.remark(
                f"Of {', '.join(self.labels.own)} nothing is known but the name: shown by it, "
                "without knowledge or codes."
            )
        if self.unlabelled:
            callbacks.remark(f"Excluded: {self.unlabelled} photographs with none of these labels.")

    def _set_targets(self) -> None:
        self.truth = target_matrix(self.parts["train"], self.manifest.heads)
        self.validation_truth = target_matrix(self.parts["validation"], self.manifest.heads)
        weights = torch.from_numpy(_positive_weights(self.truth))
        self.positive_weight = weights.to(self.device)

    def _pool(self, callbacks: Callbacks) -> None:
        """Compute the pooled features of all photographs, as they are, by the first encoder."""
        sources = [model.manifest.encoder.sha256 for model in (self.start, self.beside) if model]
        paths = {part: [str(r.image) for r in self.parts[part]] for part in ("train", "validation")}
        everything = [path for found in paths.values() for path in found]
        features = PooledFeatures(
            self.state_folder,
            self.encoder.to(self.device),
            "\n".join(sources),
            everything,
            self.config.size,
        )
        broken = features.fill(callbacks.decoding)
        self.pooled = {part: features.rows(found) for part, found in paths.items() if found}
        self._exclude(
            {i for i, path in enumerate(paths["train"]) if path in broken},
            [i for i, path in enumerate(paths["validation"]) if path in broken],
            broken.values(),
            callbacks,
        )

    def _exclude(
        self,
        train: Container[int],
        validation: Iterable[int],
        sentences: Iterable[str],
        callbacks: Callbacks,
    ) -> None:
        """Leave out the photographs of these numbers, which cannot be read, and say so."""
        self.usable = [i for i in range(len(self.parts["train"])) if i not in train]
        for index in validation:
            self.validation_truth[index] = np.nan
        for sentence in sentences:
            callbacks.remark(f"Excluded: {sentence}")

    def _decode(self, callbacks: Callbacks) -> None:
        train, validation = self.parts["train"], self.parts["validation"]
        size, teacher, folder = self.config.size, self.teacher, self.state_folder
        largest = max(size, teacher.size) if teacher else size
        self.crops = CropStore(folder, [r.image for r in train], round(largest * CROP_MARGIN))
        self.validation_crops = CropStore(folder, [r.image for r in validation], size)
        self.answers: StoredAnswers | None = None
        if teacher is not None:
            self.answers = StoredAnswers(folder, teacher, len(train), size, VIEWS)
        total = len(train) + len(validation)
        self.crops.fill(lambda done, _: callbacks.decoding(done, total))
        self.validation_crops.fill(lambda done, _: callbacks.decoding(len(train) + done, total))
        broken, others = self.crops.broken, self.validation_crops.broken
        self._exclude(broken, others, (*broken.values(), *others.values()), callbacks)

    def _first_weights(self) -> tuple[ImageEncoder, str]:
        """Return the network as training starts from it, and where its weights come from."""
        config = self.config
        if self.start is not None:
            encoder = load_encoder(self.start)
            if encoder.architecture != self.architecture:
                raise UsageError(
                    f"{config.start} holds a {encoder.architecture}; give --architecture "
                    f"{encoder.architecture} to go on from it."
                )
            names = [self.start.path.name]
            if self.beside is not None:
                if self.beside.manifest.outputs != self.start.manifest.outputs:
                    raise UsageError(f"{config.beside} knows other labels than {config.start}.")
                encoder = join_encoders(encoder, load_encoder(self.beside))
                names.append(self.beside.path.name)
            return self._with_these_heads(encoder, self.start.manifest), " beside ".join(names)
        encoder = self._new_encoder()
        if config.pretrained:
            origin = load_imagenet_weights(encoder)
        elif config.weights is not None:
            origin = load_weights_file(encoder, config.weights)
        else:
            origin = "random"
            _open_layer_scale(encoder)
        _start_heads(encoder, self.truth)
        return encoder, origin

    def _new_encoder(self, backbones: int = 1) -> ImageEncoder:
        outputs = len(self.manifest.outputs)
        return ImageEncoder(self.architecture, outputs, self.config.size, backbones)

    def _with_these_heads(self, source: ImageEncoder, manifest: Manifest) -> ImageEncoder:
        """Return the encoder with these heads; outputs that it has learned already go on."""
        encoder = self._new_encoder(len(source.backbones))
        state = {k: v for k, v in source.state_dict().items() if not k.startswith("classifier.")}
        encoder.load_state_dict(state, strict=False)
        _start_heads(encoder, self.truth)
        with torch.no_grad():
            for row, output in enumerate(self.manifest.outputs):
                if output in manifest.outputs:
                    learned = manifest.outputs.index(output)
                    encoder.classifier.weight[row] = source.classifier.weight[learned]
                    encoder.classifier.bias[row] = source.classifier.bias[learned]
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
            "outputs": [list(output) for output in self.manifest.outputs],
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
        if self.pooled:
            pooled = torch.from_numpy(self.pooled["train"][samples]).to(self.device)
            return masked_loss(model(pooled).float(), truth, self.positive_weight)
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
        """Return the validation AUC per label, the quadratic kappa of the grade, and as 'score' the
        mean AUC over the diseases, the mean of that and the kappa where there is one.

        While the resolution is low the score only grows, so that neither the early stop nor the
        choice of the best epoch falls into that part.
        """
        if self.measured is not None:  # nobody is left to validate with: the last epoch is kept
            return {"score": float(epoch), "auc": {}, "macro_auc": math.nan, "kappa": None}
        size = self.size_at(epoch)
        if self.pooled:
            pooled = torch.from_numpy(self.pooled["validation"]).to(self.device)
            with torch.no_grad():
                logits = module.eval()(pooled).float().cpu().numpy()
        else:
            encoder = module.encoder if isinstance(module, Student) else module
            logits = predict_logits(encoder, self.validation_crops, size, self.device)
        columns = self.manifest.columns("multi_label")
        auc = auc_per_label(self.validation_truth[:, columns], logits[:, columns], self.labels)
        macro = mean_defined([auc[label] for label in self.labels.diseases])
        kappa = self._kappa(logits)
        both = [macro] if kappa is None else [macro, kappa]
        score = 0.0 if np.isnan(macro) else float(np.mean(both))
        return {
            "score": score if size == self.config.size else epoch - 1e6,
            "auc": auc,
            "macro_auc": macro,
            "kappa": kappa,
        }

    def _kappa(self, logits: np.ndarray) -> float | None:
        """Quadratic kappa of the grade, from logits [N, outputs] of the validation photographs."""
        columns = self.manifest.columns("ordinal")
        truth = self.validation_truth[:, columns]  # [N, 4]
        known = ~np.isnan(truth).any(axis=1)
        if not columns or not known.any():
            return None
        called = suggested_grade(grade_probabilities(sigmoid(logits[known][:, columns])))
        return quadratic_kappa(truth[known].sum(axis=1).astype(int), called)

    def write_model_folder(self, result: TrainingResult, callbacks: Callbacks) -> None:
        """Write the model folder.

        Calibration, thresholds and the OOD threshold come from the validation patients, the metrics
        from the test patients (or from validation where the split has no test part), both through
        the exported ONNX file, as the user will run it.
        """
        config, parts, manifest = self.config, self.parts, self.manifest
        # A fresh module: accelerate has wrapped the trained one's forward in mixed precision.
        encoder = self._new_encoder(manifest.encoder.backbones)
        prefix = "encoder." if self.teacher else ""
        best = {k: v for k, v in result.best_state.items() if k.startswith(prefix)}
        rest = self.encoder.state_dict() if config.heads_only else {}
        encoder.load_state_dict(rest | {k.removeprefix(prefix): v for k, v in best.items()})
        gated = fit_gate(encoder, parts["train"], config.size, self.pooled.get("train"))
        # With all before the heads as it was, what has learned from it goes on as it is.
        base = self.start if config.heads_only else None
        if base is not None:
            manifest.fusion, manifest.adapter = base.manifest.fusion, base.manifest.adapter
        with write_model_folder(self.out, base) as folder:
            result.write_curve(folder, callbacks)
            difference = write_encoder(encoder, config.size, folder)
            predictor = EncoderPredictor(folder / ENCODER_ONNX, manifest.encoder)
            manifest.encoder.sha256 = file_sha256(folder / ENCODER_WEIGHTS)
            manifest.llm = identify_llm() if base is None else base.manifest.llm
            manifest.training = self._training(result)
            if self.measured is not None:
                self._take_measured(predictor, gated, difference)
                save_manifest(folder, manifest)
                return
            logits, scores = _predict(predictor, parts["validation"], len(manifest.outputs))
            # Pictures that only train often come from other cameras; the gate must know them too.
            conditions = manifest.conditions()
            partial = [r for r in parts["train"] if not r.can_judge(conditions)][::_OOD_EVERY]
            _, other = _predict(predictor, partial, len(manifest.outputs))
            truth = self.validation_truth.copy()
            truth[np.isnan(logits).any(axis=1)] = np.nan  # unreadable: judges nothing
            fit_heads(manifest.heads, logits, truth)
            if gated:
                sources = [r.source for r in (*parts["validation"], *partial)]
                manifest.ood_threshold = ood_threshold(np.concatenate([scores, other]), sources)
            judged = "test" if parts["test"] else "validation"
            classifier = Classifier(ModelFolder(folder, manifest))
            metrics = evaluate(classifier, parts[judged]).metrics
            manifest.metrics = {"part": judged, "onnx_difference": difference, **metrics}
            save_manifest(folder, manifest)

    def _take_measured(self, predictor: EncoderPredictor, gated: bool, difference: float) -> None:
        """Take calibration, thresholds and metrics from the model that was measured. The gate,
        which knows no labels, is set on every so-manyth photograph."""
        assert self.measured is not None
        source, manifest = self.measured.manifest, self.manifest
        manifest.heads = source.heads
        if gated:
            some = self.parts["train"][::_OOD_EVERY]
            _, scores = _predict(predictor, some, len(manifest.outputs))
            manifest.ood_threshold = ood_threshold(scores, [r.source for r in some])
        manifest.metrics = {**source.metrics, "onnx_difference": difference}
        manifest.training["measured"] = {
            "model": self.measured.identity,
            "command": source.training.get("command", ""),
            "split": source.training["split"],
        }

    def _count_grades(self, records: list[Record]) -> dict[str, int]:
        grades = Counter(r.grade for r in records if r.grade)
        graded = self.manifest.grade_head is not None
        return {f"grade {g}": grades[g] for g in sorted(grades)} if graded else {}

    def _before(self) -> list[dict[str, Any]]:
        """Return the trainings that the first weights come from, the earliest first, each once."""
        before: list[dict[str, Any]] = []
        for model in (self.start, self.beside):
            earlier = model.manifest.training if model is not None else {}
            kept = {k: v for k, v in earlier.items() if k in ("command", "seconds", "notes")}
            chain = [*earlier.get("before", []), *([kept] if kept else [])]
            before += [training for training in chain if training not in before]
        return before

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
                    "labels": count_labels(records, self.labels) | self._count_grades(records),
                }
                for data, records in self.sets.items()
            ],
            "command": config.command,
            "before": self._before(),
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
                {k: epoch[k] for k in ("epoch", "loss", "macro_auc", "auc", "kappa")}
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


def _start_heads(encoder: ImageEncoder, truth: np.ndarray) -> None:
    """Start each output's bias at its frequency, so that the first steps need not learn it.

    truth: [N, outputs], NaN where unknown.
    """
    share = (np.nansum(truth, axis=0) + 1) / ((~np.isnan(truth)).sum(axis=0) + 2)
    with torch.no_grad():
        encoder.classifier.bias.copy_(torch.from_numpy(np.log(share / (1 - share))))


@torch.no_grad()
def predict_logits(
    module: nn.Module, crops: CropStore, size: int, device: torch.device, batch_size: int = 32
) -> np.ndarray:
    """Logits float32 [N, outputs] of a store of crops, seen at `size` pixels."""
    module.eval()
    parts = []
    for start in range(0, len(crops.paths), batch_size):
        indices = range(start, min(start + batch_size, len(crops.paths)))
        pixels = _channels_last(resize(to_pixels(crops.batch(indices).to(device)), size))
        parts.append(module(pixels).float().cpu().numpy())
    return np.concatenate(parts)


def _predict(
    predictor: EncoderPredictor, records: list[Record], outputs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Logits [N, outputs] and OOD scores [N], NaN where a picture cannot be read."""
    logits = np.full((len(records), outputs), np.nan, dtype=np.float32)
    scores = np.full(len(records), np.nan, dtype=np.float32)
    for index, (_, result) in enumerate(predictor.stream(r.image for r in records)):
        if isinstance(result, Prediction):
            logits[index], scores[index] = result.logits, result.ood_score
    return logits, scores
