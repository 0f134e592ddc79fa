"""What `--llm` names: a GGUF file, a folder in Hugging Face's form, or what was pulled from a hub.

Nothing is downloaded here; `hub` does that.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .assets import bundled_models, embedded_gguf, resolve_llm
from .errors import UsageError
from .files import file_sha256
from .gguf_parts import is_first
from .llm_norms import norms_sha256
from .manifest import AdapterPart, FusionPart
from .model_folder import ModelFolder, identify_llm, open_model


@dataclass(frozen=True)
class LlmSource:
    """A language model on this disk.

    name: as it was asked for; None is the embedded one. path: a GGUF file, or a folder that
    transformers reads.
    """

    name: str | None
    path: Path

    @property
    def is_gguf(self) -> bool:
        """Whether llama.cpp can read it."""
        return self.path.is_file()

    @property
    def short(self) -> str:
        """Its name without the folders it lies in."""
        return self.path.stem if self.is_gguf else str(self.name).rstrip("/").rpartition("/")[2]

    @cached_property
    def sha256(self) -> str | None:
        """The hash of its weights, which is read once: several parts may be asked about it."""
        if self.is_gguf:
            return file_sha256(self.path)
        return identify_llm(str(self.path)).sha256

    @cached_property
    def norms_sha256(self) -> str | None:
        """The hash of its normalisations, which its other forms share, or None."""
        try:
            return norms_sha256(self.path)
        except UsageError:
            return None


def find_llm(name: str | None) -> LlmSource:
    """Return the language model that a name means; None is the embedded one.

    name: a path, the name of a recommended one, a hub id, or a file of one as OWNER/NAME/FILE.
    Raises UsageError, which says how to get it, if it is not on this disk.
    """
    if name is None:
        return LlmSource(None, embedded_gguf())
    path = Path(name).expanduser()
    of_hub = name.count("/") >= 2 and not name.startswith((".", "/", "~"))
    if path.is_file() or (name.lower().endswith(".gguf") and not of_hub):
        return LlmSource(name, resolve_llm(name))
    if path.is_dir():
        return LlmSource(name, model_in(path))
    from .hub import pulled

    return LlmSource(name, pulled(name))


def model_in(folder: Path) -> Path:
    """Return what can be read of a folder: the folder itself in Hugging Face's form, or its GGUF.

    Raises UsageError if it holds neither, only a part, or several GGUF files.
    """
    if (folder / "ophglm.json").is_file():
        raise UsageError(f"{folder} is a model folder of ophglm; name it with --model.")
    if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
        _check_whole(folder)
        return folder
    ggufs = [path for path in sorted(folder.glob("*.gguf")) if is_first(path)]
    if len(ggufs) == 1:
        return ggufs[0]
    if ggufs:
        names = ", ".join(p.name for p in ggufs)
        raise UsageError(f"{folder} holds several language models; name one of them: {names}.")
    raise UsageError(
        f"{folder} holds no language model: neither config.json with .safetensors, nor a GGUF file."
    )


def _check_whole(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return
    try:
        listed = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError):
        raise UsageError(f"{index} cannot be read; fetch the model again.") from None
    missing = sorted(name for name in listed if not (folder / name).is_file())
    if missing:
        raise UsageError(f"{folder} lacks {', '.join(missing)}; fetch the model again.")


def trained_with(model: ModelFolder, part: FusionPart | AdapterPart | None = None) -> str | None:
    """Return the name of the language model that a part of a folder was trained with.

    part: None is the fusion module, or the adapter where there is none. The name is None for the
    embedded one, which also serves a folder without such parts.
    """
    part = part or model.manifest.fusion or model.manifest.adapter
    llm = model.manifest.llm if part is None else model.manifest.llm_of(part)
    if llm is None or llm.package is not None:
        return None
    return str((part and part.training.get("llm")) or llm.name)


def belongs(model: ModelFolder, source: LlmSource, part: FusionPart | AdapterPart) -> bool:
    """Whether a part of a folder was trained with a language model.

    It is known by its weights, also in another form: a GGUF of any quantisation is what it was made
    of. Where no weights were recorded, a folder or hub id is known by its name.
    """
    llm = model.manifest.llm_of(part)
    if llm is None:
        return False
    if source.name is None:
        return llm.package is not None
    if llm.norms_sha256 is not None and llm.norms_sha256 == source.norms_sha256:
        return True
    if source.is_gguf:
        return llm.sha256 == source.sha256
    if llm.package is not None:
        return False
    if llm.sha256 is not None:
        return llm.sha256 == source.sha256
    known = {llm.name, trained_with(model, part)}
    folders = {Path(name).expanduser().resolve() for name in known if name}
    return source.name in known or source.path.resolve() in folders


def fusion_fits(source: LlmSource, by_hash: bool = True) -> bool:
    """Whether the fusion module of a bundled model folder was trained with a language model.

    by_hash: whether a file that is not the embedded one is read to know it, which takes a while.
    """
    if source.is_gguf and source.name is not None and not by_hash:
        return False
    folders = (open_model(path) for path in bundled_models().iterdir() if path.is_dir())
    return any(
        model.manifest.fusion is not None and belongs(model, source, model.manifest.fusion)
        for model in folders
    )
