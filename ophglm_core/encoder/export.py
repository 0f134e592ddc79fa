"""Write an image encoder into a model folder: safetensors and ONNX, in fp16, with equal outputs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxscript.optimizer import fold_constants, remove_unused_nodes
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..errors import UsageError
from ..modelfolder import ENCODER_ONNX, ENCODER_WEIGHTS, ModelFolder
from .network import ExportedEncoder, ImageEncoder
from .onnx_runtime import EncoderSession

#: Largest difference of a logit that is allowed between the two runtimes.
TOLERANCE = 1e-4


def load_encoder(model: ModelFolder) -> ImageEncoder:
    """Load a folder's image encoder as a torch module in fp32, in eval mode.

    Raises UsageError if the weights are not those of the network that the manifest names.
    """
    encoder = ImageEncoder(model.manifest.encoder.architecture, len(model.manifest.labels))
    try:
        state = load_file(model.encoder_weights)
        encoder.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
        )
    except (RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UsageError(
            f"{model.encoder_weights} does not hold a {encoder.architecture} ({reason})."
        ) from None
    return encoder.eval()


def write_encoder(encoder: ImageEncoder, size: int, folder: Path) -> float:
    """Write `encoder.safetensors` and `encoder.onnx`; return the largest difference of a logit.

    The weights are rounded to fp16 once, and both files hold the rounded ones; both runtimes
    compute in fp32. Raises UsageError if the outputs differ by more than 1e-4.
    """
    encoder = encoder.cpu().to(memory_format=torch.contiguous_format).eval()
    state = {k: half(v).contiguous() for k, v in encoder.state_dict().items()}
    encoder.load_state_dict(
        {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    )
    save_file(state, folder / ENCODER_WEIGHTS)
    (folder / ENCODER_WEIGHTS).chmod(0o644)  # safetensors keeps it to the user
    with tempfile.TemporaryDirectory() as scratch:
        raw = Path(scratch) / "raw.onnx"
        export_onnx(encoder, size, raw)
        graph = onnx.load(raw)
    strip(graph)
    store_half(graph)
    onnx.save(graph, folder / ENCODER_ONNX)
    difference = compare_runtimes(encoder, folder / ENCODER_ONNX, size)
    if difference > TOLERANCE:
        raise UsageError(
            f"The exported encoder's logits differ by {difference:.1e} between torch and ONNX "
            f"Runtime, more than {TOLERANCE:.0e}."
        )
    return difference


def export_onnx(encoder: ImageEncoder, size: int, path: Path) -> None:
    """Export the encoder as it runs locally, with the batch as its only free dimension."""
    program: Any = torch.onnx.export(
        ExportedEncoder(encoder).eval(),
        (torch.rand(2, 3, size, size),),
        input_names=["pixels"],
        output_names=list(EncoderSession.OUTPUTS),
        dynamic_shapes={"pixels": {0: torch.export.Dim("batch")}},
        dynamo=True,
        optimize=False,
        verbose=False,
    )
    # The exporter's own optimiser would also fold batch norms into weights that are then no longer
    # those of the safetensors file; small constants alone make ONNX Runtime three times faster.
    fold_constants(program.model, input_size_limit=1024, output_size_limit=1024)
    remove_unused_nodes(program.model)
    program.save(str(path), external_data=False)


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


def half(value: torch.Tensor) -> torch.Tensor:
    """Round to fp16; integers stay. Raises UsageError if a weight is too large for it."""
    if not value.is_floating_point():
        return value
    rounded = value.half()
    if not torch.isfinite(rounded).all():
        raise UsageError("A weight is too large for fp16; train with more weight decay.")
    return rounded


def strip(model: onnx.ModelProto) -> None:
    """Take out stack traces and other notes of the exporter, a seventh of the file."""
    del model.graph.value_info[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""


def store_half(model: onnx.ModelProto) -> None:
    """Store fp32 weights as fp16 with a cast behind each; ONNX Runtime undoes it at load."""
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < 256:
            continue
        half = values.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), values):
            continue  # computed by the exporter, not a rounded weight
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.fp16"))
        casts.append(helper.make_node("Cast", [f"{name}.fp16"], [name], to=TensorProto.FLOAT))
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
