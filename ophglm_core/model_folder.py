"""Model folders: what they hold, how they are read, written and checked.

A model folder is one assistant: `ophglm.json` (the manifest) beside its weights. Weights are
safetensors, ONNX and GGUF, never pickle.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .errors import UsageError
from .labels import LABELS

FORMAT = 1
MANIFEST = "ophglm.json"
ENCODER_WEIGHTS = "encoder.safetensors"
ENCODER_ONNX = "encoder.onnx"
FUSION_WEIGHTS = "fusion.safetensors"
FUSION_ONNX = "fusion.onnx"
TEXT_ENCODER_ONNX = "text_encoder.onnx"
TOKENIZER = "tokenizer.json"
PEFT_FOLDER = "adapter"
ADAPTER_GGUF = "adapter.gguf"
DEFAULT_MODEL = "ophglm-smollm2-135m"


@dataclass
class EncoderInfo:
    """What the image encoder is: `input_size` in pixels, `features` the last map's width."""

    architecture: str
    input_size: int
    features: int
    sha256: str = ""


@dataclass
class Calibration:
    """Per label: probability = sigmoid(scale * logit + offset) (Platt scaling), and the threshold
    on that probability from which a label counts as positive."""

    scale: float = 1.0
    offset: float = 0.0
    threshold: float = 0.5


@dataclass
class Manifest:
    """The contents of `ophglm.json`.

    farthest: the encoder's distance from which a picture is no fundus photograph of the training's
    kind; None where the gate was not fitted. fusion: the module's 'network' (its dimensions), its
    'text_encoder' by name, its 'training' and its 'metrics'; None where a folder has none.
    adapter: the LoRA's 'rank', 'alpha', 'training' and 'metrics', and whether it was trained with
    'rows'; None where a folder has none.
    """

    name: str
    encoder: EncoderInfo
    labels: list[str] = field(default_factory=lambda: list(LABELS))
    calibration: dict[str, Calibration] = field(default_factory=dict)
    operating_point: float = 0.85
    farthest: float | None = None
    llm: dict[str, str] = field(default_factory=dict)
    fusion: dict[str, Any] | None = None
    adapter: dict[str, Any] | None = None
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def to_json(self) -> str:
        """Return the manifest as indented JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read a manifest. Raises ValueError, KeyError or TypeError if it is not one."""
        values = json.loads(text)
        values["encoder"] = EncoderInfo(**values["encoder"])
        values["calibration"] = {k: Calibration(**v) for k, v in values["calibration"].items()}
        return cls(**values)


@dataclass(frozen=True)
class ModelFolder:
    """A model folder that is there and complete enough to classify."""

    path: Path
    manifest: Manifest

    @property
    def encoder_onnx(self) -> Path:
        """The image encoder for the local runtime."""
        return self.path / ENCODER_ONNX

    @property
    def encoder_weights(self) -> Path:
        """The image encoder for the torch runtime."""
        return self.path / ENCODER_WEIGHTS

    def belongs_to(self, llm_sha256: str | None) -> bool:
        """Whether the folder's fusion module and adapter were trained with a language model.

        llm_sha256: of its GGUF file; None is the embedded one.
        """
        if llm_sha256 is None:
            return "package" in self.manifest.llm
        return self.manifest.llm.get("sha256") == llm_sha256

    @property
    def identity(self) -> str:
        """Name and weights in short, as outputs name the model they come from."""
        return f"{self.manifest.name}@{self.manifest.encoder.sha256[:8]}"


def bundled_models() -> Path:
    """Return the folder of the model folders that ship, in an installed or a source tree."""
    package = Path(__file__).parent
    installed = package / "bundled_models"
    return installed if installed.is_dir() else package.parent / "models"


def open_model(model: str | Path | None = None) -> ModelFolder:
    """Open a model folder: a path, or the name of one that ships; None is the default one.

    Raises UsageError, with one sentence, if it is not there, lacks a part, or its manifest or
    format cannot be read.
    """
    path = Path(model) if model is not None else bundled_models() / DEFAULT_MODEL
    if not path.is_dir() and model is not None and (bundled_models() / str(model)).is_dir():
        path = bundled_models() / str(model)
    if not path.is_dir():
        raise UsageError(f"No such model folder: {path}.")
    manifest_path = path / MANIFEST
    if not manifest_path.is_file():
        raise UsageError(f"{path} is not a model folder: it has no {MANIFEST}.")
    try:
        manifest = Manifest.from_json(manifest_path.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{manifest_path} cannot be read ({error}).") from None
    if manifest.format != FORMAT:
        raise UsageError(
            f"{path} has format {manifest.format}; this ophglm reads format {FORMAT}: "
            "export it again or update ophglm."
        )
    for name in (ENCODER_ONNX, ENCODER_WEIGHTS):
        if not (path / name).is_file():
            raise UsageError(f"{path} lacks {name}; export the model again.")
    if manifest.fusion is not None:
        for name in (FUSION_WEIGHTS, FUSION_ONNX, TEXT_ENCODER_ONNX, TOKENIZER):
            if not (path / name).is_file():
                raise UsageError(f"{path} lacks {name}; export the model again.")
    return ModelFolder(path, manifest)


@contextmanager
def written_folder(target: Path) -> Iterator[Path]:
    """Give a temporary folder beside `target` that takes its place when the block ends well.

    What `target` held and the block did not write again is kept, so that a later stage adds its
    part to the folder of an earlier one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        partial.chmod(0o755)
        if target.is_dir():
            shutil.copytree(target, partial, dirs_exist_ok=True)
        yield partial
        if target.exists():
            old = partial.with_name(partial.name + "-old")
            os.replace(target, old)
            os.replace(partial, target)
            shutil.rmtree(old)
        else:
            os.replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def folder_to_write(model: ModelFolder, out: Path | None, held: str | None) -> Path:
    """Return where a training that adds a part to `model` writes: `out`, or the model itself.

    held: what of that part the model has already. Raises UsageError if something would be lost.
    """
    target = (out or model.path).resolve()
    if target != model.path.resolve() and target.exists():
        raise UsageError(f"{target} is there already; name another --out or remove it.")
    if target == model.path.resolve() and held:
        raise UsageError(f"{model.path} has {held} already; name an --out to keep it.")
    return target


def copy_model(model: ModelFolder, folder: Path) -> None:
    """Copy a model folder's files into another folder."""
    shutil.copytree(model.path, folder, dirs_exist_ok=True)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
