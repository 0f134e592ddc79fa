"""The options that say which language model a command runs, and in what."""

from __future__ import annotations

from typing import Annotated

import typer

Llm = Annotated[
    str | None,
    typer.Option(
        help="Another language model: a GGUF file, a folder in Hugging Face's form, or a name or "
        "hub id that ophglm models pull has fetched."
    ),
]
RuntimeName = Annotated[
    str,
    typer.Option(
        "--runtime",
        help="What runs the language model: local (llama.cpp), torch, or auto: torch for a model "
        "in Hugging Face's form where there is a CUDA card, else local.",
    ),
]
FourBit = Annotated[
    bool,
    typer.Option("--4bit", help="Load the language model in 4 bits (torch)."),
]
GpuLayers = Annotated[
    int | None,
    typer.Option(
        min=-1,
        help="With the local runtime: how many layers the graphics card computes, -1 for all. "
        "Default: all where llama.cpp was built for one.",
    ),
]
