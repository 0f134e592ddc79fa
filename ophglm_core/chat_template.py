"""Chat templates, rendered alike for both runtimes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from ..errors import UsageError

# Used where a model carries no template.
_CHATML = (
    "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + "
    "'\n'}}{% endfor %}{% if add_generation_prompt %}{{'<|im_start|>assistant\n'}}{% endif %}"
)


def render(
    template: str | None,
    messages: list[dict[str, str]],
    answer_next: bool,
    special: Mapping[str, str | None],
) -> str:
    """Render messages; `special` holds bos_token and eos_token. Raises UsageError if it fails."""
    from jinja2 import TemplateError

    try:
        return _compiled(template or _CHATML).render(
            messages=messages, add_generation_prompt=answer_next, **special
        )
    except (TemplateError, ValueError) as error:
        raise UsageError(f"The model's chat template cannot be used ({error}).") from None


@cache
def _compiled(template: str) -> Any:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _refuse
    return environment.from_string(template)


def _refuse(message: str) -> None:
    raise ValueError(message)
