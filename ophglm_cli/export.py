"""`ophglm export`: the local runtime's files, and whether both runtimes say the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    model: Annotated[str, typer.Argument(help="A model folder.")],
    vqa: Annotated[
        Path | None,
        typer.Option(
            help="Compare on questions and photographs of this file (build-vqa) instead of the "
            "sample photograph."
        ),
    ] = None,
    prompts: Annotated[int, typer.Option(min=1, help="Prompts to compare on.")] = 100,
    merge: Annotated[
        bool, typer.Option("--merge", help="Write MODEL/merged.gguf: the LLM with its adapter.")
    ] = False,
    quantize: Annotated[
        str, typer.Option(help="With --merge: F16, Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q4_1 or Q4_0.")
    ] = "Q4_K_M",
) -> None:
    """Write a model folder's ONNX files anew and compare the torch and the local runtime.

    Fails, and leaves the folder as it was, where they differ too much: encoder logits by 1e-4,
    fused rows by 1e-3 of their size, next-token logits correlating less than 0.999, or the first
    token differing on more than 5 prompts of 100, both with the weights in fp32. What llama.cpp's
    quantised kernels change is shown beside it.
    """
    from .packages import need_packages

    need_packages("torch", "timm", "transformers", "gguf", "safetensors", "onnx", extra="train")
    from ophglm_core.data.vqa import example_prompts, read_vqa
    from ophglm_core.export import MERGED, export_model, merge_model
    from ophglm_core.modelfolder import open_model

    from .terminal import counter, stdout

    folder = open_model(model)
    if vqa is None:
        chosen = example_prompts(prompts)
    else:
        pairs = read_vqa(vqa)
        step = max(1, len(pairs) // prompts)
        chosen = [(p.image, p.question, p.language) for p in pairs[::step]][:prompts]
    llm = folder.manifest.fusion["training"].get("llm") if folder.manifest.fusion else None
    with counter("comparing", len(chosen)) as tick:
        difference, parity = export_model(folder, chosen, llm, lambda *_: tick(1))
    stdout.print(f"encoder: logits differ by at most {difference:.1e}")
    if merge:
        merge_model(folder, llm, quantize)
        stdout.print(f"merged: {folder.path / MERGED} ({quantize})", soft_wrap=True)
    if parity is not None:
        figures = parity.to_json()
        stdout.print(f"fused rows: differ by at most {figures['rows']:.1e} of their size")
        stdout.print(
            f"next-token logits: correlation {figures['correlation']:.5f} (lowest "
            f"{figures['lowest_correlation']:.5f})"
        )
        same = figures["same_first_token"] * figures["prompts"]
        stdout.print(f"first token: the same on {same:.0f} of {figures['prompts']} prompts")
        same = figures["quantised_same_first_token"] * figures["prompts"]
        stdout.print(
            "with the weights quantised: correlation "
            f"{figures['quantised_correlation']:.4f}, first token the same on {same:.0f}"
        )
    typer.echo(str(folder.path))
