"""The manifest of a model folder, `ophglm.json`: what its weights are and what they were measured
to do.

Format 2. A manifest of format 1 is read, too: `from_json` upgrades it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from .conditions import DEFAULT_LABELS, LabelSet

FORMAT = 2
#: The kinds of heads that this version knows.
HEAD_KINDS = ("multi_label", "ordinal")
CONDITIONS_HEAD, DR_GRADE_HEAD, MACULAR_OEDEMA_HEAD = "conditions", "dr_grade", "macular_oedema"
#: The closed answers that the fusion module's small head gives beside the soft tokens.
CLOSED_ANSWERS = (
    "yes",
    "no",
    "left",
    "right",
    "mild non-proliferative",
    "moderate non-proliferative",
    "severe non-proliferative",
    "proliferative",
    "dry",
    "wet",
)
_Part = TypeVar("_Part")


@dataclass
class EncoderInfo:
    """What the image encoder is.

    architecture: timm's name. input_size: in pixels. features: channels of the first backbone's
    last feature map. backbones: how many of the architecture stand beside each other. views: of a
    picture that are averaged, for which the thresholds were fitted: 1, or 2 with the mirrored one.
    sha256: of `encoder.safetensors`, which is what the model is; exporting does not change it.
    """

    architecture: str
    input_size: int
    features: int
    sha256: str = ""
    backbones: int = 1
    views: int = 2


@dataclass
class Calibration:
    """Per label: probability = sigmoid(scale * logit + offset) (Platt scaling), and the threshold
    on that probability from which a label counts as positive."""

    scale: float = 1.0
    offset: float = 0.0
    threshold: float = 0.5


@dataclass
class Head:
    """One head of the encoder: its outputs in order, by label.

    kind: 'multi_label', a sigmoid a label; 'ordinal', a sigmoid for each grade from the second on,
    the probability of at least that grade (Frank and Hall 2001, 'A simple approach to ordinal
    classification'), and the labels are the grades' numbers. operating_point: the sensitivity at
    which the thresholds were set. rule_out: the probability of 'normal' from which a disease is
    flagged only where it is more likely than not; None for never.
    """

    name: str
    kind: str
    labels: list[str]
    calibration: dict[str, Calibration] = field(default_factory=dict)
    operating_point: float = 0.85
    rule_out: float | None = None

    def calibration_of(self, label: str) -> Calibration:
        """Return a label's calibration; the network's own probability where none was fitted."""
        return self.calibration.get(label, Calibration())


@dataclass(frozen=True)
class FusionInfo:
    """The dimensions of a fusion module.

    kind: 'queries' or 'mlp'. image_width, text_width, llm_width: vector sizes of an image token, a
    text token and a soft token. patches: image tokens of one photograph. scale: the root mean
    square of the language model's token embeddings, at which the soft tokens start. labels: how
    many conditions the small head gives after the closed answers.
    """

    kind: str
    image_width: int
    patches: int
    text_width: int
    llm_width: int
    scale: float
    labels: int = len(DEFAULT_LABELS)
    soft_tokens: int = 16
    width: int = 256
    layers: int = 3
    heads: int = 8


@dataclass
class LanguageModelInfo:
    """The language model that a folder's parts were trained with; it is not in the folder.

    name: by its file or folder, or a hub id. file: its GGUF. sha256: of the file, or of a folder's
    weights. package: the Python package that carries it. These make it what it is. norms_sha256: of
    its normalisations (see llm_norms), by which it is known in another form; architecture (by
    transformers), chat_template_sha256 and licence describe it; each where it is known.
    """

    name: str
    file: str | None = None
    sha256: str | None = None
    package: str | None = None
    norms_sha256: str | None = field(default=None, compare=False)
    architecture: str | None = field(default=None, compare=False)
    chat_template_sha256: str | None = field(default=None, compare=False)
    licence: str | None = field(default=None, compare=False)

    def same_as(self, other: LanguageModelInfo) -> bool:
        """Whether two descriptions are of one model: by its weights, whatever their form, else by
        its name."""
        if self.norms_sha256 is not None and self.norms_sha256 == other.norms_sha256:
            return True
        if self.sha256 is not None and other.sha256 is not None:
            return self.sha256 == other.sha256
        return self.name == other.name


@dataclass
class FusionPart:
    """The fusion module: its dimensions, its text encoder by name, how it was trained, the parity
    of the two runtimes, and what `evaluate --vqa --keep` measured. llm: the language model that it
    belongs to; None is the folder's."""

    network: FusionInfo
    text_encoder: str
    training: dict[str, Any]
    parity: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    llm: LanguageModelInfo | None = None


@dataclass
class AdapterPart:
    """The LoRA adapter. soft_tokens: whether it was trained with the photographs' before it. llm:
    the language model that it belongs to; None is the folder's."""

    rank: int
    alpha: int
    soft_tokens: bool
    training: dict[str, Any]
    parity: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    llm: LanguageModelInfo | None = None


@dataclass
class Manifest:
    """The contents of `ophglm.json`.

    heads: of the encoder, in the order of its outputs; the first is that of the conditions.
    own_labels: those of a hospital's own,
    which the table of conditions does not know. ood_threshold: the score from which a picture is
    out of distribution; None where no gate was fitted. training, metrics: of the encoder.
    local_calibration: what `calibrate` did for a clinic's own cameras and prevalence; empty where
    the calibration is the training's.
    """

    name: str
    encoder: EncoderInfo
    heads: list[Head]
    own_labels: list[str] = field(default_factory=list)
    ood_threshold: float | None = None
    llm: LanguageModelInfo | None = None
    fusion: FusionPart | None = None
    adapter: AdapterPart | None = None
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    local_calibration: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def conditions_head(self) -> Head:
        """The multi-label head that gives the conditions."""
        return self.heads[0]

    @property
    def grade_head(self) -> Head | None:
        """The ordinal head that grades diabetic retinopathy, where there is one."""
        return next((head for head in self.heads if head.kind == "ordinal"), None)

    @property
    def outputs(self) -> list[tuple[str, str]]:
        """The encoder's outputs in their order, each by its head's name and its label."""
        return [(head.name, label) for head in self.heads for label in head.labels]

    @property
    def split(self) -> dict[str, Any]:
        """How the patients are parted for what is trained and measured on top of the encoder.

        An encoder that learned from all patients (`train-encoder --measured`) has the split of the
        model whose metrics it carries, so that a fusion module still has patients to be judged on;
        the encoder's own findings have seen these. Empty where no training is recorded.
        """
        found: dict[str, Any] = self.training.get("measured", self.training).get("split", {})
        return found

    def llm_of(self, part: FusionPart | AdapterPart) -> LanguageModelInfo | None:
        """Return the language model that a part belongs to; None where none was recorded."""
        return part.llm or self.llm

    def columns(self, kind: str) -> list[int]:
        """Return the numbers of the encoder's outputs that belong to heads of a kind."""
        kinds = [head.kind for head in self.heads for _ in head.labels]
        return [number for number, found in enumerate(kinds) if found == kind]

    def calibrations(self) -> dict[str, Calibration]:
        """Return the calibration of each label of the multi-label heads."""
        heads = [head for head in self.heads if head.kind == "multi_label"]
        return {label: head.calibration_of(label) for head in heads for label in head.labels}

    def conditions(self) -> LabelSet:
        """Return the labels of the conditions head. Raises UsageError as `label_set`."""
        return LabelSet.of(self.conditions_head.labels, self.own_labels)

    def label_set(self) -> LabelSet:
        """Return the labels of all multi-label heads, in the order of the outputs.

        Raises UsageError if this version does not know one of them.
        """
        return LabelSet.of(self.calibrations(), self.own_labels)

    def to_json(self) -> str:
        """Return the manifest as indented JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read a manifest of format 1 or 2.

        Raises ValueError, KeyError or TypeError if it is none, or of another format.
        """
        values = json.loads(text)
        if values["format"] == 1:
            values = _from_format_1(values)
        if values["format"] != FORMAT:
            raise ValueError(
                f"format {values['format']}; this ophglm reads up to {FORMAT}: update ophglm"
            )
        values["encoder"] = _part(EncoderInfo, values["encoder"])
        values["heads"] = [_head(head) for head in values["heads"]]
        if values.get("fusion") is not None:
            fusion = dict(values["fusion"])
            fusion["network"] = _part(FusionInfo, fusion["network"])
            fusion["llm"] = _llm(fusion)
            values["fusion"] = _part(FusionPart, fusion)
        if values.get("adapter") is not None:
            adapter = dict(values["adapter"])
            adapter["llm"] = _llm(adapter)
            values["adapter"] = _part(AdapterPart, adapter)
        values["llm"] = _llm(values)
        return cls(**values)


def _part(kind: type[_Part], values: dict[str, Any]) -> _Part:
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"{kind.__name__} has no {', '.join(unknown)}")
    return kind(**values)


