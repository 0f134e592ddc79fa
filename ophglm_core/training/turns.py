"""What of a conversation is trained on, by the model's own chat template: each of the assistant's
turns with the mark that ends it, and nothing else.

Each turn stands behind the prompt that a conversation gives before it, an empty think block
included, so that what was said does not change when the next question comes. TRL's training
templates do the same to a template by hand; here it is read off any template, by marks in the place
of the answers.
"""

from __future__ import annotations

import re
from typing import Any

from ..chat_template import UNUSABLE, for_template
from ..errors import UsageError
from ..networks.language_model import TorchLanguageModel
from ..prompts import IMAGE_PLACEHOLDER

_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")
_NEXT = "And?"
_PROBE = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": IMAGE_PLACEHOLDER + "Is it normal?"},
    {"role": "assistant", "content": "Yes: 1 of 2."},
    {"role": "user", "content": _NEXT},
    {"role": "assistant", "content": "等一下。"},
]


def check_template(llm: TorchLanguageModel) -> None:
    """Raise UsageError, in one sentence, if a model's template cannot be trained with."""
    try:
        if not any(learned for _, learned in supervised_parts(llm, _PROBE)):
            raise UsageError("it marks no turn as the assistant's")
        if _PROBE[2]["content"] not in llm.render(_PROBE[:4], True):
            raise UsageError("it changes what the assistant says")
    except UsageError as error:
        # Jinja says where and why in several sentences.
        reason = str(error).removeprefix(UNUSABLE).split(". ")[0].rstrip(".)")
        if llm.template is None:
            raise UsageError(
                f"{llm.name} has no chat template and no mark that ends a turn, so it is a base "
                "model; train with an instruct model."
            ) from None
        raise UsageError(
            f"The chat template of {llm.name} cannot be trained with ({reason}); use another model "
            "or mend its template."
        ) from None


def supervised_parts(
    llm: TorchLanguageModel, messages: list[dict[str, str]]
) -> list[tuple[str, bool]]:
    """Return a conversation as texts in their order, each with whether it is to be learned.

    messages: of roles system, user and assistant; what follows the last of the assistant's is left
    out. Where the template has `{% generation %}`, a turn that stands outside is not learned.
    Raises UsageError if the template cannot be used.
    """
    turns = [number for number, m in enumerate(messages) if m["role"] == "assistant"]
    if not turns:
        return []
    marked = [
        {**m, "content": _mark(number)} if number in turns else m
        for number, m in enumerate(messages)
    ]
    prompts = [llm.render(marked[:number], True) for number in turns]
    # A question after the last turn shows the mark that ends it: some templates have none else.
    question = {"role": "user", "content": _NEXT}
    prompts.append(llm.render([*marked[: turns[-1] + 1], question], True))
    chosen = _generated(llm, marked[: turns[-1] + 1])
    parts: list[tuple[str, bool]] = []
    start = 0
    for index, number in enumerate(turns):
        prompt, following = prompts[index : index + 2]
        before, mark, after = following.partition(_mark(number))
        if not mark:
            raise UsageError("it drops what the assistant says")
        if before.startswith(prompt) and not before[len(prompt) :].strip():
            gap = before[len(prompt) :]  # the model has to say it before the answer
        elif prompt.startswith(before):
            gap = ""  # the prompt's end, such as an empty think block, is not kept
        elif before.startswith(prompt):
            raise UsageError("it does not open an answer when it is asked to")
        else:
            raise UsageError("it changes what stands before a turn when the next one comes")
        stop = _stop_mark(llm, after)
        answer = llm.neutralized(messages[number]["content"].strip())
        parts.append((prompt[start:], False))
        parts.append((gap + answer + stop, chosen is None or number in chosen))
        start = len(before) + len(mark) + len(stop)
    return parts


def _mark(number: int) -> str:
    # Private characters, which no template trims and nobody types.
    return f"\ue000{number}\ue001"


def _stop_mark(llm: TorchLanguageModel, after: str) -> str:
    """Return the special token that a text begins with, and blanks before it."""
    text = after.lstrip()
    for token in llm.special_tokens:
        if text.startswith(token) and (token in llm.end_tokens or not _opens_turn(llm, token)):
            return after[: len(after) - len(text)] + token
    raise UsageError("no special token ends the assistant's turn")


def _opens_turn(llm: TorchLanguageModel, token: str) -> bool:
    """Whether a token stands before a question: then it does not end the answer before it."""
    return token in llm.render([{"role": "user", "content": _mark(0)}], True).partition(_mark(0))[0]


def _generated(llm: TorchLanguageModel, marked: list[dict[str, str]]) -> set[int] | None:
    """Return the turns that the template marks as generated; None where it marks none at all."""
    template = llm.template or ""
    if not _GENERATION.search(template):
        return None
    from jinja2 import TemplateError
    from transformers.utils.chat_template_utils import render_jinja_template

    named: Any = llm.named_tokens
    try:
        rendered: Any = render_jinja_template(
            conversations=[for_template(template, marked, named)],
            chat_template=template,
            return_assistant_tokens_mask=True,
            enable_thinking=False,
            **named,
        )
    except (TemplateError, ValueError, TypeError) as error:
        raise UsageError(str(error)) from None
    texts, spans = rendered
    inside = [texts[0][start:end] for start, end in spans[0]]
    return {n for n in range(len(marked)) if any(_mark(n) in text for text in inside)}
