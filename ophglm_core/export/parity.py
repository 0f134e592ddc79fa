"""Do the two runtimes say the same? Measured part by part, from photograph to next word.

Whether they do is asked with one and the same weights in fp32. In use llama.cpp computes with
quantised ones and rounds to 8 bits what enters each matrix; how much that changes is the
quantisation's and no fault of a runtime, so it is measured beside it and bounded by nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ..assets import resolve_llm
from ..images import load_crop
from ..model_folder import (
    ADAPTER_GGUF,
    FUSION_ONNX,
    PEFT_FOLDER,
    TEXT_ENCODER_ONNX,
    TOKENIZER,
    ModelFolder,
)
from ..networks.encoder import load_encoder
from ..networks.fusion import load_fusion
from ..networks.language_model import TorchLanguageModel
from ..networks.lora import load_adapter
from ..networks.text_encoder import TextEncoder
from ..prompts import IMAGE_PLACEHOLDER, system_prompt, vqa_messages
from ..runtime.llama import LlamaSession
from ..runtime.onnx import EncoderSession, FusionSession, TextEncoderSession
from .gguf import unpacked

#: Photographs, question and language.
PromptSpec = tuple[tuple[str, ...], str, str]
MAX_DIFFERENCE, MIN_CORRELATION, MIN_TOP1_AGREEMENT = 1e-3, 0.999, 0.95
_CONTEXT = 512


@dataclass
class Agreement:
    """How alike two runtimes' logits of the next token are. correlations: a prompt each. same_top1:
    whether the most probable token is the same, a prompt each."""

    correlations: list[float] = field(default_factory=list)
    same_top1: list[bool] = field(default_factory=list)

    def add(self, ours: np.ndarray, theirs: np.ndarray) -> None:
        """Compare two runtimes' logits [V] of one prompt; one may have been padded at its end."""
        size = min(len(ours), len(theirs))
        ours, theirs = ours[:size], theirs[:size]
        self.correlations.append(float(np.corrcoef(ours, theirs)[0, 1]))
        self.same_top1.append(int(ours.argmax()) == int(theirs.argmax()))

    @property
    def correlation(self) -> float:
        """The mean of the correlations."""
        return float(np.mean(self.correlations))

    @property
    def top1_agreement(self) -> float:
        """The share of prompts with the same most probable token."""
        return float(np.mean(self.same_top1))

    def to_json(self) -> dict[str, float]:
        """Return the metrics as plain values."""
        return {
            "prompts": len(self.same_top1),
            "correlation": self.correlation,
            "lowest_correlation": float(np.min(self.correlations)),
            "top1_agreement": self.top1_agreement,
        }


@dataclass
class Parity:
    """soft_tokens: the largest difference of a soft token's value, in units of their root mean
    square. fp32: with the same weights in fp32. quantised: with llama.cpp's as in use."""

    soft_tokens: float = 0.0
    fp32: Agreement = field(default_factory=Agreement)
    quantised: Agreement = field(default_factory=Agreement)

    def to_json(self) -> dict[str, float]:
        """Return the metrics as plain values."""
        return {
            **self.fp32.to_json(),
            "soft_tokens": self.soft_tokens,
            "quantised_correlation": self.quantised.correlation,
            "quantised_top1_agreement": self.quantised.top1_agreement,
        }

    def missed(self) -> str | None:
        """Return what falls short of its bound, or None."""
        if self.soft_tokens > MAX_DIFFERENCE:
            return f"soft tokens differ by {self.soft_tokens:.1e}, more than {MAX_DIFFERENCE:.0e}"
        if self.fp32.correlation < MIN_CORRELATION:
            return f"next-token logits correlate {self.fp32.correlation:.4f}, not {MIN_CORRELATION}"
        if self.fp32.top1_agreement < MIN_TOP1_AGREEMENT:
            return f"the first token is the same on {self.fp32.top1_agreement:.0%} only"
        return None


