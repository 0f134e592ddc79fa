"""`export`: the local runtime's files from the torch weights, and their parity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..data.build_vqa import example_prompts
from ..data.vqa import read_vqa
from ..errors import UsageError
from ..files import file_sha256
from ..manifest import AdapterPart, FusionPart
from ..model_folder import (
    ADAPTER_GGUF,
    ModelFolder,
    open_model,
    save_manifest,
    write_model_folder,
)
from ..networks.encoder import load_encoder
from ..networks.fusion import load_fusion
from ..networks.text_encoder import TextEncoder
from ..runtimes import runtime_of
from .gguf import merge_adapter
from .onnx import write_encoder, write_fusion, write_text_encoder
from .parity import Parity, PromptSpec, measure_parity

#: The language model with its adapter in one file.
MERGED = "merged.gguf"


@dataclass(frozen=True)
class Export:
    """What an export gave: the folder, the largest difference of an encoder's logit, where the
    folder has a fusion module its parity, and the merged GGUF where one was asked for."""

    path: Path
    encoder_difference: float
    parity: Parity | None
    merged: Path | None


def export_model(
    model: ModelFolder,
    vqa: Path | None = None,
    prompts: int = 100,
    quantization: str | None = None,
    llm: str | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Export:
    """Write a folder's ONNX files again and measure the parity of the two runtimes.

    vqa: questions and photographs to compare on, of which `prompts` are taken; None is the sample
    photograph. quantization: write the language model with its adapter as `merged.gguf`, stored so
    (see gguf.QUANTIZATIONS). llm: the GGUF of the language model that the parts were trained with,
    where it is no longer there or was none then. The weights, and so the model's identity, stay as
    they are. Raises UsageError, and leaves the folder as it was, if a bound is missed.
    """
    manifest = model.manifest
    read_by = _gguf_of(model, manifest.fusion, llm) if manifest.fusion else None
    adapter, base = model.path / ADAPTER_GGUF, None
    if quantization is not None:
        if manifest.adapter is None or not adapter.is_file():
            raise UsageError(f"{model.path} has no {ADAPTER_GGUF} to merge; run ophglm sft.")
        base = _gguf_of(model, manifest.adapter, llm)
    merged = model.path / MERGED if quantization is not None else None
    with write_model_folder(model.path) as folder:
        difference = write_encoder(load_encoder(model), manifest.encoder.input_size, folder)
        # Also where an older export had put the hash of the ONNX file there.
        manifest.encoder.sha256 = file_sha256(folder / model.encoder_weights.name)
        manifest.metrics["onnx_difference"] = difference
        parity = None
        if manifest.fusion is not None:
            write_fusion(load_fusion(model), folder)
            write_text_encoder(TextEncoder(manifest.fusion.text_encoder), folder)
            chosen = _prompts(vqa, prompts)
            parity = measure_parity(open_model(folder), chosen, str(read_by), progress)
            missed = parity.missed()
            if missed is not None:
                raise UsageError(f"{model.path}: {missed}; the folder is as it was.")
            manifest.fusion.parity = parity.to_json()
        if quantization is not None and base is not None:
            merge_adapter(base, adapter, folder / MERGED, quantization)
        save_manifest(folder, manifest)
    return Export(model.path, difference, parity, merged)


def _gguf_of(model: ModelFolder, part: FusionPart | AdapterPart, llm: str | None) -> Path:
    if llm is None:
        return model.trained_gguf(part)
    return runtime_of(model, part, llm, "local").source.path


def _prompts(vqa: Path | None, count: int) -> Sequence[PromptSpec]:
    if vqa is None:
        return example_prompts(count)
    pairs = read_vqa(vqa)
    step = max(1, len(pairs) // count)
    return [(p.image, p.question, p.language) for p in pairs[::step]][:count]
