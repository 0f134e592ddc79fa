"""The text encoder for the local runtime: `text_encoder.onnx`, int8, and `tokenizer.json`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from ..modelfolder import TEXT_ENCODER_ONNX, TOKENIZER
from ..onnx_export import export_graph, put_first
from .bert import TextEncoder, to_int8
from .runtime import TextEncoderSession


def write_text_encoder(encoder: TextEncoder, folder: Path) -> None:
    """Write `text_encoder.onnx` and `tokenizer.json`."""
    ids, mask = encoder.tokenize(["Is there a sign of disease?", "Left?"])
    dims = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", min=2, max=512)}
    graph = export_graph(
        encoder.cpu(),
        (ids, mask),
        TextEncoderSession.INPUTS,
        ["vectors"],
        {"ids": dims, "mask": dims},
    )
    _store_int8(graph, dict(encoder.named_parameters()))
    onnx.save(graph, folder / TEXT_ENCODER_ONNX)
    encoder.tokenizer.backend_tokenizer.save(str(folder / TOKENIZER))


def _store_int8(model: onnx.ModelProto, parameters: dict[str, torch.nn.Parameter]) -> None:
    """Store the matrices as int8 with a DequantizeLinear behind each.

    The exporter has turned some of them over; matrices are known by their values.
    """
    known: dict[bytes, tuple[np.ndarray, np.ndarray, int]] = {}
    for parameter in parameters.values():
        if parameter.ndim == 2:
            weight = parameter.detach()
            rounded, scale = (t.numpy() for t in to_int8(weight))
            known[_digest(weight.numpy())] = (rounded, scale, 0)
            known[_digest(weight.numpy().T)] = (rounded.T, scale, 1)
    graph = model.graph
    nodes, scales = [], []
    for tensor in graph.initializer:
        if len(tensor.dims) != 2:
            continue
        found = known.get(_digest(numpy_helper.to_array(tensor)))
        if found is None:
            continue
        rounded, scale, axis = found
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(rounded), f"{name}.int8"))
        scales.append(numpy_helper.from_array(scale, f"{name}.scale"))
        inputs = [f"{name}.int8", f"{name}.scale"]
        nodes.append(helper.make_node("DequantizeLinear", inputs, [name], axis=axis))
    graph.initializer.extend(scales)
    put_first(model, nodes)


def _digest(values: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).digest()
