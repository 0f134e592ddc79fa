"""The fusion module as a torch module, in the two forms that a model folder can hold.

Its task is OphGLM's (Deng et al. 2023, arXiv 2306.12174): the photograph, with regard to the
question, becomes soft tokens that a frozen language model reads as if they were words.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from ..errors import UsageError
from ..manifest import CLOSED_ANSWERS, FusionInfo
from ..model_folder import FUSION_WEIGHTS, ModelFolder

#: Two photographs at most: the eyes of a patient.
_IMAGES = 2
#: Parameters that folders of format 1 have under another name.
_FORMAT_1 = {"place": "patch_position", "picture": "image_position"}


def make_fusion(info: FusionInfo) -> Fusion:
    """Return a new fusion module of these dimensions."""
    return QueryFusion(info) if info.kind == "queries" else MlpFusion(info)


class Fusion(nn.Module):
    """What both forms share: soft tokens at the language model's scale, and a head that gives the
    closed answers and, after them, the conditions that the photographs show."""

    def __init__(self, info: FusionInfo, width: int):
        super().__init__()
        self.info = info
        self.head = nn.Linear(width, len(CLOSED_ANSWERS) + info.labels)
        self.scale = nn.Parameter(torch.tensor(info.scale))

    def _scaled(self, soft_tokens: Tensor) -> Tensor:
        return functional.layer_norm(soft_tokens, soft_tokens.shape[-1:]) * self.scale

    def forward(
        self, images: Tensor, text: Tensor, text_mask: Tensor, shown: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Fuse photographs and questions.

        images: tokens [B, M, P, C] of M photographs. text: [B, T, D], and text_mask [B, T], 1 where
        a token is. shown: [B, M], 1 where a photograph is and 0 where one is padding.
        Returns soft tokens [B, K, H] for the language model and logits
        [B, len(CLOSED_ANSWERS) + labels].
        """
        raise NotImplementedError


class QueryFusion(Fusion):
    """K learned queries that attend to image and text tokens (Perceiver, Jaegle et al. 2021,
    arXiv 2103.03206; Q-Former, Li et al. 2023, arXiv 2301.12597).

    Beside the tokens of a photograph stands their mean, from which the encoder's own head answers:
    found once, it need not be gathered from all patches by attention.
    """

    def __init__(self, info: FusionInfo):
        super().__init__(info, info.width)
        self.image_norm = nn.LayerNorm(info.image_width)
        self.image_in = nn.Linear(info.image_width, info.width)
        self.mean_norm = nn.LayerNorm(info.image_width)
        self.mean_in = nn.Linear(info.image_width, info.width)
        self.text_norm = nn.LayerNorm(info.text_width)
        self.text_in = nn.Linear(info.text_width, info.width)
        self.patch_position = nn.Parameter(torch.randn(1 + info.patches, info.width) * 0.02)
        self.image_position = nn.Parameter(torch.randn(_IMAGES, info.width) * 0.02)
        self.queries = nn.Parameter(torch.randn(info.soft_tokens, info.width) * 0.2)
        self.layers = nn.ModuleList(_Layer(info.width, info.heads) for _ in range(info.layers))
        self.norm = nn.LayerNorm(info.width)
        self.dropout = nn.Dropout(0.2)
        self.out = nn.Linear(info.width, info.llm_width)

    def forward(
        self, images: Tensor, text: Tensor, text_mask: Tensor, shown: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See Fusion.forward."""
        count = images.shape[1]
        mean = self.mean_in(self.mean_norm(images.mean(dim=2, keepdim=True)))  # [B, M, 1, W]
        image = torch.cat([mean, self.image_in(self.image_norm(images))], dim=2)
        image = self.dropout(image) + self.patch_position + self.image_position[:count, None]
        words = self.text_in(self.text_norm(text))  # [B, T, W]
        memory = torch.cat([image.flatten(1, 2), words], dim=1)  # [B, M*(1+P) + T, W]
        visible = shown[:, :, None].expand(-1, -1, image.shape[2]).flatten(1)  # [B, M*(1+P)]
        mask = torch.cat([visible, text_mask.to(visible.dtype)], dim=1)[:, None, None, :] > 0
        queries = self.queries.expand(images.shape[0], -1, -1)  # [B, K, W]
        for layer in self.layers:
            queries = layer(queries, memory, mask)
        fused = self.norm(queries)  # [B, K, W]
        return self._scaled(self.out(fused)), self.head(fused.mean(dim=1))


class MlpFusion(Fusion):
    """OphGLM's published fusion: pooled image and [CLS], L2-normalised and joined, through six
    linear layers with ReLU, become one soft token. Of two photographs the mean is taken."""

    def __init__(self, info: FusionInfo):
        super().__init__(info, info.llm_width)
        widths = [info.image_width + info.text_width] + 6 * [info.llm_width]
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(
        self, images: Tensor, text: Tensor, text_mask: Tensor, shown: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See Fusion.forward; K is 1."""
        share = shown / shown.sum(dim=1, keepdim=True)  # [B, M]
        pooled = (images.mean(dim=2) * share[:, :, None]).sum(dim=1)  # [B, C]
        # Used as zero, so that both forms export with the same inputs.
        first = text[:, 0] + 0 * text_mask[:, :1].to(text.dtype)
        joined = torch.cat(
            [functional.normalize(pooled, dim=1), functional.normalize(first, dim=1)], dim=1
        )
        for index, linear in enumerate(self.linears):
            joined = linear(functional.relu(joined) if index else joined)
        return self._scaled(joined)[:, None], self.head(functional.relu(joined))


class _Layer(nn.Module):
    """Self-attention among the queries, cross-attention to the memory, and an MLP; pre-norm."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.self_norm, self.cross_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp_norm, self.memory_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attention = _Attention(width, heads)
        self.cross_attention = _Attention(width, heads)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(0.1), nn.Linear(4 * width, width)
        )

    def forward(self, queries: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """[B, K, W], [B, N, W] and bool [B, 1, 1, N] -> [B, K, W]."""
        normed = self.self_norm(queries)
        queries = queries + self.self_attention(normed, normed, None)
        memory = self.memory_norm(memory)
        queries = queries + self.cross_attention(self.cross_norm(queries), memory, mask)
        result: Tensor = queries + self.mlp(self.mlp_norm(queries))
        return result


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, queries: Tensor, memory: Tensor, mask: Tensor | None) -> Tensor:
        def split(tokens: Tensor) -> Tensor:  # [B, N, W] -> [B, heads, N, W / heads]
            return tokens.unflatten(2, (self.heads, -1)).transpose(1, 2)

        attended = functional.scaled_dot_product_attention(
            split(self.query(queries)), split(self.key(memory)), split(self.value(memory)), mask
        )
        result: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return result


def load_fusion(model: ModelFolder) -> Fusion:
    """Load a folder's fusion module in fp32, in eval mode.

    Raises UsageError if it has none or the weights do not fit the manifest.
    """
    if model.manifest.fusion is None:
        raise UsageError(f"{model.path} has no fusion module; run ophglm train-fusion.")
    fusion = make_fusion(model.manifest.fusion.network)
    try:
        state = load_file(model.path / FUSION_WEIGHTS)
        fusion.load_state_dict({_FORMAT_1.get(k, k): v.float() for k, v in state.items()})
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UsageError(f"{model.path / FUSION_WEIGHTS} cannot be read ({reason}).") from None
    return fusion.eval()
