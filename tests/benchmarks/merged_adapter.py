"""What merging the adapter into the language model would bring: `python -m
tests.benchmarks.merged_adapter FILE.gguf`.

FILE.gguf: what `ophglm export --gguf` wrote for the default model. Prints tokens a second of the
embedded model with the adapter at run time and of the merged file, and how far the next-token
logits of each lie from those of unpacked weights with the adapter (correlation, share of equal
first tokens).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from ophglm_core.assets import embedded_gguf
from ophglm_core.export.gguf import unpacked
from ophglm_core.knowledge.library import entries
from ophglm_core.model_folder import ADAPTER_GGUF, open_model
from ophglm_core.runtime.llama import LlamaSession

_QUESTIONS, _TOKENS, _ROUNDS = 40, 120, 3


def _prompted(session: LlamaSession, question: str) -> None:
    session.truncate(0)
    session.append_text(session.render([{"role": "user", "content": question}], True))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("merged", type=Path)
    merged = parser.parse_args().merged
    adapter = open_model().path / ADAPTER_GGUF
    every = len(entries()) // _QUESTIONS
    questions = [e.questions["en"][0] for e in entries()[::every]][:_QUESTIONS]
    with unpacked(embedded_gguf()) as whole:
        sessions = {
            "unpacked weights, adapter at run time": LlamaSession(whole, adapter=adapter),
            "embedded weights, adapter at run time": LlamaSession(embedded_gguf(), adapter=adapter),
            "embedded weights, no adapter": LlamaSession(embedded_gguf()),
            "merged": LlamaSession(merged),
        }
    wanted: list[np.ndarray] = []
    print("| | tokens a second | logits correlate | first token alike |\n| --- | --- | --- | --- |")
    for name, session in sessions.items():
        found = []
        for question in questions:
            _prompted(session, question)
            found.append(session.next_logits())
        wanted = wanted or found
        alike = np.mean([a.argmax() == b.argmax() for a, b in zip(wanted, found, strict=True)])
        correlation = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(wanted, found, strict=True)])
        speeds = []
        for question in questions[:_ROUNDS]:
            _prompted(session, question)
            pieces = session.generate(_TOKENS)
            next(pieces)
            began, before = time.perf_counter(), len(session.tokens)
            for _ in pieces:
                pass
            speeds.append((len(session.tokens) - before) / (time.perf_counter() - began))
        print(f"| {name} | {np.median(speeds):.0f} | {correlation:.4f} | {alike:.2f} |")


if __name__ == "__main__":
    main()
