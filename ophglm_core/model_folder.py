"""Model folders: what they hold, how they are opened, checked and written.

A model folder is one assistant: `ophglm.json` (the manifest) beside its weights. Weights are
safetensors, ONNX and GGUF, never pickle.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .assets import EMBEDDED_LLM, bundled_models, reads_gguf, resolve_llm
from .conditions import LabelSet
from .errors import UsageError
from .files import atomic_directory, file_sha256
from .manifest import AdapterPart, FusionPart, LanguageModelInfo, Manifest
from .model_card import card

MANIFEST = "ophglm.json"
MODEL_CARD = "README.md"
ENCODER_WEIGHTS = "encoder.safetensors"
ENCODER_ONNX = "encoder.onnx"
FUSION_WEIGHTS = "fusion.safetensors"
FUSION_ONNX = "fusion.onnx"
TEXT_ENCODER_ONNX = "text_encoder.onnx"
TOKENIZER = "tokenizer.json"
PEFT_FOLDER = "adapter"
ADAPTER_GGUF = "adapter.gguf"
DEFAULT_MODEL = "ophglm-smollm2-135m"


@dataclass(frozen=True)
class ModelFolder:
    """A model folder that is there and complete enough to classify.

    Example: `open_model("ophglm-convnext-atto").labels.diseases`.
    """

    path: Path
    manifest: Manifest

    @cached_property
    def labels(self) -> LabelSet:
        """The labels of all its multi-label heads, in the order of the outputs."""
        return self.manifest.label_set()

    @cached_property
    def conditions(self) -> LabelSet:
        """The labels of the conditions head: what a photograph's record must say to judge it."""
        return self.manifest.conditions()

    @property
    def encoder_onnx(self) -> Path:
        """The image encoder for the local runtime."""
        return self.path / ENCODER_ONNX

    @property
    def encoder_weights(self) -> Path:
        """The image encoder for the torch runtime."""
        return self.path / ENCODER_WEIGHTS

    def trained_gguf(self, part: FusionPart | AdapterPart) -> Path:
        """Return the GGUF file that a part was trained with.

        Raises UsageError if it was no GGUF, is not there, or is another by its content.
        """
        llm = self.manifest.llm_of(part)
        name = None if llm is not None and llm.package else part.training.get("llm")
        kind = "adapter" if isinstance(part, AdapterPart) else "fusion module"
        if not reads_gguf(name):
            raise UsageError(
                f"The {kind} was trained with {name}, which llama.cpp cannot read; convert "
                f"it with llama.cpp's 'python convert_hf_to_gguf.py {name}' and give that as --llm."
            )
        path = resolve_llm(name)
        if llm is not None and llm.sha256 is not None and file_sha256(path) != llm.sha256:
            raise UsageError(
                f"{path} is not the {llm.name} that the {kind} of {self.path} was trained with: "
                "its content is another."
            )
        return path

    @property
    def identity(self) -> str:
        """Name and weights in short, as outputs name the model they come from; with a clinic's
        calibration, that, too."""
        own = self.manifest.local_calibration.get("sha256")
        weights = f"{self.manifest.name}@{self.manifest.encoder.sha256[:8]}"
        return f"{weights}+{own[:8]}" if own else weights


def open_model(model: str | Path | None = None) -> ModelFolder:
    """Open a model folder: a path, or the name of one that ships; None is the default one.

    Raises UsageError, with one sentence, if it is not there, lacks a part, or its manifest, format
    or labels are not known.
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
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UsageError(f"{manifest_path} cannot be read ({error}).") from None
    try:
        manifest.label_set()
    except UsageError as error:
        raise UsageError(f"{path} cannot be used: {error}") from None
    needed = [ENCODER_ONNX, ENCODER_WEIGHTS]
    if manifest.fusion is not None:
        needed += [FUSION_WEIGHTS, FUSION_ONNX, TEXT_ENCODER_ONNX, TOKENIZER]
    for name in needed:
        if not (path / name).is_file():
            raise UsageError(f"{path} lacks {name}; export the model again.")
    return ModelFolder(path, manifest)


def identify_llm(name: str | None = None) -> LanguageModelInfo:
    """Return what tells a language model from others; None is the embedded one.

    A hub id is its own identity; a folder has its weights'. Raises UsageError if a GGUF file is not
    there.
    """
    if name is not None and not reads_gguf(name):
        folder = Path(name).expanduser()
        if not folder.is_dir():
            return LanguageModelInfo(name)
        return LanguageModelInfo(folder.resolve().name, sha256=_weights_sha256(folder))
    path = resolve_llm(name)
    short = path.name.removesuffix(".gguf").rsplit(".", 1)[0]
    package = EMBEDDED_LLM if name is None else None
    return LanguageModelInfo(short, path.name, file_sha256(path), package)


def _weights_sha256(folder: Path) -> str:
    """Return one hash of a folder's configuration and weights, whatever the folder is called."""
    files = [folder / "config.json", *folder.glob("*.safetensors"), *folder.glob("*.bin")]
    listed = [f"{p.name} {file_sha256(p)}" for p in sorted(files) if p.is_file()]
    return hashlib.sha256("\n".join(listed).encode()).hexdigest()


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


@contextmanager
def write_model_folder(out: Path, base: ModelFolder | None = None) -> Iterator[Path]:
    """Give a temporary folder that becomes the model folder `out` when the block ends well.

    base: the model whose files it starts with, besides those that `out` has. The block writes
    weights and, through `save_manifest`, the manifest.
    """
    with atomic_directory(out) as folder:
        if base is not None and out.resolve() != base.path.resolve():
            shutil.copytree(base.path, folder, dirs_exist_ok=True)
        yield folder


def save_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `ophglm.json` and the model card that describes it into a model folder."""
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    (folder / MODEL_CARD).write_text(card(manifest), encoding="utf-8")


def save_metrics(model: ModelFolder) -> None:
    """Write a folder's manifest, as it now is in memory, and its model card."""
    with atomic_directory(model.path) as folder:
        save_manifest(folder, model.manifest)
