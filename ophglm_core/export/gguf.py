"""GGUF files for llama.cpp: an adapter merged into its base model, and other storages."""

from __future__ import annotations

import ctypes
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UsageError

#: What a merged file can be stored as, by llama.cpp's names.
QUANTIZATIONS = ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_1", "Q4_0")


def quantize(source: Path, target: Path, quantization: str) -> None:
    """Write a GGUF file in another storage: one of QUANTIZATIONS, or 'F32'.

    Raises UsageError if llama.cpp cannot.
    """
    import llama_cpp

    parameters = llama_cpp.llama_model_quantize_default_params()
    name = {"F32": "ALL_F32"}.get(quantization, f"MOSTLY_{quantization}")
    parameters.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_{name}")
    parameters.allow_requantize = quantization == "F32"
    # What llama.cpp says goes through this logger of llama-cpp-python.
    logging.getLogger("llama-cpp-python").setLevel(logging.ERROR)
    failed = llama_cpp.llama_model_quantize(
        str(source).encode(), str(target).encode(), ctypes.byref(parameters)
    )
    if failed:
        raise UsageError(f"llama.cpp could not write {quantization} of {source.name}.")


@contextmanager
def unpacked(gguf: Path) -> Iterator[Path]:
    """Give a copy with the same weights in fp32 for as long as the block lasts.

    llama.cpp then computes in fp32. With quantised weights it rounds what enters each matrix to 8
    bits, by which alone a small model's logits change as much as by a fault in one of the runtimes.
    """
    with tempfile.TemporaryDirectory(prefix="ophglm-") as folder:
        copy = Path(folder) / "fp32.gguf"
        quantize(gguf, copy, "F32")
        yield copy


def merge_adapter(base: Path, adapter: Path, out: Path, quantization: str) -> None:
    """Add a GGUF adapter's products to the weights of a base GGUF, and quantise the sum.

    Raises UsageError if the quantisation is unknown, the adapter does not fit, or llama.cpp cannot
    quantise.
    """
    if quantization not in QUANTIZATIONS:
        raise UsageError(f"'{quantization}' is not one of {', '.join(QUANTIZATIONS)}.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".merging-") as scratch:
        whole, stored = Path(scratch) / "whole.gguf", Path(scratch) / "stored.gguf"
        _write_merged(base, adapter, whole)
        if quantization == "F16":
            stored = whole
        else:
            quantize(whole, stored, quantization)
        os.replace(stored, out)


def _write_merged(base: Path, adapter: Path, out: Path) -> None:
    import gguf
    from gguf.quants import dequantize

    reader, products = gguf.GGUFReader(base), _products(adapter)
    architecture = str(reader.fields["general.architecture"].contents())
    writer = gguf.GGUFWriter(str(out), architecture)
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        array = field.types[0] == gguf.GGUFValueType.ARRAY
        value: Any = field.contents()
        if field.name == "general.file_type":
            value = int(gguf.LlamaFileType.MOSTLY_F16)
        inner = field.types[-1] if array else None
        writer.add_key_value(field.name, value, field.types[0], sub_type=inner)
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        product = products.pop(tensor.name, None)
        if product is not None:
            if product.shape != values.shape:
                raise UsageError(f"{adapter} does not fit {base}: {tensor.name} differs in shape.")
            values = values + product
        kind = np.float16 if values.ndim > 1 else np.float32
        writer.add_tensor(tensor.name, values.astype(kind))
    if products:
        raise UsageError(f"{adapter} does not fit {base}, which has no {next(iter(products))}.")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _products(adapter: Path) -> dict[str, np.ndarray]:
    """Return scale * B @ A of each layer [out, in], by the base tensor's name."""
    import gguf

    reader = gguf.GGUFReader(adapter)
    alpha = float(reader.fields["adapter.lora.alpha"].contents())
    parts = {t.name: np.asarray(t.data, dtype=np.float32) for t in reader.tensors}
    names = {name.removesuffix(".lora_a") for name in parts if name.endswith(".lora_a")}
    result = {}
    for name in names:
        down, up = parts[f"{name}.lora_a"], parts[f"{name}.lora_b"]  # [r, in], [out, r]
        result[name] = up @ down * (alpha / down.shape[0])
    return result
