"""Commands whose module is imported when they are called: `ophglm --help` needs none of them."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand


class LazyCommand(TyperCommand):
    """A command of which only name and summary are known until it is called.

    Its function, or its typer.Typer, has the command's name, in a module of that name.
    """

    def __init__(self, name: str, summary: str):
        super().__init__(name, help=summary)

    def load(self) -> Any:
        """Return the whole command."""
        assert self.name
        name = self.name.replace("-", "_")
        found = getattr(importlib.import_module(f".{name}", __package__), name)
        if isinstance(found, typer.Typer):
            found.info.name = self.name
            return typer.main.get_command(found)
        app = typer.Typer(add_completion=False)
        app.command(self.name, help=_help(found))(found)
        return typer.main.get_command(app)

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Return the whole command's context, in which it is then invoked."""
        return self.load().make_context(info_name, args, parent, **extra)


def _help(command: Callable[..., None]) -> str:
    """Return a command's docstring with a line for each paragraph: typer keeps line breaks."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
