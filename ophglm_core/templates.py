"""Pages from templates: model card and reports."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template


@cache
def load_template(package: str, name: str, escape: bool, **filters: Callable[..., Any]) -> Template:
    """Load the template `name` that lies in a package; a name that it is not given is an error.

    escape: whether what is put into it may hold anything and is made safe for HTML. filters: by
    their names in the template.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=escape,
    )
    environment.filters.update(filters)
    text = (resources.files(package) / name).read_text(encoding="utf-8")
    return environment.from_string(text)
