"""What the trainings can be told, with the defaults that hold from Python and at the terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..assets import EMBEDDED_TEXT_ENCODER
from ..errors import UsageError

PRECISIONS = ("auto", "bf16", "no")
FUSION_KINDS = ("queries", "mlp")
LANGUAGES = ("en", "zh")


def check_tracker(name: str) -> None:
    """Raise UsageError if accelerate does not know a tracker, or its package is not there."""
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    known = [str(tracker) for tracker in LOGGER_TYPE_TO_CLASS]
    if name not in known:
        raise UsageError(f"'{name}' is no tracker; --log takes {', '.join(sorted(known))}.")
    if name not in map(str, get_available_trackers()):
        package = name.replace("_", "-")
        raise UsageError(
            f"--log {name} needs {package}, which is not installed; run pip install {package}."
        )


@dataclass(frozen=True)
class Progress:
    """What the loop reports while it runs. `metrics` is set once an epoch, after its evaluation."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    seconds_left: float
    metrics: dict[str, Any] | None = None
    best: bool = False


@dataclass(frozen=True)
class Callbacks:
    """What a caller wants to know of a training; the defaults are silent.

    decoding: (done, total) photographs. step: after each step, and once more after each epoch.
    remark: a sentence, such as what was excluded and why.

    Example: `train_encoder(data, out, callbacks=Callbacks(remark=print))`.
    """

    decoding: Callable[[int, int], None] = lambda done, total: None
    step: Callable[[Progress], None] = lambda progress: None
    remark: Callable[[str], None] = lambda sentence: None


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """What all stages share.

    batch_size: of a step, whatever the number of processes. warmup: share of the steps.
    ema_decay: of the exponential moving average of the weights, which is what is kept. patience:
    epochs without a better one after which training stops; None never stops. precision: 'auto'
    (bf16 on CUDA and on CPUs with native bf16, else fp32), 'bf16' or 'no'. log: a tracker that
    accelerate knows, such as 'tensorboard', which is told of each step and validation as well.
    command: what was typed, for the model card. Raises UsageError if the tracker is not known or
    not installed.
    """

    epochs: int = 12
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    warmup: float = 0.05
    ema_decay: float = 0.998
    patience: int | None = 5
    seed: int = 0
    gradient_accumulation_steps: int = 1
    precision: str = "auto"
    log: str | None = None
    command: str = ""

    def __post_init__(self) -> None:
        if self.log is not None:
            check_tracker(self.log)

    @property
    def total_epochs(self) -> int:
        """All epochs of the training."""
        return self.epochs

    def fingerprint(self) -> dict[str, Any]:
        """Return what must be alike for a stopped training to be taken up again."""
        values = asdict(self)
        for name in ("command", "log", "out", "data", "vqa", "model", "start", "photographs"):
            values.pop(name, None)  # what is in them is compared, not where they lie
        return values


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(TrainingConfig):
    """Stage 1, the image encoder.

    labels: the conditions to learn, by key, alias or column; none: see data.records.choose_labels.
    size: the input in pixels. first_size: that of the first three quarters of the epochs.
    architecture: timm's name; None is that of `start`, or else `convnext_atto`. pretrained: start
    from ImageNet weights. weights: start from a file of weights. start: a model folder whose
    encoder to go on from.
    freeze: how many of the network's first stages stay as they are, which saves half of the time
    where the start has seen fundus photographs.
    heads_only: train the heads alone, on features of `start` that are computed once; its fusion
    module and adapter stay valid and are kept; with no epochs the heads stay, too, and calibration,
    thresholds and gate are set anew. beside: with heads_only, a model folder whose
    backbone stands beside that of `start` from then on. views: of a picture that are averaged when
    the model is used, 1 or 2. teacher: a model folder whose encoder the new one
    learns from. measured: a model folder that was
    trained in this way on a part of these patients: the new one trains on all of them and takes its
    calibration, thresholds and metrics. validation, test: shares of the
    patients. operating_point: the sensitivity at which thresholds are set.
    """

    data: tuple[Path, ...]
    out: Path
    labels: tuple[str, ...] = ()
    architecture: str | None = None
    size: int = 224
    first_size: int | None = None
    pretrained: bool = False
    weights: Path | None = None
    start: Path | None = None
    freeze: int = 0
    heads_only: bool = False
    beside: Path | None = None
    views: int = 2
    teacher: Path | None = None
    measured: Path | None = None
    validation: float = 0.1
    test: float = 0.2
    operating_point: float = 0.85
    gradient_checkpointing: bool = False
    compiled: bool = False


@dataclass(frozen=True, kw_only=True)
class FusionConfig(TrainingConfig):
    """Stage 2, the fusion module.

    out: None writes into the model folder itself. start: a model folder whose fusion module to go
    on from; None is the model's own, where it has one. fusion: 'queries', or 'mlp' for OphGLM's
    published one. text_encoder: a BERT. llm: a GGUF file, a folder or a hub id; None is the
    embedded one. samples: questions that an epoch draws; 0 is all. epochs: with the language model;
    head_epochs: before these, the closed answers only.
    """

    model: Path | str
    vqa: Path
    out: Path | None = None
    start: Path | str | None = None
    fusion: str = "queries"
    text_encoder: str = EMBEDDED_TEXT_ENCODER
    llm: str | None = None
    four_bit: bool = False
    samples: int = 0
    head_epochs: int = 4
    epochs: int = 4
    learning_rate: float = 3e-4
    ema_decay: float = 0.99
    patience: int | None = None

    @property
    def total_epochs(self) -> int:
        """The epochs of the head, and those with the language model."""
        return self.head_epochs + self.epochs


@dataclass(frozen=True, kw_only=True)
class SftConfig(TrainingConfig):
    """Stage 3, the adapter.

    out: None writes into the model folder itself. photographs: labelled sets whose pictures are
    paired with texts. rank, alpha: of the LoRA. text_share: the share of samples without a picture.
    samples: that an epoch draws; 0 is as many as there are texts. max_length: tokens of a sample,
    beyond which its end is cut.
    """

    model: Path | str
    data: Path
    photographs: tuple[Path, ...] = ()
    out: Path | None = None
    llm: str | None = None
    four_bit: bool = False
    gradient_checkpointing: bool = False
    rank: int = 16
    alpha: int = 32
    target_modules: tuple[str, ...] = ()
    text_share: float = 0.3
    samples: int = 0
    max_length: int = 640
    languages: tuple[str, ...] = ("en",)
    epochs: int = 3
    batch_size: int = 16
    learning_rate: float = 5e-4
    weight_decay: float = 0.0
    ema_decay: float = 0.98
    patience: int | None = 2
