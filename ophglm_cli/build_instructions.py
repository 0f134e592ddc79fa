"""`ophglm build-instructions`: the fine-tuning set."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer


def build_instructions(
    out: Annotated[Path, typer.Option(help="The folder to write, one file a subset.")],
    questions: Annotated[
        list[Path] | None,
        typer.Option(help="A JSONL of question and answer, such as MedQuAD's; may be repeated."),
    ] = None,
    dialogues: Annotated[
        list[Path] | None,
        typer.Option(
            help="OphGLM's published data: its sample JSON or its doctor-patient dialogues; may be "
            "repeated."
        ),
    ] = None,
    keep_identifiers: Annotated[
        bool,
        typer.Option("--keep-identifiers", help="Leave names, places, dates and numbers in."),
    ] = False,
    drop_empty_wordings: Annotated[
        bool,
        typer.Option("--drop-empty-wordings", help="Keep one wording of each question."),
    ] = False,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Make five instruction subsets and a conversation set, in English and Chinese.

    One JSON object a line with 'messages', as TRL and LLaMA-Factory read them, and a README with
    the counts.
    """
    from ophglm_core.data.build_instructions import build_instructions as build
    from ophglm_core.data.build_instructions import read_questions
    from ophglm_core.data.dialogues import read_dialogues
    from ophglm_core.data.instructions import SUBSETS
    from ophglm_core.data.near_duplicates import without_repeats
    from ophglm_core.data.statistics import card
    from ophglm_core.files import write_text

    from .terminal import stderr

    samples, further = build(seed), []
    for path in questions or []:
        further += read_questions(path, keep_identifiers=keep_identifiers)
    for path in dialogues or []:
        read = read_dialogues(path, keep_identifiers, drop_empty_wordings)
        further += read.samples
        stderr.print(f"{path.name}: {read.summary()}", markup=False)
    kept, repeats = without_repeats(samples, further)
    samples += kept
    if repeats:
        stderr.print(f"{repeats} left out that say what the library says.", markup=False)
    for subset in SUBSETS:
        chosen = [s for s in samples if s.subset == subset]
        lines = [json.dumps(s.to_json(), ensure_ascii=False) for s in chosen]
        write_text(out / f"{subset}.jsonl", "\n".join(lines) + "\n")
        counts = Counter(s.language for s in chosen)
        stderr.print(f"{subset:<22}en {counts['en']:>6}  zh {counts['zh']:>6}")
    write_text(out / "README.md", card(samples))
    typer.echo(str(out))
