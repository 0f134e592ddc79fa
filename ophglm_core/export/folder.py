"""`export` as a function: the local runtime's files from the torch weights, and their parity."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .encoder.export import load_encoder, write_encoder
from .errors import UsageError
from .fusion.export import load_fusion, write_fusion
from .llm.merge import merge_adapter
from .llm.source import resolve_llm
from .modelcard import write_manifest
from .modelfolder import (
    ADAPTER_GGUF,
    ModelFolder,
    file_sha256,
    open_model,
    written_folder,
)
from .parity import Parity, measure_parity
from .text_encoder.bert import TextEncoder
from .text_encoder.export import write_text_encoder

#: The language model with its adapter in one file.
MERGED = "merged.gguf"


def merge_model(model: ModelFolder, llm: str | None, quantization: str) -> None:
    """Write a folder's adapter merged into its language model, as `merged.gguf`.

    llm: the language model's GGUF file, None for the embedded one. Raises UsageError if the folder
    has no adapter for llama.cpp.
    """
    adapter = model.path / ADAPTER_GGUF
    if not adapter.is_file():
        raise UsageError(f"{model.path} has no {ADAPTER_GGUF} to merge; run ophglm sft.")
    merge_adapter(resolve_llm(llm), adapter, model.path / MERGED, quantization)


def export_model(
    model: ModelFolder,
    prompts: Sequence[tuple[tuple[str, ...], str, str]],
    llm: str | None,
    progress: Callable[[int, int], None],
) -> tuple[float, Parity | None]:
    """Write a folder's ONNX files again and measure the parity of the two runtimes.

    prompts: photographs, question and language, for the parity of the language model. llm: its GGUF
    file, None for the embedded one. Returns the largest difference of the encoder's logits and,
    where the folder has a fusion module, its parity. Raises UsageError, and leaves the folder as it
    was, if a bound is missed.
    """
    with written_folder(model.path) as folder:
        manifest = model.manifest
        difference = write_encoder(load_encoder(model), manifest.encoder.input_size, folder)
        manifest.encoder.sha256 = file_sha256(folder / model.encoder_onnx.name)
        manifest.metrics["onnx_difference"] = difference
        parity = None
        if manifest.fusion is not None:
            write_fusion(load_fusion(model), folder)
            write_text_encoder(TextEncoder(manifest.fusion["text_encoder"]), folder)
            parity = measure_parity(open_model(folder), prompts, llm, progress)
            missed = parity.missed()
            if missed is not None:
                raise UsageError(f"{model.path}: {missed}; the folder is as it was.")
            manifest.fusion["parity"] = parity.to_json()
        write_manifest(folder, manifest)
    return difference, parity
