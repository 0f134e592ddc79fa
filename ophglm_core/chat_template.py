"""Chat templates, rendered alike for both runtimes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from .errors import UsageError
from .prompts import IMAGE_PLACEHOLDER

# Used where a model carries no template.
_CHATML = (
    "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + "
    "'\n'}}{% endfor %}{% if add_generation_prompt %}{{'<|im_start|>assistant\n'}}{% endif %}"
)


def render(
    template: str | None,
    messages: list[dict[str, str]],
    add_generation_prompt: bool,
    special: Mapping[str, str | None],
) -> str:
    """Render messages; `special` holds bos_token and eos_token. Raises UsageError if it fails."""
    from jinja2 import TemplateError

    try:
        return _compiled(template or _CHATML).render(
            messages=messages, add_generation_prompt=add_generation_prompt, **special
        )
    except (TemplateError, ValueError) as error:
        raise UsageError(f"The model's chat template cannot be used ({error}).") from None


def neutralize(text: str, special_tokens: Iterable[str]) -> str:
    """Return a text in which no special token can be read: what is typed makes no turn mark."""
    for token in special_tokens:
        if token and token in text and token != IMAGE_PLACEHOLDER:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


@cache
def _compiled(template: str) -> Any:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _refuse
    return environment.from_string(template)


def _refuse(message: str) -> None:
    raise ValueError(message)
