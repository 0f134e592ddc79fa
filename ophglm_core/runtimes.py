"""The two runtimes of the language model, and which of them runs one: llama.cpp or torch."""

from __future__ import annotations

import warnings
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .errors import UsageError
from .llm_source import LlmSource, belongs, find_llm, trained_with
from .manifest import AdapterPart, FusionPart
from .model_folder import ADAPTER_GGUF, PEFT_FOLDER, ModelFolder
from .runtime.llama import LlamaSession
from .runtime.session import CONTEXT, Session

if TYPE_CHECKING:
    from .networks.language_model import TorchLanguageModel

RUNTIMES = ("auto", "local", "torch")
_NEEDS_TORCH = (
    "The torch runtime needs torch and transformers; run pip install 'ophglm[train]', or name a "
    "GGUF file, which llama.cpp runs without them."
)


class Runtime(Protocol):
    """Runs a language model: gives sessions, one context each.

    source: the language model. description: the runtime in a few words.
    """

    source: LlmSource

    @property
    def description(self) -> str: ...

    def adapter_in(self, folder: Path) -> Path | None:
        """Return the adapter of a model folder in this runtime's form, or None."""

    def session(self, context: int = CONTEXT, adapter: Path | None = None) -> Session:
        """Return a new context, with an adapter or without. Raises UsageError."""


class LocalRuntime:
    """llama.cpp, on the processor or what else it was built for.

    gpu_layers: see LlamaSession.
    """

    description = "llama.cpp"

    def __init__(self, source: LlmSource, gpu_layers: int | None = None):
        self.source, self._gpu_layers = source, gpu_layers

    def adapter_in(self, folder: Path) -> Path | None:
        """See Runtime."""
        path = folder / ADAPTER_GGUF
        return path if path.is_file() else None

    def session(self, context: int = CONTEXT, adapter: Path | None = None) -> Session:
        """See Runtime."""
        return LlamaSession(self.source.path, context, adapter, self._gpu_layers)


class TorchRuntime:
    """transformers: bfloat16 or 4 bits on CUDA, fp32 or 4 bits on the processor.

    The weights are read when the first session is asked for, and all sessions share them.
    four_bit: load them with bitsandbytes. Raises UsageError if torch is not installed, or the
    weights are quantised already.
    """

    def __init__(self, source: LlmSource, four_bit: bool = False):
        self.source, self._four_bit = source, four_bit
        self._on_cuda = cuda_is_there()
        self._adapter: Path | None = None
        if four_bit and source.is_gguf:
            raise UsageError(
                f"{source.path.name} is quantised already; --4bit is for a folder or a hub id."
            )

    @property
    def description(self) -> str:
        """See Runtime."""
        kind = "4 bits" if self._four_bit else "bfloat16" if self._on_cuda else "fp32"
        return f"torch ({'CUDA' if self._on_cuda else 'CPU'}, {kind})"

    def adapter_in(self, folder: Path) -> Path | None:
        """See Runtime."""
        path = folder / PEFT_FOLDER
        return path if (path / "adapter_config.json").is_file() else None

    def session(self, context: int = CONTEXT, adapter: Path | None = None) -> Session:
        """See Runtime."""
        from .networks.torch_session import TorchSession

        if adapter is not None and self._adapter is None:
            from .networks.lora import load_adapter

            with warnings.catch_warnings():
                # What peft and transformers tell each other's programmers.
                warnings.simplefilter("ignore", FutureWarning)
                self._llm.model = load_adapter(self._llm.model, adapter)
            self._adapter = adapter
        if adapter not in (None, self._adapter):
            raise UsageError(f"{self._adapter} is on this language model already.")
        return TorchSession(self._llm, context, adapted=adapter is not None)

    @cached_property
    def _llm(self) -> TorchLanguageModel:
        import torch

        from .networks.language_model import TorchLanguageModel

        device = torch.device("cuda" if self._on_cuda else "cpu")
        name = None if self.source.name is None else str(self.source.path)
        try:
            return TorchLanguageModel(name, device, self._four_bit)
        except torch.OutOfMemoryError:
            raise UsageError(
                f"{self.source.short} does not fit the graphics card's memory; load it with "
                "--4bit, or run a quantised GGUF with --runtime local."
            ) from None


def open_runtime(
    source: LlmSource,
    runtime: str = "auto",
    four_bit: bool = False,
    gpu_layers: int | None = None,
) -> Runtime:
    """Return what runs a language model.

    runtime: 'local' (llama.cpp), 'torch', or 'auto': torch where there is CUDA and the model is in
    Hugging Face's form or --4bit is asked for, else llama.cpp. Raises UsageError if that runtime
    cannot run it here.
    """
    if runtime not in RUNTIMES:
        raise UsageError(f"'{runtime}' is no runtime; use {', '.join(RUNTIMES)}.")
    wanted = four_bit or not source.is_gguf
    if runtime == "torch" or (runtime == "auto" and wanted and cuda_is_there()):
        if gpu_layers is not None:
            raise UsageError(
                "--gpu-layers is llama.cpp's; it means nothing with the torch runtime."
            )
        return TorchRuntime(source, four_bit)
    if four_bit and runtime == "auto":
        raise UsageError(
            "There is no CUDA card here for --4bit: name a quantised GGUF file, which llama.cpp "
            "runs fast, or add --runtime torch for the processor, which is slow."
        )
    if four_bit:
        raise UsageError("--4bit is for the torch runtime; llama.cpp runs what is quantised.")
    if not source.is_gguf:
        why = "" if runtime == "local" else "There is no CUDA card here, and "
        raise UsageError(
            f"{why}llama.cpp cannot read {source.name}, a model in Hugging Face's form: run it "
            "with --runtime torch, or make a GGUF of it (docs/runtimes.md)."
        )
    return LocalRuntime(source, gpu_layers)


def runtime_of(
    model: ModelFolder,
    part: FusionPart | AdapterPart,
    llm: str | None = None,
    runtime: str = "auto",
    four_bit: bool = False,
) -> Runtime:
    """Return what runs the language model that a part of a folder was trained with.

    llm: where it is, if not where it was then. Raises UsageError if that is another one, or as
    `find_llm` and `open_runtime` do.
    """
    source = find_llm(trained_with(model, part) if llm is None else llm)
    if not belongs(model, source, part):
        held = model.manifest.llm_of(part)
        name = held.name if held else "another language model"
        kind = "adapter" if isinstance(part, AdapterPart) else "fusion module"
        raise UsageError(
            f"The {kind} of {model.path} was trained with {name} and not with {source.short}."
        )
    return open_runtime(source, runtime, four_bit)


def cuda_is_there() -> bool:
    """Whether torch can compute on a CUDA card. Raises UsageError if it is not installed."""
    try:
        import torch
        import transformers  # noqa: F401
    except ImportError:
        raise UsageError(_NEEDS_TORCH) from None
    return bool(torch.cuda.is_available())
