"""What follows the training of an adapter: both its files, parity, manifest, model card."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..llm.adapter import load_adapter, write_gguf, write_peft
from ..llm.llama_runtime import LlamaSession
from ..llm.quantize import unpacked
from ..llm.source import resolve_llm
from ..llm.torch_llm import TorchLLM
from ..modelcard import write_manifest
from ..modelfolder import (
    ADAPTER_GGUF,
    PEFT_FOLDER,
    ModelFolder,
    copy_model,
    open_model,
    written_folder,
)
from ..parity import Agreement
from ..prompts import system_prompt

if TYPE_CHECKING:
    from .sft_run import SftOptions

_ASKED = (
    "What is glaucoma?",
    "How is diabetic retinopathy treated?",
    "What causes a cataract?",
    "Is it urgent?",
    "What can the patient do at home?",
)


def finish(
    llm: TorchLLM, options: SftOptions, model: ModelFolder, out: Path, training: dict[str, Any]
) -> None:
    """Write the adapter into the folder `out`, which starts as a copy of `model`."""
    with written_folder(out) as folder:
        if out != model.path.resolve():
            copy_model(model, folder)
        write_peft(llm.model, folder)
        manifest = open_model(folder).manifest
        manifest.name = out.name
        manifest.adapter = {
            "rank": options.rank,
            "alpha": options.alpha,
            "rows": bool(training["photographs"]),
            "training": training,
        }
        if options.llm is None or options.llm.lower().endswith(".gguf"):
            config = llm.model.config
            write_gguf(folder, config.num_attention_heads, config.num_key_value_heads)
            manifest.adapter["parity"] = adapter_parity(folder, options.llm)
        write_manifest(folder, manifest)


def adapter_parity(folder: Path, name: str | None) -> dict[str, float]:
    """Compare next-token logits with a folder's adapter on in both runtimes.

    Both compute with the same weights in fp32 (see parity). Returns their mean and lowest
    correlation over a few prompts, the share of the same first token, and how far the adapter moved
    them, as the correlation of llama.cpp's logits with and without.
    """
    gguf = resolve_llm(name)
    # Read anew: what was trained may be in bfloat16, and what was written is rounded to fp16.
    llm = TorchLLM(str(gguf), torch.device("cpu"))
    llm.model = load_adapter(llm.model, folder / PEFT_FOLDER)
    alike, moved = Agreement(), Agreement()
    with (
        unpacked(gguf) as copy,
        closing(LlamaSession(copy, 512, folder / ADAPTER_GGUF)) as adapted,
        closing(LlamaSession(copy, 512)) as plain,
    ):
        for question in _ASKED:
            said = [
                {"role": "system", "content": system_prompt()},
                {"role": "user", "content": question},
            ]
            prompt = llm.render(said, answer_next=True)
            ids = torch.tensor(llm.tokenize(prompt), device=llm.device)
            theirs = llm.next_logits(llm.embed(ids))
            for session in (adapted, plain):
                session.rewind(0)
                session.feed(prompt)
            ours = adapted.next_logits()
            alike.add(ours, theirs)
            moved.add(ours, plain.next_logits())
    return {**alike.to_json(), "with_and_without": moved.correlation}
