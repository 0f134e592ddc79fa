"""The image encoder as a torch module: timm backbones and a linear head on their pooled features.

The head is ConvNeXt's own (Liu et al. 2022, arXiv 2201.03545): average pool, layer norm, linear.
Because pool and norm are linear once the picture's mean and deviation are fixed, each logit is
exactly the mean over patches of a class activation map (Zhou et al. 2016, arXiv 1512.04150).

Several backbones of one architecture stand beside each other with the features of all before one
head, as an ensemble whose answers are averaged (Dietterich 2000, doi 10.1007/3-540-45014-9_1). What
was trained on the first one's map, the fusion module, goes on reading that. Where they have stages
in common, the exported graph computes these once.
"""

from __future__ import annotations

from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import group_modules
from torch import Tensor, nn
from torch.nn import functional

from ..errors import UsageError
from ..images import SURROUND
from ..model_folder import ModelFolder


class ImageEncoder(nn.Module):
    """Photograph -> logits per label, class activation maps and the last feature map.

    architecture: a timm name (`convnext_atto`, `tf_efficientnet_lite0`, ...). outputs: of all
    heads. size: the input in pixels, which some networks (ViT, Swin) are built for. backbones: how
    many stand beside each other. Raises UsageError if timm has no such network.
    """

    backbone: Any
    mean: Tensor
    std: Tensor

    def __init__(self, architecture: str, outputs: int, size: int = 224, backbones: int = 1):
        super().__init__()
        self._frozen: list[nn.Module] = []
        self.architecture, self.size = architecture, size
        self.backbone = _backbone(architecture, size)
        self.beside = nn.ModuleList(_backbone(architecture, size) for _ in range(1, backbones))
        self._channels_last = getattr(self.backbone, "output_fmt", "NCHW") == "NHWC"
        #: Channels of one backbone's last feature map.
        self.features = int(self.backbone.num_features)
        self.norm = BackboneNorm(self.features, backbones)
        self.dropout = nn.Dropout(0.1)
        self.classifier = nn.Linear(self.features * backbones, outputs)
        nn.init.trunc_normal_(self.classifier.weight, std=0.02)
        nn.init.zeros_(self.classifier.bias)
        self.gate = OodGate(self.features * backbones)
        config = self.backbone.pretrained_cfg
        self.register_buffer("mean", torch.tensor(config["mean"]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(config["std"]).view(1, 3, 1, 1))

    @property
    def backbones(self) -> list[Any]:
        """All backbones, the first one first."""
        return [self.backbone, *self.beside]

    def freeze(self, stages: int) -> None:
        """Keep the first stages of each backbone as they are; timm says what a stage is.

        Raises UsageError if there are not so many.
        """
        groups = group_modules(self.backbone, self.backbone.group_matcher(coarse=True))
        if stages > len(groups):
            raise UsageError(
                f"{self.architecture} has {len(groups)} stages that can be frozen, not {stages}."
            )
        names = [name for stage in list(groups)[:stages] for name in groups[stage]]
        self._frozen = [b.get_submodule(name) for b in self.backbones for name in names]
        for module in self._frozen:
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> ImageEncoder:
        """Set the mode; what is frozen keeps its batch statistics."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def feature_map(self, pixels: Tensor) -> Tensor:
        """RGB [B, 3, H, W] in 0..1 -> features [B, C, h, w] of all backbones, the first one's
        first."""
        normalised = self._normalised(pixels)
        return torch.cat([self._map_of(b.forward_features(normalised)) for b in self.backbones], 1)

    def _normalised(self, pixels: Tensor) -> Tensor:
        """Make the surround black, as training draws it: a camera's grain there says nothing of an
        eye. Then the backbone's mean and deviation."""
        normalised: Tensor = (pixels * lit(pixels) - self.mean) / self.std
        return normalised

    def _map_of(self, features: Tensor) -> Tensor:
        """What a backbone returns -> [B, C, h, w]."""
        if features.ndim == 3:  # a transformer's tokens [B, N, C], its class token first
            features = features[:, self.backbone.num_prefix_tokens :]
            side = round(features.shape[1] ** 0.5)
            return features.transpose(1, 2).unflatten(2, (side, -1))
        if self._channels_last:
            return features.permute(0, 3, 1, 2)
        return features

    def hint_widths(self, strides: tuple[int, ...]) -> list[int]:
        """Return the widths of the maps that `hints` returns."""
        widths = {f["reduction"]: f["num_chs"] for f in self.backbone.feature_info}
        return [widths[stride] for stride in strides]

    def hints(self, pixels: Tensor, strides: tuple[int, ...]) -> tuple[Tensor, list[Tensor]]:
        """RGB [B, 3, H, W] in 0..1 -> features [B, C, h, w], and the maps inside the first backbone
        at these strides in pixels."""
        order = [f["reduction"] for f in self.backbone.feature_info]
        normalised = self._normalised(pixels)
        first, inside = self.backbone.forward_intermediates(
            normalised, indices=[order.index(s) for s in strides]
        )
        others = [self._map_of(b.forward_features(normalised)) for b in self.backbones[1:]]
        return torch.cat([first, *others], 1), inside

    def forward(self, pixels: Tensor) -> Tensor:
        """RGB [B, 3, H, W] in 0..1 -> logits [B, outputs]."""
        pooled = self.feature_map(pixels).mean(dim=(2, 3))  # [B, C]
        logits: Tensor = self.classifier(self.dropout(self.norm(pooled)))
        return logits


def lit(pixels: Tensor) -> Tensor:
    """RGB [B, 3, H, W] in 0..1 -> which pixels are brighter than the surround, [B, 1, H, W]."""
    return pixels.amax(dim=1, keepdim=True) > SURROUND / 255


def _backbone(architecture: str, size: int) -> Any:
    try:
        fixed = getattr(timm.get_pretrained_cfg(architecture), "fixed_input_size", False)
        options: dict[str, Any] = {"img_size": size} if fixed else {}
        backbone: Any = timm.create_model(architecture, num_classes=0, global_pool="", **options)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"timm has no network called '{architecture}' ({error}).") from None
    if "convnext" in architecture:
        # timm keeps the norm in the head, after a pool that we take away; ours does it once.
        backbone.head = nn.Identity()
    return backbone


