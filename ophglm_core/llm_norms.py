"""What a language model keeps when it is converted to GGUF and quantised: its normalisations.

llama.cpp's converter and quantiser leave one-dimensional weights in fp32 (`llama-quantize` packs
matrices only), so by these a GGUF of any quantisation is known as the model in Hugging Face's form
that it was made of. Fine-tuning of all weights changes them; a merged adapter does not.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np

from .errors import UsageError
from .gguf_parts import all_parts
from .runtime.gguf_header import F16, F32, read_header
from .safetensors_header import opened_safetensors

#: The last normalisation, and that before each layer's attention; all families have them.
_GGUF_NAME = re.compile(r"(?:(output_norm)|blk\.(\d+)\.attn_norm)\.weight")
_HF_NAME = re.compile(
    r"(?:language_model\.)?(?:model\.)?(?:language_model\.)?"
    r"(?:(norm)|layers\.(\d+)\.input_layernorm)\.weight"
)


def norms_sha256(llm: Path) -> str | None:
    """Return the SHA-256 of a language model's normalisations as fp32, the last one first.

    llm: a GGUF file, of several parts the first, or a folder in Hugging Face's form. None where
    they are not found, or tell nothing: untrained ones are all 1. Raises UsageError if a file
    cannot be read.
    """
    found = _of_folder(llm) if llm.is_dir() else _of_gguf(llm)
    layers = sorted(number for number in found if number >= 0)
    if -1 not in found or layers != list(range(len(layers))) or not layers:
        return None
    values = [found[number] for number in (-1, *layers)]
    if all(np.ptp(value) == 0 for value in values):
        return None
    digest = hashlib.sha256()
    for value in values:
        digest.update(np.ascontiguousarray(value, "<f4").tobytes())
    return digest.hexdigest()


def _of_gguf(path: Path) -> dict[int, np.ndarray]:
    """Return the normalisations of a GGUF by their layers, the last one as -1."""
    found = {}
    for part in all_parts(path):
        header = read_header(part)
        for name, tensor in header.tensors.items():
            match = _GGUF_NAME.fullmatch(name)
            if match is None or tensor.kind not in (F32, F16):
                continue
            kind = "<f4" if tensor.kind == F32 else "<f2"
            at = header.data + tensor.offset
            values = np.fromfile(part, kind, tensor.count, offset=at).astype(np.float32)
            if values.size < tensor.count:
                raise UsageError(f"{part} is not a GGUF file, or one that was cut off.")
            found[_layer(match)] = values
    return found


def _of_folder(folder: Path) -> dict[int, np.ndarray]:
    """Return a folder's normalisations as `_of_gguf` does."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = str(config.get("model_type", ""))
    except (OSError, ValueError, AttributeError):
        raise UsageError(f"{folder / 'config.json'} cannot be read.") from None
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        with opened_safetensors(path) as (tensors, data, stream):
            for name, tensor in tensors.items():
                match = _HF_NAME.fullmatch(name)
                if match is None or len(tensor["shape"]) != 1:
                    continue
                start, end = tensor["data_offsets"]
                stream.seek(data + start)
                values = _fp32(stream.read(end - start), tensor["dtype"])
                if values is not None:
                    # transformers adds it as it computes, and llama.cpp's converter once.
                    found[_layer(match)] = values + 1 if kind.startswith("gemma") else values
    return found


def _layer(match: re.Match[str]) -> int:
    return -1 if match[1] else int(match[2])


def _fp32(data: bytes, dtype: str) -> np.ndarray | None:
    if dtype == "BF16":  # the upper half of fp32
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    kinds = {"F32": "<f4", "F16": "<f2"}
    return np.frombuffer(data, kinds[dtype]).astype(np.float32) if dtype in kinds else None
