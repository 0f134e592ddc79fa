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
    llm: Annotated[
        str | None,
        typer.Option(
            help="The GGUF of the language model that the parts were trained with, if that was a "
            "folder or a hub id, or lies elsewhere now."
        ),
    ] = None,
) -> None:
    """Write a model folder's ONNX files again and compare the torch and the local runtime.

    Fails, and leaves the folder as it was, where they differ too much: encoder logits by 1e-4,
    soft tokens by 1e-3 of their size, next-token logits correlating less than 0.999, or the first
    token differing on more than 5 prompts of 100, both with the weights in fp32. What llama.cpp's
    quantised kernels change is shown beside it.
    """
    from .packages import need_packages

    need_packages("torch", "timm", "transformers", "gguf", "safetensors", "onnx", extra="train")
    import ophglm_core as ophglm

    from .terminal import fraction_bar, stdout

    with fraction_bar("comparing") as progress:
        done = ophglm.export(
            ophglm.open_model(model), vqa, prompts, quantize if merge else None, llm, progress
        )
    stdout.print(f"encoder: logits differ by at most {done.encoder_difference:.1e}")
    if done.merged is not None:
        stdout.print(f"merged: {done.merged} ({quantize})", soft_wrap=True)
    if done.parity is not None:
        fp32, quantised = done.parity.fp32, done.parity.quantised
        count = len(fp32.same_top1)
        stdout.print(f"soft tokens: differ by at most {done.parity.soft_tokens:.1e} of their size")
        stdout.print(
            f"next-token logits: correlation {fp32.correlation:.5f} (lowest "
            f"{min(fp32.correlations):.5f})"
        )
        stdout.print(f"first token: the same on {sum(fp32.same_top1)} of {count} prompts")
        stdout.print(
            f"with the weights quantised: correlation {quantised.correlation:.4f}, first token the "
            f"same on {sum(quantised.same_top1)}"
        )
    typer.echo(str(done.path))
