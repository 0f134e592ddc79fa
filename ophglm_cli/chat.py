"""`ophglm chat`: findings of one or two photographs, then a conversation about them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ophglm_core.assistant import Conversation
    from ophglm_core.fusion.reader import Reader
    from ophglm_core.modelfolder import ModelFolder

EVIDENCE = ("findings", "fusion", "both")


def chat(
    image: Annotated[
        list[Path],
        typer.Option(
            "--image",
            "-i",
            help="A fundus photograph; twice for both eyes. 'sample' opens scikit-image's.",
        ),
    ],
    prompt: Annotated[
        str | None, typer.Option("--prompt", "-p", help="Ask this once and leave.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A model folder, or the name of a bundled one.")
    ] = None,
    llm: Annotated[
        str | None, typer.Option(help="Another language model: a GGUF file for llama.cpp.")
    ] = None,
    evidence: Annotated[
        str,
        typer.Option(
            help="What answers rest on: findings (the classifier's), fusion (what the language "
            "model sees itself), or both."
        ),
    ] = "both",
    as_json: Annotated[
        bool, typer.Option("--json", help="With a prompt: findings and answer as one JSON object.")
    ] = False,
) -> None:
    """Show what a fundus photograph gives and talk about it, in English or Chinese.

    A prompt can also come on standard input. Everything is computed on this machine and nothing
    of the conversation is kept.
    """
    from concurrent.futures import ThreadPoolExecutor

    from ophglm_core.assistant import Conversation
    from ophglm_core.llm.llama_runtime import LlamaSession
    from ophglm_core.llm.source import resolve_llm
    from ophglm_core.modelfolder import open_model

    from .chat_view import classify_images, show_answer, show_findings, show_notice
    from .repl import run

    if prompt is None and not sys.stdin.isatty():
        prompt = sys.stdin.read()
    if prompt is not None and not prompt.strip():
        raise typer.BadParameter("the prompt is empty; ask a question", param_hint="--prompt")
    if as_json and prompt is None:
        raise typer.BadParameter("--json needs a prompt")
    if evidence not in EVIDENCE:
        raise typer.BadParameter(f"use {', '.join(EVIDENCE)}", param_hint="--evidence")
    folder = open_model(model)
    gguf = resolve_llm(llm)
    known = _trained_with(folder, gguf, llm is None)
    reader = _reader(folder, gguf, known, evidence)
    # The two models load side by side: most of the wait is reading files.
    with ThreadPoolExecutor(max_workers=1) as pool:
        loading = pool.submit(LlamaSession, gguf, adapter=_adapter(folder, known))
        findings = classify_images(folder, image)
        session = loading.result()
    # Not before: llama.cpp is kept quiet by closing stdout while it loads.
    if not as_json and evidence != "fusion":
        show_findings(findings)
    conversation = Conversation(
        findings, session, llm is None, reader, use_findings=evidence != "fusion"
    )
    conversation.use_rows = bool((folder.manifest.adapter or {}).get("rows"))
    if prompt is None:
        run(conversation, folder)
    elif as_json:
        typer.echo(_as_json(conversation, prompt))
    else:
        try:
            show_answer(conversation, prompt.strip())
        finally:  # also beneath what had been said before an error
            show_notice(prompt)


def _trained_with(folder: ModelFolder, gguf: Path, embedded: bool) -> bool:
    """Whether the folder has parts for a language model, and this is the one."""
    from ophglm_core.modelfolder import file_sha256

    if folder.manifest.fusion is None and folder.manifest.adapter is None:
        return False
    return folder.belongs_to(None if embedded else file_sha256(gguf))


def _adapter(folder: ModelFolder, known: bool) -> Path | None:
    """Return the folder's adapter, if it was trained on this language model."""
    from ophglm_core.modelfolder import ADAPTER_GGUF

    path = folder.path / ADAPTER_GGUF
    usable = known and folder.manifest.adapter is not None and path.is_file()
    return path if usable else None


def _reader(folder: ModelFolder, gguf: Path, known: bool, evidence: str) -> Reader | None:
    """Return what reads the photograph through the fusion module, if that is wanted and there."""
    from ophglm_core.errors import UsageError
    from ophglm_core.fusion.reader import Reader

    from .terminal import stderr

    if evidence == "findings":
        return None
    if folder.manifest.fusion is None:
        if evidence == "fusion":
            raise UsageError(f"{folder.path} has no fusion module; run ophglm train-fusion.")
        return None
    if known:
        return Reader(folder, gguf)
    name = folder.manifest.llm.get("name", "another language model")
    if evidence == "fusion":
        raise UsageError(f"The fusion module was trained with {name} and not with {gguf.name}.")
    stderr.print(
        f"The fusion module belongs to {name}: {gguf.name} gets the findings as text only.",
        style="dim",
    )
    return None


def _as_json(conversation: Conversation, prompt: str) -> str:
    from ophglm_core.findings import NOTICE

    parts = list(conversation.ask(prompt.strip()))
    return json.dumps(
        {
            "findings": [finding.to_json() for finding in conversation.findings],
            "prompt": prompt.strip(),
            "answer": " ".join(part.text for part in parts),
            "parts": [
                {"kind": part.kind, "text": part.text, "source": part.source} for part in parts
            ],
            "notice": NOTICE,
        },
        ensure_ascii=False,
    )
