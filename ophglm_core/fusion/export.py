"""Reading and writing the fusion module: `fusion.safetensors`, `fusion.onnx`."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..errors import UsageError
from ..modelfolder import FUSION_ONNX, FUSION_WEIGHTS, ModelFolder
from ..onnx_export import export_graph, save_half, store_half
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
    save_half(fusion, folder / FUSION_WEIGHTS)
    info = fusion.info
    example = (
        torch.randn(2, 2, info.places, info.image_width),
        torch.randn(2, 7, info.text_width),
        torch.ones(2, 7),
        torch.ones(2, 2),
    )
    batch, tokens = torch.export.Dim.AUTO, torch.export.Dim("tokens", min=2, max=512)
    pictures = torch.export.Dim("pictures", min=1, max=2)
    dynamic = {
        "images": {0: batch, 1: pictures},
        "text": {0: batch, 1: tokens},
        "text_mask": {0: batch, 1: tokens},
        "shown": {0: batch, 1: pictures},
    }
    graph = export_graph(fusion, example, FusionSession.INPUTS, ["rows", "logits"], dynamic)
    store_half(graph)
    onnx.save(graph, folder / FUSION_ONNX)
