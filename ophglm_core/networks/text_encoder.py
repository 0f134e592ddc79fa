"""The text encoder as a torch module (Devlin et al. 2019, arXiv 1810.04805)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..assets import resolve_text_encoder
from ..errors import UsageError
from ..runtime.onnx import TEXT_MAX_LENGTH


class TextEncoder(nn.Module):
    """Frozen BERT: tokens -> one vector a token.

    Its matrices are rounded to int8, one scale a row, because a model folder carries them so: both
    runtimes then compute with the very same numbers.
    """

    def __init__(self, name: str):
        super().__init__()
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        source = resolve_text_encoder(name)
        self.name = name
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(source)
            bert: Any = AutoModel.from_pretrained(source, dtype=torch.float32)
        except (OSError, ValueError) as error:
            first = str(error).strip().splitlines()[0]
            raise UsageError(f"No text encoder '{name}' can be loaded ({first}).") from None
        if not getattr(tokenizer, "is_fast", False):
            raise UsageError(f"The text encoder '{name}' has no tokenizer.json; name another one.")
        self.tokenizer, self.bert = tokenizer, bert
        self.width = int(bert.config.hidden_size)
        with torch.no_grad():
            for parameter in bert.parameters():
                if parameter.ndim == 2:
                    rounded, scale = to_int8(parameter)
                    parameter.copy_(rounded.float() * scale[:, None])
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> TextEncoder:
        """Stay in eval mode: it is frozen, and a drop-out would make its output random."""
        return super().train(False)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids and mask int64 [B, T] -> vectors [B, T, D]."""
        hidden: Tensor = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        return hidden

    def tokenize(self, questions: list[str]) -> tuple[Tensor, Tensor]:
        """Return ids and mask, int64 [B, T], padded to the longest question."""
        batch = self.tokenizer(
            questions,
            padding=True,
            truncation=True,
            max_length=TEXT_MAX_LENGTH,
            return_tensors="pt",
        )
        return batch["input_ids"], batch["attention_mask"]

    def in_vocabulary(self, question: str) -> bool:
        """Whether at least three quarters of a question's tokens are in the vocabulary."""
        ids = self.tokenizer(question, add_special_tokens=False)["input_ids"]
        return sum(i == self.tokenizer.unk_token_id for i in ids) * 4 <= len(ids)


def to_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """float [R, C] -> int8 [R, C] and the scale of each row, float32 [R]."""
    scale = (weight.abs().amax(dim=1) / 127).clamp_min(1e-12)
    return (weight / scale[:, None]).round().to(torch.int8), scale
