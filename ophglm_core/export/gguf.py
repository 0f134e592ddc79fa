"""An adapter merged into its language model: one GGUF file that needs nothing beside it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UsageError
from .quantize import QUANTIZATIONS, quantize


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
