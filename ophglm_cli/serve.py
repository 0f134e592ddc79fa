"""`ophglm serve`: a page for the consulting room, on this machine alone."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from .common_options import Model


def serve(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the page's address; 0 takes a free one.")
    ] = 8765,
    model: Model = None,
    lang: Annotated[
        str, typer.Option(help="The page's language: en, zh, or auto (the browser's).")
    ] = "auto",
) -> None:
    """Show photographs, heat maps, findings and the conversation in a browser.

    The page is for this machine alone (127.0.0.1), and for whoever has its address. Everything is
    computed here; what is uploaded is removed when the page's program ends, with Ctrl-C.
    """
    import ophglm_core as ophglm
    from ophglm_core.findings import notice

    from .packages import need_packages
    from .phrases import LANGUAGES, locale_language
    from .terminal import stderr, stdout

    if lang not in LANGUAGES:
        raise ophglm.UsageError(f"'{lang}' is no language here; use {', '.join(LANGUAGES)}.")
    need_packages("starlette", "uvicorn", extra="serve")
    from .web.server import PageServer

    assistant = ophglm.load(
        model, remark=lambda sentence: stderr.print(sentence, style="dim", markup=False)
    )
    with closing(PageServer(assistant, port, lang)) as server:
        stdout.print(server.address, soft_wrap=True, markup=False)
        language = locale_language() if lang == "auto" else lang
        stderr.print(notice(language), style="dim", markup=False)
        server.run()
