"""From a torch module to a small ONNX file with the same numbers: what all exported parts share."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxscript.optimizer import fold_constants, remove_unused_nodes
from safetensors.torch import save_file
from torch import nn

from .errors import UsageError


def export_graph(
    module: nn.Module,
    example: tuple[torch.Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic: dict[str, Any],
) -> onnx.ModelProto:
    """Export a module in eval mode; `dynamic` names the free dimensions of its inputs."""
    program: Any = torch.onnx.export(
        module.eval(),
        example,
        input_names=list(inputs),
        output_names=list(outputs),
        dynamic_shapes=dynamic,
        dynamo=True,
        optimize=False,
        verbose=False,
    )
    # The exporter's own optimiser would also fold batch norms into weights that are then no longer
    # those of the safetensors file; small constants alone make ONNX Runtime three times faster.
    fold_constants(program.model, input_size_limit=1024, output_size_limit=1024)
    remove_unused_nodes(program.model)
    with tempfile.TemporaryDirectory() as scratch:
        raw = Path(scratch) / "raw.onnx"
        program.save(str(raw), external_data=False)
        graph = onnx.load(raw)
    # Stack traces and other notes of the exporter are a seventh of the file.
    del graph.graph.value_info[:]
    for node in graph.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    return graph


def save_half(module: nn.Module, path: Path) -> None:
    """Round a module's weights to fp16, here and in the safetensors file that is written.

    Raises UsageError if a weight is too large for fp16.
    """
    state = {k: _half(v).contiguous() for k, v in module.state_dict().items()}
    module.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    save_file(state, path)
    path.chmod(0o644)  # safetensors keeps it to the user


def _half(value: torch.Tensor) -> torch.Tensor:
    if not value.is_floating_point():
        return value
    rounded = value.half()
    if not torch.isfinite(rounded).all():
        raise UsageError("A weight is too large for fp16; train with more weight decay.")
    return rounded


def store_half(model: onnx.ModelProto) -> None:
    """Store fp32 weights as fp16 with a cast behind each; ONNX Runtime undoes it at load."""
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < 256:
            continue
        half = values.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), values):
            continue  # computed by the exporter, not a rounded weight
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.fp16"))
        casts.append(helper.make_node("Cast", [f"{name}.fp16"], [name], to=TensorProto.FLOAT))
    put_first(model, casts)


def put_first(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Put nodes before all others of a graph."""
    everything = [*nodes, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(everything)
