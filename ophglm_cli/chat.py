"""`ophglm chat`: findings of one or two photographs, then a conversation about them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .common_options import Model
from .llm_options import FourBit, GpuLayers, Llm, RuntimeName


def chat(
    image: Annotated[
        list[Path] | None,
        typer.Option(
            "--image",
            "-i",
            help="A fundus photograph; twice for both eyes, or a folder that holds them. 'sample' "
            "opens scikit-image's. Without one, questions are answered in general.",
        ),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt",
            "-p",
            help="Ask this and leave; given again, it is the next turn of the conversation.",
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(help="Ask what stands in this file, a question a line, and leave."),
    ] = None,
    model: Model = None,
    llm: Llm = None,
    runtime: RuntimeName = "auto",
    four_bit: FourBit = False,
    gpu_layers: GpuLayers = None,
    evidence: Annotated[
        str,
        typer.Option(
            help="What answers rest on: findings (the classifier's), fusion (what the language "
            "model sees itself), or both."
        ),
    ] = "both",
    as_json: Annotated[
        bool, typer.Option("--json", help="With prompts: one JSON object a turn.")
    ] = False,
    transcript: Annotated[
        Path | None,
        typer.Option(
            help="Write findings and conversation to this file after each turn, as .md, .html, "
            ".pdf or .json."
        ),
    ] = None,
    lang: Annotated[
        str,
        typer.Option(
            help="The language of findings, notices, reports and letters: en, zh, or auto (by the "
            "question, before one by the locale)."
        ),
    ] = "auto",
    history: Annotated[
        bool,
        typer.Option(
            "--history",
            help="Keep what is typed for later conversations, in a file that only you can read. "
            "It may name a patient.",
        ),
    ] = False,
    temperature: Annotated[
        float,
        typer.Option(
            min=0,
            max=2,
            help="Above 0, the language model's words are drawn, so that /retry gives another "
            "answer.",
        ),
    ] = 0.0,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="What is drawn follows from it.")
    ] = 0,
    no_preview: Annotated[
        bool,
        typer.Option(
            "--no-preview",
            help="At a terminal, do not draw the photograph before the conversation.",
        ),
    ] = False,
) -> None:
    """Show what a fundus photograph gives and talk about it, in English or Chinese.

    Prompts can also come on standard input, which is one question. Everything is computed on this
    machine, and nothing of the conversation is kept unless you ask for it.
    """
    import ophglm_core as ophglm
    from ophglm_core.chat.report import report_format

    from .chat_output import show_findings
    from .heatmap_output import show_photographs
    from .new_files import new_file
    from .phrases import LANGUAGES
    from .script import answer_all, read_questions
    from .sitting import Sitting
    from .terminal import stderr

    if lang not in LANGUAGES:
        raise ophglm.UsageError(f"'{lang}' is no language here; use {', '.join(LANGUAGES)}.")
    questions = [question.strip() for question in prompt or []]
    if prompts is not None:
        questions += read_questions(prompts)
    if not questions and not sys.stdin.isatty():
        questions = [sys.stdin.read().strip()]
    if not all(questions):
        raise typer.BadParameter("the prompt is empty; ask a question", param_hint="--prompt")
    if as_json and not questions:
        raise typer.BadParameter("--json needs a prompt")
    if transcript is not None:
        report_format(new_file(transcript))
    assistant = ophglm.load(
        model,
        llm=llm,
        evidence=evidence,
        remark=lambda sentence: stderr.print(sentence, style="dim", markup=False),
        runtime=runtime,
        four_bit=four_bit,
        gpu_layers=gpu_layers,
        temperature=temperature,
        seed=seed,
    )
    sitting = Sitting(assistant, assistant.chat(*(image or [])), lang, transcript, not no_preview)
    sitting.asked = questions[0] if questions else ""
    sitting.keep()
    if not questions:
        show_photographs(sitting)
    if image and not as_json and evidence != "fusion":
        show_findings(sitting)
    if questions:
        raise typer.Exit(answer_all(sitting, questions, as_json))
    from .repl import run

    run(sitting, history)
