"""`ophglm chat`: findings of one or two photographs, then a conversation about them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ophglm_core.chat.conversation import Chat


def chat(
    image: Annotated[
        list[Path] | None,
        typer.Option(
            "--image",
            "-i",
            help="A fundus photograph; twice for both eyes. 'sample' opens scikit-image's. Without "
            "one, questions are answered in general.",
        ),
    ] = None,
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
    import ophglm_core as ophglm

    from .chat_output import show_answer, show_findings, show_notice
    from .repl import run
    from .terminal import stderr

    if prompt is None and not sys.stdin.isatty():
        prompt = sys.stdin.read()
    if prompt is not None and not prompt.strip():
        raise typer.BadParameter("the prompt is empty; ask a question", param_hint="--prompt")
    if as_json and prompt is None:
        raise typer.BadParameter("--json needs a prompt")
    assistant = ophglm.load(
        model,
        llm=llm,
        evidence=evidence,
        remark=lambda sentence: stderr.print(sentence, style="dim", markup=False),
    )
    conversation = assistant.chat(*(image or []))
    if image and not as_json and evidence != "fusion":
        show_findings(conversation)
    if prompt is None:
        run(conversation, assistant)
    elif as_json:
        typer.echo(_as_json(conversation, prompt))
    else:
        try:
            show_answer(conversation, prompt.strip())
        finally:  # also beneath what had been said before an error
            show_notice(prompt)


def _as_json(conversation: Chat, prompt: str) -> str:
    from ophglm_core.findings import NOTICE

    parts = list(conversation.ask(prompt.strip()))
    return json.dumps(
        {
            "findings": [f.to_json(conversation.labels) for f in conversation.findings],
            "prompt": prompt.strip(),
            "answer": " ".join(part.text for part in parts),
            "parts": [
                {"kind": part.kind, "text": part.text, "source": part.source} for part in parts
            ],
            "notice": NOTICE,
        },
        ensure_ascii=False,
    )
