"""`ophglm build-vqa`: questions and answers about labelled photographs."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer


def build_vqa(
    data: Annotated[
        list[Path], typer.Argument(help="Labelled photographs, as train-encoder reads them.")
    ],
    out: Annotated[Path, typer.Option(help="The JSON-lines file to write.")],
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="A condition to ask about; may be repeated. Else what train-encoder learns."
        ),
    ] = None,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Make question-answer pairs about photographs from their labels, in English and Chinese.

    One JSON object a line: image (two, left and right, where eyes are compared), question, answer,
    kind, labels, language, patient. Closed questions are balanced. Whether a photograph can be
    judged is asked about spoilt copies, too, which go into a folder beside OUT.
    """
    from ophglm_core.data.build_vqa import build_vqa as build
    from ophglm_core.data.duplicates import read_sets
    from ophglm_core.data.records import choose_labels
    from ophglm_core.data.report import ReadReport
    from ophglm_core.files import write_text

    from .terminal import stderr

    report = ReadReport()
    records = [record for found in read_sets(data, report).values() for record in found]
    for sentence in report.sentences():
        stderr.print(sentence, style="yellow", markup=False)
    spoilt = out.with_name(f"{out.stem}-spoilt")
    pairs = build(records, choose_labels(records, label or ()), seed, spoilt)
    lines = [json.dumps(pair.to_json(), ensure_ascii=False) for pair in pairs]
    write_text(out, "\n".join(lines) + "\n")
    counts = Counter((pair.kind, pair.language) for pair in pairs)
    for (kind, language), count in sorted(counts.items()):
        stderr.print(f"{kind:<13}{language}  {count:>6}")
    typer.echo(str(out))
