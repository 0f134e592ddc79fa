"""Augmentation fit for fundus photographs, on whole batches and on the device that trains.

A retina has no up or down that a disease depends on, cameras differ in colour and exposure, and
small lesions must survive: so flips, rotation, mild scale and shift, brightness, contrast, gamma
and a gain per colour channel; no cut-outs and no strong blur. A network that knows where a picture
comes from knows what its source calls it, so what sources differ in is drawn, too: squashed frames,
half the resolution, and noise. Without the last, networks of this project took noise of two grey
levels, which nobody sees, for a sign of health (`tests/benchmarks/noise.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from ..networks.encoder import lit

#: How many random numbers the augmentation of one photograph takes.
DRAWS = 20
#: Standard deviation of the strongest noise, of full scale: what a small camera has in a dim eye.
_MOST_NOISE = 5 / 255


def draws_of(seeds: Iterable[int]) -> Tensor:
    """Return the draws [B, DRAWS] that belong to these seeds, one a photograph."""
    return torch.stack([torch.rand(DRAWS, generator=_generator(s)) for s in seeds])


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def to_pixels(crops: Tensor) -> Tensor:
    """uint8 [B, H, W, 3] -> float [B, 3, H, W] in 0..1."""
    return crops.permute(0, 3, 1, 2).float().div_(255.0)


def resize(pixels: Tensor, size: int) -> Tensor:
    """[B, 3, H, W] -> [B, 3, size, size]."""
    if pixels.shape[-1] == size:
        return pixels
    return functional.interpolate(pixels, (size, size), mode="bilinear", antialias=True)


def augment(crops: Tensor, size: int, draws: Tensor) -> Tensor:
    """uint8 disc crops [B, H, W, 3] -> augmented RGB [B, 3, size, size] in 0..1.

    draws: [B, DRAWS] in 0..1, what the augmentation is made of; the same draws give the same one.
    """
    count = crops.shape[0]
    columns = iter(draws.to(crops.device).unbind(dim=1))

    def uniform(low: float, high: float) -> Tensor:
        return next(columns) * (high - low) + low

    angle = uniform(-math.pi, math.pi) * (uniform(0, 1) < 0.5) + uniform(-0.35, 0.35)
    scale = torch.exp(uniform(-0.16, 0.16))
    squashed = uniform(0, 1) < 0.3
    stretch = torch.exp(torch.where(squashed, uniform(-0.28, 0.28), uniform(-0.06, 0.06)))
    flip = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle), torch.sin(angle)
    shift = torch.stack([uniform(-0.05, 0.05), uniform(-0.05, 0.05)], dim=1)
    theta = torch.stack(
        [
            torch.stack([cos * scale * flip * stretch, -sin * scale, shift[:, 0]], dim=1),
            torch.stack([sin * scale * flip * stretch, cos * scale, shift[:, 1]], dim=1),
        ],
        dim=1,
    )  # [B, 2, 3]
    pixels = to_pixels(crops)
    grid = functional.affine_grid(theta, [count, 3, size, size], align_corners=False)
    pixels = functional.grid_sample(pixels, grid, align_corners=False, padding_mode="zeros")
    coarse = functional.interpolate(functional.avg_pool2d(pixels, 2), (size, size), mode="bilinear")
    share = uniform(-1, 1).clamp_min(0)[:, None, None, None]  # none for half of the pictures
    pixels = pixels * (1 - share) + coarse * share

    def factor(spread: float, channels: int = 1) -> Tensor:
        columns = [uniform(-spread, spread) for _ in range(channels)]
        return torch.exp(torch.stack(columns, dim=1))[:, :, None, None]

    inside = lit(pixels).float()
    total = inside.sum(dim=(2, 3), keepdim=True).clamp_min(1.0)
    mean = (pixels * inside).sum(dim=(2, 3), keepdim=True) / total  # [B, 3, 1, 1]
    pixels = (pixels - mean) * factor(0.25) + mean
    pixels = pixels * factor(0.25) * factor(0.10, 3)
    pixels = pixels.clamp(1e-4, 1.0).pow(factor(0.15))
    # For every photograph: grain that half of them kept would go on telling where they come from.
    amount = uniform(0, 1)[:, None, None, None] * _MOST_NOISE
    pixels = (pixels + amount * _grain(uniform(0, 1), uniform(0, 1), size)).clamp(0, 1)
    return pixels * inside


def _grain(seeds: Tensor, coarse: Tensor, size: int) -> Tensor:
    """Return noise of unit deviation [B, 3, size, size]: of single pixels, or, where coarse [B] is
    above a half, of some two, as a camera's own processing leaves it. seeds: [B] in 0..1."""
    drawn = [
        torch.randn((3, size, size), generator=_generator(int(seed * 2**24)))
        for seed in seeds.tolist()
    ]
    noise = torch.stack(drawn).to(seeds.device)
    pooled = functional.avg_pool2d(noise, 2)
    # The mean of four has half their deviation, and interpolation five eighths of that.
    wide = functional.interpolate(pooled, (size, size), mode="bilinear") / (0.5 * 0.625)
    return torch.where(coarse[:, None, None, None] > 0.5, wide, noise)
