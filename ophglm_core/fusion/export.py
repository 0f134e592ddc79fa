"""Reading and writing the fusion module: `fusion.safetensors`, `fusion.onnx`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import onnx
import torch
from onnxscript.optimizer import fold_constants, remove_unused_nodes
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..encoder.export import half, store_half, strip
from ..errors import UsageError
from ..modelfolder import FUSION_ONNX, FUSION_WEIGHTS, ModelFolder
from .network import Fusion, FusionInfo, make_fusion
from .runtime import FusionSession


def load_fusion(model: ModelFolder) -> Fusion:
    """Load a folder's fusion module as a torch module in fp32, in eval mode.

    Raises UsageError if it has none or the weights do not fit the manifest.
    """
    if model.manifest.fusion is None:
        raise UsageError(f"{model.path} has no fusion module; run ophglm train-fusion.")
    fusion = make_fusion(FusionInfo(**model.manifest.fusion["network"]))
    try:
        state = load_file(model.path / FUSION_WEIGHTS)
        fusion.load_state_dict({k: v.float() for k, v in state.items()})
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UsageError(f"{model.path / FUSION_WEIGHTS} cannot be read ({reason}).") from None
    return fusion.eval()


def write_fusion(fusion: Fusion, folder: Path) -> None:
    """Write both files; the weights are rounded to fp16 once and both hold the rounded ones."""
    fusion = fusion.cpu().eval()
    state = {k: half(v).contiguous() for k, v in fusion.state_dict().items()}
    fusion.load_state_dict({k: v.float() for k, v in state.items()})
    save_file(state, folder / FUSION_WEIGHTS)
    (folder / FUSION_WEIGHTS).chmod(0o644)  # safetensors keeps it to the user
    info = fusion.info
    example = (
        torch.randn(2, 2, info.places, info.image_width),
        torch.randn(2, 7, info.text_width),
        torch.ones(2, 7),
        torch.ones(2, 2),
    )
    batch, tokens = torch.export.Dim.AUTO, torch.export.Dim("tokens", min=2, max=512)
    pictures = torch.export.Dim("pictures", min=1, max=2)
    shapes = ({0: batch, 1: pictures}, {0: batch, 1: tokens}, {0: batch, 1: tokens})
    with tempfile.TemporaryDirectory() as scratch:
        raw = Path(scratch) / "raw.onnx"
        program: Any = torch.onnx.export(
            fusion,
            example,
            input_names=list(FusionSession.INPUTS),
            output_names=["rows", "logits"],
            dynamic_shapes=(*shapes, {0: batch, 1: pictures}),
            dynamo=True,
            optimize=False,
            verbose=False,
        )
        fold_constants(program.model, input_size_limit=1024, output_size_limit=1024)
        remove_unused_nodes(program.model)
        program.save(str(raw), external_data=False)
        graph = onnx.load(raw)
    strip(graph)
    store_half(graph)
    onnx.save(graph, folder / FUSION_ONNX)