class TorchVqa:
    """Photograph and question to soft tokens and next-token logits, in the torch runtime."""

    def __init__(self, model: ModelFolder, llm: TorchLanguageModel):
        self.encoder, self.fusion = load_encoder(model), load_fusion(model)
        assert model.manifest.fusion is not None  # load_fusion has raised otherwise
        self.text_encoder = TextEncoder(model.manifest.fusion.text_encoder)
        self.llm = llm

    @torch.no_grad()
    def soft_tokens(self, pixels: np.ndarray, question: str) -> np.ndarray:
        """RGB float32 [M, 3, H, W] and a question -> soft tokens [K, H]."""
        features = self.encoder.feature_map(torch.from_numpy(pixels))[:, : self.encoder.features]
        images = features.flatten(2).transpose(1, 2)[None]  # [1, M, P, C]
        ids, mask = self.text_encoder.tokenize([question])
        text = self.text_encoder(ids, mask)
        fused, _ = self.fusion(images, text, mask.float(), torch.ones(1, len(pixels)))
        return np.asarray(fused[0].numpy())

    def next_logits(self, messages: list[dict[str, str]], soft_tokens: np.ndarray) -> np.ndarray:
        """Return the logits [V] of the token that follows the messages."""
        before, after = self.llm.render(messages, True).split(IMAGE_PLACEHOLDER)
        parts = [
            self.llm.embed(torch.tensor(self.llm.tokenize(before), device=self.llm.device)),
            torch.from_numpy(soft_tokens).to(self.llm.device, self.llm.model.dtype),
            self.llm.embed(torch.tensor(self.llm.tokenize(after), device=self.llm.device)),
        ]
        return self.llm.next_logits(torch.cat(parts))


def measure_parity(
    model: ModelFolder,
    prompts: Sequence[PromptSpec],
    llm: str | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Parity:
    """Run prompts through both runtimes and compare.

    llm: a GGUF file, or None for the embedded one; both runtimes read it.
    """
    gguf = resolve_llm(llm)
    torch_vqa = TorchVqa(model, TorchLanguageModel(str(gguf), torch.device("cpu")))
    encoder = EncoderSession(model.encoder_onnx)
    text = TextEncoderSession(model.path / TEXT_ENCODER_ONNX, model.path / TOKENIZER)
    fusion = FusionSession(model.path / FUSION_ONNX)
    size, parity = model.manifest.encoder.input_size, Parity()
    with (
        unpacked(gguf) as copy,
        closing(LlamaSession(copy, _CONTEXT)) as fp32,
        closing(LlamaSession(gguf, _CONTEXT)) as quantised,
    ):
        for number, (images, question, language) in enumerate(prompts, start=1):
            crops = np.stack([load_crop(Path(path), size) for path in images])
            pixels = np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32) / 255
            expected = torch_vqa.soft_tokens(pixels, question)
            got = fusion.run(encoder.run(pixels).features, text.run(question))
            unit = float(np.sqrt(np.mean(expected**2)))
            difference = float(np.abs(expected - got).max()) / unit
            parity.soft_tokens = max(parity.soft_tokens, difference)
            messages = vqa_messages(question, language)
            theirs = torch_vqa.next_logits(messages, expected)
            for session, agreement in ((fp32, parity.fp32), (quantised, parity.quantised)):
                session.truncate(0)
                session.append_prompt(session.render(messages, True), got)
                agreement.add(session.next_logits(), theirs)
            progress(number, len(prompts))
    return parity


_ADAPTER_PROMPTS = (
    "What is glaucoma?",
    "How is diabetic retinopathy treated?",
    "What causes a cataract?",
    "Is it urgent?",
    "What can the patient do at home?",
)


def adapter_parity(folder: Path, name: str | None) -> dict[str, float]:
    """Compare next-token logits with a folder's adapter on in both runtimes.

    Both compute with the same weights in fp32. Returns their mean and lowest correlation over a few
    prompts, the share of the same first token, and how far the adapter moved them, as the
    correlation of llama.cpp's logits with and without.
    """
    gguf = resolve_llm(name)
    # Read from the files: what was trained may be in bfloat16, and what was written is fp16.
    llm = TorchLanguageModel(str(gguf), torch.device("cpu"))
    llm.model = load_adapter(llm.model, folder / PEFT_FOLDER)
    alike, moved = Agreement(), Agreement()
    with (
        unpacked(gguf) as copy,
        closing(LlamaSession(copy, _CONTEXT, folder / ADAPTER_GGUF)) as adapted,
        closing(LlamaSession(copy, _CONTEXT)) as plain,
    ):
        for question in _ADAPTER_PROMPTS:
            messages = [
                {"role": "system", "content": system_prompt()},
                {"role": "user", "content": question},
            ]
            prompt = llm.render(messages, True)
            ids = torch.tensor(llm.tokenize(prompt), device=llm.device)
            theirs = llm.next_logits(llm.embed(ids))
            for session in (adapted, plain):
                session.truncate(0)
                session.append_text(prompt)
            ours = adapted.next_logits()
            alike.add(ours, theirs)
            moved.add(ours, plain.next_logits())
    return {**alike.to_json(), "with_and_without": moved.correlation}
