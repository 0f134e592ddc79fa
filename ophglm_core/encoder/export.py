"""Write an image encoder into a model folder: safetensors and ONNX, in fp16, with equal outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..errors import UsageError
from ..modelfolder import ENCODER_ONNX, ENCODER_WEIGHTS, ModelFolder
from ..onnx_export import export_graph, save_half, store_half
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
    save_half(encoder, folder / ENCODER_WEIGHTS)
    graph = export_graph(
        ExportedEncoder(encoder),
        (torch.rand(2, 3, size, size),),
        ["pixels"],
        EncoderSession.OUTPUTS,
        {"pixels": {0: torch.export.Dim("batch")}},
    )
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