class BackboneNorm(nn.LayerNorm):
    """The layer norm of ConvNeXt's head, over the features of each backbone for itself."""

    def __init__(self, features: int, backbones: int):
        super().__init__(features * backbones, eps=1e-6)
        self.backbones = backbones

    def statistics(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled features [B, C] -> mean and deviation [B, C] of the backbone that each is of."""
        parts = pooled.unflatten(1, (self.backbones, -1))
        deviation = (parts.var(2, unbiased=False, keepdim=True) + self.eps).sqrt()
        mean = parts.mean(2, keepdim=True)
        return mean.expand_as(parts).flatten(1), deviation.expand_as(parts).flatten(1)

    def forward(self, pooled: Tensor) -> Tensor:
        """Pooled features [B, C] -> normed ones."""
        parts = pooled.unflatten(1, (self.backbones, -1))
        normed = functional.layer_norm(parts, parts.shape[2:], eps=self.eps).flatten(1)
        return normed * self.weight + self.bias


class Heads(nn.Module):
    """The trainable end of an encoder alone, for a training in which all before it stays as it is:
    its parameters have the encoder's names."""

    def __init__(self, encoder: ImageEncoder):
        super().__init__()
        self.norm, self.dropout, self.classifier = encoder.norm, encoder.dropout, encoder.classifier

    def forward(self, pooled: Tensor) -> Tensor:
        """Pooled features [B, C] -> logits [B, outputs]."""
        logits: Tensor = self.classifier(self.dropout(self.norm(pooled)))
        return logits


class OodGate(nn.Module):
    """Out-of-distribution score: how far a picture's features lie from those of the photographs the
    encoder was trained on.

    The negative log-likelihood of the pooled, normed features under probabilistic PCA (Tipping and
    Bishop 1999) without its constant, per dimension: about 1 for a photograph of the training's
    kind, and several times that for a face, a document or an X-ray. Unfitted, it gives 0.
    """

    mean: Tensor
    basis: Tensor
    gain: Tensor
    rest: Tensor

    def __init__(self, features: int, components: int = 96):
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("basis", torch.zeros(features, components))
        self.register_buffer("gain", torch.zeros(components))
        self.register_buffer("rest", torch.zeros(1))

    def fit(self, features: Tensor) -> None:
        """Fit to pooled, normed features [N, C] of photographs of the training's kind."""
        from sklearn.decomposition import PCA

        components = min(self.gain.numel(), len(features) - 1)
        pca = PCA(components, svd_solver="full").fit(features.double().numpy())
        count = self.mean.numel()
        self.mean.copy_(torch.from_numpy(pca.mean_))
        self.basis.zero_()
        self.basis[:, :components] = torch.from_numpy(pca.components_.T)
        self.gain.zero_()
        self.gain[:components] = torch.from_numpy(1 / pca.explained_variance_ / count)
        self.rest.fill_(1 / max(float(pca.noise_variance_), 1e-6) / count)

    def forward(self, features: Tensor) -> Tensor:
        """Pooled, normed features [B, C] -> OOD scores [B]."""
        offset = features - self.mean
        inside = offset @ self.basis  # [B, D]
        outside = offset.square().sum(1) - inside.square().sum(1)
        score: Tensor = (inside.square() * self.gain).sum(1) + outside * self.rest
        return score


class ExportedEncoder(nn.Module):
    """The form in which the encoder is exported: all that the local runtime needs, in one pass."""

    def __init__(self, encoder: ImageEncoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """RGB [B, 3, H, W] in 0..1 -> logits [B, L], class activation maps [B, L, h, w], features
        [B, C, h, w] of the first backbone and OOD scores [B].

        The mean of a map over its patches, plus the head's bias, is the label's logit.
        """
        head = self.encoder
        features = head.feature_map(pixels)  # [B, C, h, w]
        pooled = features.mean(dim=(2, 3))  # [B, C]
        normed = head.norm(pooled)  # [B, C]
        logits = head.classifier(normed)  # [B, L]
        centre, spread = (s[:, :, None, None] for s in head.norm.statistics(pooled))
        weight = head.classifier.weight * head.norm.weight  # [L, C]
        offset = (head.classifier.weight * head.norm.bias).sum(1)[None, :, None, None]
        patches = ((features - centre) / spread).flatten(2)  # [B, C, h*w]
        cams = torch.matmul(weight, patches).unflatten(2, features.shape[2:]) + offset
        return logits, cams, features[:, : head.features], head.gate(normed)


def join_encoders(first: ImageEncoder, second: ImageEncoder) -> ImageEncoder:
    """Return an encoder with the backbones of both, which says the mean of what they say.

    Both have the same outputs. Its gate is not fitted. Raises UsageError if they are not of one
    architecture and size.
    """
    if (first.architecture, first.size) != (second.architecture, second.size):
        raise UsageError(
            f"A {second.architecture} of {second.size} pixels cannot stand beside a "
            f"{first.architecture} of {first.size}."
        )
    both = (first, second)
    backbones = [backbone for encoder in both for backbone in encoder.backbones]
    outputs = first.classifier.out_features
    joined = ImageEncoder(first.architecture, outputs, first.size, len(backbones))
    with torch.no_grad():
        for to, source in zip(joined.backbones, backbones, strict=True):
            to.load_state_dict(source.state_dict())
        joined.norm.weight.copy_(torch.cat([e.norm.weight for e in both]))
        joined.norm.bias.copy_(torch.cat([e.norm.bias for e in both]))
        joined.classifier.weight.copy_(torch.cat([e.classifier.weight / 2 for e in both], 1))
        joined.classifier.bias.copy_((first.classifier.bias + second.classifier.bias) / 2)
    return joined.eval()


def load_encoder(model: ModelFolder) -> ImageEncoder:
    """Load a folder's image encoder in fp32, in eval mode.

    Raises UsageError if the weights are not those of the network that the manifest names.
    """
    info = model.manifest.encoder
    outputs = len(model.manifest.outputs)
    encoder = ImageEncoder(info.architecture, outputs, info.input_size, info.backbones)
    try:
        state = load_file(model.encoder_weights)
        encoder.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
        )
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UsageError(
            f"{model.encoder_weights} does not hold a {encoder.architecture} ({reason})."
        ) from None
    return encoder.eval()
