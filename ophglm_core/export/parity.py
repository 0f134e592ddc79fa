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

from .encoder.export import load_encoder
from .encoder.onnx_runtime import EncoderSession
from .fusion.export import load_fusion
from .fusion.prompt import PLACEHOLDER, messages
from .fusion.runtime import FusionSession
from .images import load_crop
from .llm.llama_runtime import LlamaSession
from .llm.quantize import unpacked
from .llm.rows import feed_prompt
from .llm.source import resolve_llm
from .llm.torch_llm import TorchLLM
from .modelfolder import FUSION_ONNX, TEXT_ENCODER_ONNX, TOKENIZER, ModelFolder
from .text_encoder.bert import TextEncoder
from .text_encoder.runtime import TextEncoderSession

ROWS, CORRELATION, SAME_FIRST = 1e-3, 0.999, 0.95
_CONTEXT = 512


@dataclass
class Agreement:
    """How alike two runtimes' logits of the next token are. correlations: a prompt each. same:
    whether the first token is the same, a prompt each."""

    correlations: list[float] = field(default_factory=list)
    same: list[bool] = field(default_factory=list)

    def add(self, ours: np.ndarray, theirs: np.ndarray) -> None:
        """Compare two runtimes' logits [V] of one prompt; one may have been padded at its end."""
        size = min(len(ours), len(theirs))
        ours, theirs = ours[:size], theirs[:size]
        self.correlations.append(float(np.corrcoef(ours, theirs)[0, 1]))
        self.same.append(int(ours.argmax()) == int(theirs.argmax()))

    @property
    def correlation(self) -> float:
        """The mean of the correlations."""
        return float(np.mean(self.correlations))

    @property
    def same_first(self) -> float:
        """The share of prompts with the same first token."""
        return float(np.mean(self.same))

    def to_json(self) -> dict[str, float]:
        """Return the figures as plain values."""
        return {
            "prompts": len(self.same),
            "correlation": self.correlation,
            "lowest_correlation": float(np.min(self.correlations)),
            "same_first_token": self.same_first,
        }


@dataclass
class Parity:
    """rows: the largest difference of a fused row's value, in units of the rows' root mean square.
    exact: with the same weights in fp32. quantised: with llama.cpp's as in use."""

    rows: float = 0.0
    exact: Agreement = field(default_factory=Agreement)
    quantised: Agreement = field(default_factory=Agreement)

    def to_json(self) -> dict[str, float]:
        """Return the figures as plain values."""
        return {
            **self.exact.to_json(),
            "rows": self.rows,
            "quantised_correlation": self.quantised.correlation,
            "quantised_same_first_token": self.quantised.same_first,
        }

    def missed(self) -> str | None:
        """Return what falls short of its bound, or None."""
        if self.rows > ROWS:
            return f"fused rows differ by {self.rows:.1e}, more than {ROWS:.0e}"
        if self.exact.correlation < CORRELATION:
            return f"next-token logits correlate {self.exact.correlation:.4f}, not {CORRELATION}"
        if self.exact.same_first < SAME_FIRST:
            return f"the first token is the same on {self.exact.same_first:.0%} only"
        return None


class TorchReader:
    """Photograph and question to rows and next-token logits, in the torch runtime."""

    def __init__(self, model: ModelFolder, llm: TorchLLM):
        self.encoder, self.fusion = load_encoder(model), load_fusion(model)
        assert model.manifest.fusion is not None  # load_fusion has raised otherwise
        self.text_encoder = TextEncoder(model.manifest.fusion["text_encoder"])
        self.llm = llm

    @torch.no_grad()
    def rows(self, pixels: np.ndarray, question: str) -> np.ndarray:
        """RGB float32 [M, 3, H, W] and a question -> rows [K, H]."""
        features = self.encoder.feature_map(torch.from_numpy(pixels))
        images = features.flatten(2).transpose(1, 2)[None]  # [1, M, P, C]
        ids, mask = self.text_encoder.tokenize([question])
        text = self.text_encoder(ids, mask)
        rows, _ = self.fusion(images, text, mask.float(), torch.ones(1, len(pixels)))
        return np.asarray(rows[0].numpy())

    def next_logits(self, said: list[dict[str, str]], rows: np.ndarray) -> np.ndarray:
        """Return the logits [V] of the token that follows the messages."""
        before, after = self.llm.render(said, answer_next=True).split(PLACEHOLDER)
        parts = [
            self.llm.embed(torch.tensor(self.llm.tokenize(before), device=self.llm.device)),
            torch.from_numpy(rows).to(self.llm.device, self.llm.model.dtype),
            self.llm.embed(torch.tensor(self.llm.tokenize(after), device=self.llm.device)),
        ]
        return self.llm.next_logits(torch.cat(parts))


def measure_parity(
    model: ModelFolder,
    prompts: Sequence[tuple[tuple[str, ...], str, str]],
    llm: str | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Parity:
    """Run prompts (photographs, question, language) through both runtimes and compare.

    llm: a GGUF file, or None for the embedded one; both runtimes read it.
    """
    gguf = resolve_llm(llm)
    reader = TorchReader(model, TorchLLM(str(gguf), torch.device("cpu")))
    encoder = EncoderSession(model.encoder_onnx)
    text = TextEncoderSession(model.path / TEXT_ENCODER_ONNX, model.path / TOKENIZER)
    fusion = FusionSession(model.path / FUSION_ONNX)
    size, parity = model.manifest.encoder.input_size, Parity()
    with (
        unpacked(gguf) as copy,
        closing(LlamaSession(copy, _CONTEXT)) as exact,
        closing(LlamaSession(gguf, _CONTEXT)) as quantised,
    ):
        for number, (images, question, language) in enumerate(prompts, start=1):
            crops = np.stack([load_crop(Path(path), size) for path in images])
            pixels = np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32) / 255
            expected = reader.rows(pixels, question)
            got = fusion.run(encoder.run(pixels).features, text.run(question)).rows
            unit = float(np.sqrt(np.mean(expected**2)))
            parity.rows = max(parity.rows, float(np.abs(expected - got).max()) / unit)
            said = messages(question, language)
            theirs = reader.next_logits(said, expected)
            for session, agreement in ((exact, parity.exact), (quantised, parity.quantised)):
                session.rewind(0)
                feed_prompt(session, session.render(said, answer_next=True), got)
                agreement.add(session.next_logits(), theirs)
            progress(number, len(prompts))
    return parity
