"""From torch modules to small ONNX files with the same numbers, beside their safetensors."""

from __future__ import annotations

import hashlib
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

from ..errors import UsageError
from ..model_folder import (
    ENCODER_ONNX,
    ENCODER_WEIGHTS,
    FUSION_ONNX,
    FUSION_WEIGHTS,
    TEXT_ENCODER_ONNX,
    TOKENIZER,
)
from ..networks.encoder import ExportedEncoder, ImageEncoder
from ..networks.fusion import Fusion
from ..networks.text_encoder import TextEncoder, to_int8
from ..runtime.onnx import EncoderSession, FusionSession, TextEncoderSession

#: Largest difference of a logit that is allowed between the two runtimes.
TOLERANCE = 1e-4


def write_encoder(encoder: ImageEncoder, size: int, folder: Path) -> float:
    """Write `encoder.safetensors` and `encoder.onnx`; return the largest difference of a logit.

    The weights are rounded to fp16 once, and both files hold the rounded ones; both runtimes
    compute in fp32. Raises UsageError if the outputs differ by more than 1e-4.
    """
    encoder = encoder.cpu().to(memory_format=torch.contiguous_format).eval()
    save_half(encoder, folder / ENCODER_WEIGHTS)
    graph = export_graph(
        ExportedEncoder(encoder),
        (torch.rand(2, 3, size, size),),
        ["pixels"],
        EncoderSession.OUTPUTS,
        {"pixels": {0: torch.export.Dim("batch")}},
    )
    share_weights(graph)
    store_half(graph)
    onnx.save(graph, folder / ENCODER_ONNX)
    difference = compare_runtimes(encoder, folder / ENCODER_ONNX, size)
    if difference > TOLERANCE:
        raise UsageError(
            f"The exported encoder's logits differ by {difference:.1e} between torch and ONNX "
            f"Runtime, more than {TOLERANCE:.0e}."
        )
    return difference


def compare_runtimes(encoder: ImageEncoder, onnx_path: Path, size: int) -> float:
    """Return the largest absolute difference of a logit over pictures of several kinds."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(4, 3, size, size, generator=generator)
    smooth = torch.nn.functional.interpolate(
        torch.rand(4, 3, 7, 7, generator=generator), (size, size), mode="bicubic"
    ).clamp(0, 1)
    pixels = torch.cat([noise, smooth, torch.zeros(1, 3, size, size)])
    with torch.no_grad():
        expected = encoder(pixels).numpy()
    got = EncoderSession(onnx_path).run(pixels.numpy()).logits
    return float(np.abs(expected - got).max())


def write_fusion(fusion: Fusion, folder: Path) -> None:
    """Write both files; the weights are rounded to fp16 once and both hold the rounded ones."""
    fusion = fusion.cpu().eval()
    save_half(fusion, folder / FUSION_WEIGHTS)
    info = fusion.info
    example = (
        torch.randn(2, 2, info.patches, info.image_width),
        torch.randn(2, 7, info.text_width),
        torch.ones(2, 7),
        torch.ones(2, 2),
    )
    batch, tokens = torch.export.Dim.AUTO, torch.export.Dim("tokens", min=2, max=512)
    images = torch.export.Dim("images", min=1, max=2)
    dynamic = {
        "images": {0: batch, 1: images},
        "text": {0: batch, 1: tokens},
        "text_mask": {0: batch, 1: tokens},
        "shown": {0: batch, 1: images},
    }
    graph = export_graph(fusion, example, FusionSession.INPUTS, FusionSession.OUTPUTS, dynamic)
    store_half(graph)
    onnx.save(graph, folder / FUSION_ONNX)


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


def share_weights(model: onnx.ModelProto) -> None:
    """Keep weights that are alike once. ONNX Runtime then computes what backbones have in common
    once, too."""
    known: dict[tuple[object, ...], str] = {}
    same: dict[str, str] = {}
    for tensor in list(model.graph.initializer):
        values = numpy_helper.to_array(tensor)
        key = (_digest(values), tensor.data_type, *tensor.dims)
        if key in known:
            same[tensor.name] = known[key]
            model.graph.initializer.remove(tensor)
        else:
            known[key] = tensor.name
    for node in model.graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]


def put_first(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Put nodes before all others of a graph."""
    everything = [*nodes, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(everything)
