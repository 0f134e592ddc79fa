"""What each process of tests/e2e/test_sharding.py runs: `accelerate launch tests/sharded_sft.py
MODEL TEXTS LLM FOLDER`. The test runs the same in one process and compares."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

import ophglm_core as ophglm
from ophglm_core.networks.language_model import TorchLanguageModel
from ophglm_core.networks.sharding import launched_sharding
from ophglm_core.prompts import vqa_messages
from ophglm_core.training import sft
from ophglm_core.training.batches import answer_loss, encode_turns, pad
from ophglm_core.training.config import SftConfig
from ophglm_core.training.trainer import make_accelerator

OPTIONS: dict[str, Any] = {
    "rank": 4,
    "alpha": 8,
    "epochs": 2,
    "samples": 6,  # the second batch leaves the second process one sample, the first one two
    "batch_size": 3,
    "max_length": 1500,  # a character may be a token
    "gradient_accumulation_steps": 2,
    "gradient_checkpointing": True,
    "precision": "no",
}


def without_dropout(rank: int = 4, judged: int = 4) -> None:
    """Switch off what no two numbers of processes draw alike, and most of the held-out texts."""
    sft.add_adapter = functools.partial(sft.add_adapter, dropout=0.0)
    sft._JUDGED = judged


def soft_token_gradient(llm: TorchLanguageModel) -> tuple[float, list[float]]:
    """Return the loss of an answer to two photographs, and its gradient by their soft tokens."""
    pairs = (("Is it normal?", "Yes."), ("Is it normal?", "Signs of glaucoma."))
    said = [[*vqa_messages(q), {"role": "assistant", "content": a}] for q, a in pairs]
    batch = pad([encode_turns(llm, s, soft_tokens=3) for s in said])
    rows = torch.randn(2, 3, llm.width, generator=torch.Generator().manual_seed(0))
    rows = (rows * llm.scale).requires_grad_(True)
    loss = answer_loss(llm, batch, rows)
    loss.backward()
    assert rows.grad is not None
    return float(loss.detach()), rows.grad.flatten().tolist()


def main(model: str, texts: str, name: str, folder: str) -> None:
    """Train with a stop between, and write down what this process holds and says."""
    without_dropout()
    plain, losses, stops = sft.SftStage, [], [3]

    class Stage(plain):  # type: ignore[misc, valid-type]
        def evaluate(self, module: torch.nn.Module, epoch: int) -> dict[str, Any]:
            found = super().evaluate(module, epoch)
            losses.append(found["held_out_loss"])
            return found

        def loss(self, *given: Any) -> torch.Tensor:
            if given[2] == 1 and stops:
                stops.pop()
                raise KeyboardInterrupt
            return super().loss(*given)

    sft.SftStage = Stage
    options = {"llm": name, **OPTIONS}
    try:
        ophglm.sft(model, texts, out=Path(folder) / "stopped", **options)
    except KeyboardInterrupt:
        ophglm.sft(model, texts, out=Path(folder) / "stopped", **options)
    assert not stops
    config = SftConfig(model=model, data=Path(texts), **options)
    accelerator = make_accelerator(config)
    sharding = launched_sharding(accelerator, four_bit=False)
    llm = TorchLanguageModel(name, accelerator.device, sharding=sharding)
    loss, gradient = soft_token_gradient(llm)
    held = sum(p.to_local().numel() for p in llm.model.parameters())
    said = {
        "held": held,
        "parameters": llm.profile.parameters,
        "held_out": losses,
        "loss": loss,
        "gradient": gradient,
    }
    state = PartialState()
    Path(folder, f"{state.process_index}.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