def _llm(values: dict[str, Any]) -> LanguageModelInfo | None:
    held = values.get("llm")
    return None if held is None else _part(LanguageModelInfo, held)


def _head(values: dict[str, Any]) -> Head:
    head = _part(Head, values)
    if head.kind not in HEAD_KINDS:
        raise ValueError(f"the head '{head.name}' is of the kind '{head.kind}'; update ophglm")
    head.calibration = {k: _part(Calibration, v) for k, v in values["calibration"].items()}
    return head


#: Words of format 1 and what they are called now, wherever they are keys.
_RENAMED = {
    "turned_away": "ungradable",
    "left_out": "excluded",
    "intervals": "confidence_intervals",
    "weight_average": "ema_decay",
    "batch": "batch_size",
    "schedule": "config",
    "places": "patches",
    "same_first_token": "top1_agreement",
    "quantised_same_first_token": "quantised_top1_agreement",
    "exact": "exact_match",
}


def _renamed(value: Any) -> Any:
    if isinstance(value, dict):
        return {_RENAMED.get(k, k): _renamed(v) for k, v in value.items()}
    return [_renamed(v) for v in value] if isinstance(value, list) else value


def _from_format_1(old: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a manifest of format 1 as format 2 has them."""
    metrics = _renamed(old.get("metrics") or {})
    if "ungradable" in metrics:  # was a dictionary of both reasons
        metrics["excluded"] = metrics.pop("ungradable")
    values: dict[str, Any] = {
        "name": old["name"],
        "encoder": old["encoder"],
        "heads": [
            {
                "name": "conditions",
                "kind": "multi_label",
                "labels": old["labels"],
                "calibration": old["calibration"],
                "operating_point": old["operating_point"],
            }
        ],
        "ood_threshold": old.get("farthest"),
        "llm": old.get("llm") or None,
        "training": _renamed(old.get("training") or {}),
        "metrics": metrics,
        "format": FORMAT,
    }
    if old.get("fusion"):
        fusion = _renamed(old["fusion"])
        network, parity = fusion["network"], fusion.get("parity") or {}
        network["soft_tokens"] = network.pop("rows")
        network["labels"] = len(old["labels"])
        if "rows" in parity:
            parity["soft_tokens"] = parity.pop("rows")
        values["fusion"] = fusion
    if old.get("adapter"):
        adapter = _renamed(old["adapter"])
        adapter["soft_tokens"] = adapter.pop("rows", False)
        values["adapter"] = adapter
    return values
