"""`ophglm models`: the language models that there are, here and on the hub."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

models = typer.Typer(no_args_is_help=True, help="Language models: list, fetch, show, remove.")
Name = Annotated[
    str, typer.Argument(help="A name of ophglm models list, or a hub id such as OWNER/NAME.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@models.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the language models that are bundled, on this disk, and recommended.

    The memory is that of a conversation of 4,096 tokens, estimated. What a language model without
    a fusion module gets of a photograph are the classifier's findings, as text.
    """
    from rich.table import Table

    from .terminal import stdout

    rows = _rows()
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("name", "where", "GB", "memory", "languages", "licence", "fusion"):
        justify: Any = "right" if column in ("GB", "memory") else "left"
        # A name is to be copied, so it is never cut.
        table.add_column(column, justify=justify, no_wrap=True, overflow="fold")
    for row in rows:
        size, memory = (f"{row[key] / 1e9:.1f}" for key in ("size", "memory"))
        fits = "fits" if row["fusion_fits"] else "none"
        languages = row["languages"][:4] + ["…"] * (len(row["languages"]) > 4)
        cells = (row["where"], size, memory, " ".join(languages) or "?", row["licence"] or "?")
        table.add_row(row["name"], *cells, fits)
    stdout.print(table)
    for row in rows:
        if row["about"]:
            stdout.print(f"{row['name']}: {row['about']}", style="dim", markup=False)


def _rows() -> list[dict[str, Any]]:
    from ophglm_core.assets import EMBEDDED_LLM
    from ophglm_core.errors import OphglmError
    from ophglm_core.hub import cached
    from ophglm_core.llm_info import describe_llm
    from ophglm_core.llm_source import LlmSource, find_llm, fusion_fits
    from ophglm_core.recommended import RECOMMENDED

    rows = []
    here: set[str] = set()
    sources = [("bundled", EMBEDDED_LLM, find_llm(None))]
    sources += [("on this disk", m.name, LlmSource(m.name, m.path)) for m in cached()]
    for where, name, source in sources:
        try:
            info = describe_llm(source)
        except OphglmError as error:
            from .terminal import stderr

            stderr.print(str(error), style="yellow", markup=False)
            continue
        short = next(
            (r for r in RECOMMENDED if name.split("/")[:2] == r.repository.split("/")), None
        )
        here |= {short.name} if short else set()
        languages = short.languages if short else info.languages
        rows.append(
            {
                "name": short.name if short else name,
                "where": where,
                "size": info.size,
                "memory": info.memory,
                "parameters": info.parameters,
                "languages": list(languages),
                "licence": info.licence or (short.licence if short else ""),
                "fusion_fits": fusion_fits(source, by_hash=False),
                "about": short.about if short else "",
            }
        )
    for model in RECOMMENDED:
        if model.name not in here:
            rows.append(
                {
                    "name": model.name,
                    "where": "to pull",
                    "size": model.size,
                    "memory": model.memory,
                    "parameters": model.parameters,
                    "languages": list(model.languages),
                    "licence": model.licence,
                    "fusion_fits": False,
                    "about": model.about,
                }
            )
    return rows


@models.command()
def pull(
    name: Name,
    file: Annotated[
        str | None,
        typer.Option(help="Which GGUF of the repository, by its name or as a pattern: '*Q4_K_M*'."),
    ] = None,
) -> None:
    """Fetch a language model from the Hugging Face hub into its cache.

    Stopped, it goes on from where it was when the same command is given again. HF_ENDPOINT names a
    mirror, HF_HOME another place for the cache, HF_TOKEN an account.
    """
    from ophglm_core.hub import pull as fetch

    from .terminal import bytes_bar, stdout

    with bytes_bar(name) as progress:
        path = fetch(name, file, progress)
    stdout.print(str(path), markup=False)


@models.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show what a language model on this disk is, and what it needs."""
    from dataclasses import asdict

    from ophglm_core.assets import EMBEDDED_LLM
    from ophglm_core.llm_info import describe_llm
    from ophglm_core.llm_source import find_llm, fusion_fits
    from ophglm_core.recommended import recommended

    from .terminal import stdout

    source = find_llm(None if name == EMBEDDED_LLM else name)
    info, known = describe_llm(source), recommended(name)
    values = {
        "name": name,
        "path": str(source.path),
        **asdict(info),
        "runtimes": ["local", "torch"] if source.is_gguf else ["torch"],
        "fusion_fits": fusion_fits(source),
        "read_at": list(known.read_at) if known else [],
    }
    if as_json:
        typer.echo(json.dumps(values, indent=2, ensure_ascii=False))
        return
    answers = "in its own words" if info.instructs else "with no chat template: as a base model"
    lines = {
        "path": source.path,
        "form": f"{info.form}, {info.architecture}, {info.parameters / 1e6:,.0f} M parameters",
        "size": f"{info.size / 1e9:.2f} GB; a conversation takes about {info.memory / 1e9:.1f} GB",
        "context": f"{info.context or '?'} tokens",
        "answers": answers,
        "languages": ", ".join(info.languages) or "not listed",
        "licence": info.licence or "not listed",
        "runtimes": ", ".join(values["runtimes"]),
        "fusion module": "fits" if values["fusion_fits"] else "none; it gets the findings as text",
    }
    for key, value in lines.items():
        stdout.print(f"{key:<14} {value}", markup=False)


@models.command()
def rm(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a language model from the hub's cache, all files of its repository."""
    from ophglm_core.errors import UsageError
    from ophglm_core.hub import removable, remove

    from .terminal import stderr

    size = removable(name)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("Nobody can be asked here; add --yes to remove it.")
        question = f"Remove {name} and free {size / 1e9:.2f} GB?"
        if not typer.confirm(question, err=True):
            raise typer.Exit(1)
    stderr.print(f"{remove(name) / 1e9:.2f} GB are free now.", markup=False)
