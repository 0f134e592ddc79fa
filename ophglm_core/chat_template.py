"""Chat templates, rendered alike for both runtimes and for the training.

A thinking model is told not to think (`enable_thinking`). A template that knows no system message,
or that moves it about as the conversation grows, is given it at the head of the first question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from .errors import UsageError
from .prompts import IMAGE_PLACEHOLDER

if TYPE_CHECKING:
    from jinja2.nodes import Node
    from jinja2.parser import Parser

# Used where a model carries no template.
_CHATML = (
    "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + "
    "'\n'}}{% endfor %}{% if add_generation_prompt %}{{'<|im_start|>assistant\n'}}{% endif %}"
)
#: How the sentence begins that names what is wrong with a template.
UNUSABLE = "The model's chat template cannot be used ("
_SYSTEM, _USER = "Ophglmsystemprobe", "Ophglmuserprobe"


def render(
    template: str | None,
    messages: list[dict[str, str]],
    add_generation_prompt: bool,
    special: Mapping[str, str | None],
) -> str:
    """Render messages; `special` holds bos_token and eos_token. Raises UsageError if it fails."""
    from jinja2 import TemplateError

    template = template or _CHATML
    try:
        return _render(
            template, for_template(template, messages, special), add_generation_prompt, special
        )
    except (TemplateError, ValueError, TypeError) as error:
        raise UsageError(f"{UNUSABLE}{error}).") from None


def for_template(
    template: str, messages: list[dict[str, str]], special: Mapping[str, str | None]
) -> list[dict[str, str]]:
    """Return messages as a template can take them: the system message stays where it is, or
    becomes the head of the first question. Raises jinja2.TemplateError if it is no template."""
    if not messages or messages[0]["role"] != "system":
        return messages
    if _keeps_system(template, *(special.get(name) for name in ("bos_token", "eos_token"))):
        return messages
    system, *rest = messages
    if not rest or rest[0]["role"] != "user":
        return [{"role": "user", "content": system["content"]}, *rest]
    asked = f"{system['content']}\n\n{rest[0]['content']}"
    return [{"role": "user", "content": asked}, *rest[1:]]


@cache
def _keeps_system(template: str, bos_token: str | None, eos_token: str | None) -> bool:
    """Whether the system message stands before the first question, however many turns follow."""
    from jinja2 import TemplateError

    special = {"bos_token": bos_token, "eos_token": eos_token}
    turns = [
        {"role": "system", "content": _SYSTEM},
        {"role": "user", "content": _USER},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "Why?"},
    ]
    _compiled(template)  # one that cannot be read at all is another fault
    for length in (2, 3, 4):
        try:
            text = _render(template, turns[:length], length != 3, special)
        except (TemplateError, ValueError, TypeError):
            return False
        if not -1 < text.find(_SYSTEM) < text.find(_USER):
            return False
    return True


def _render(
    template: str,
    messages: list[dict[str, str]],
    add_generation_prompt: bool,
    special: Mapping[str, str | None],
) -> str:
    text: str = _compiled(template).render(
        messages=messages,
        add_generation_prompt=add_generation_prompt,
        enable_thinking=False,
        tools=None,
        documents=None,
        **special,
    )
    return text


def neutralize(text: str, special_tokens: Iterable[str]) -> str:
    """Return a text in which no special token can be read: what is typed makes no turn mark."""
    for token in special_tokens:
        if token and token in text and token != IMAGE_PLACEHOLDER:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


@cache
def _compiled(template: str) -> Any:
    from jinja2 import nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}`, with which a template marks for a training what the model says."""

        tags = {"generation"}  # noqa: RUF012 -- as jinja declares it

        def parse(self, parser: Parser) -> Node:
            lineno = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body).set_lineno(lineno)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.globals["raise_exception"] = _refuse
    return environment.from_string(template)


def _refuse(message: str) -> None:
    raise ValueError(message)
