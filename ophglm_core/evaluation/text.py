"""What the adapter changes: answers to held-out questions before and after, and how they fare."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..conditions import LabelSet, named_conditions
from ..data.instructions import Instruction, read_instructions
from ..data.pairing import drawn_findings
from ..data.splits import split_texts
from ..errors import InputError, UsageError
from ..model_folder import ModelFolder, save_metrics
from ..prompts import system_prompt
from ..runtime.session import Session
from ..runtimes import Runtime, runtime_of
from ..safety.guard import states_certainty
from ..wording import describe

#: Tokens of an answer at most, and of the context.
_MAX_TOKENS = 160
_CONTEXT = 1024
#: Pairs of answers that are kept side by side.
_SHOWN = 10
#: Without and with the adapter.
WHEN = ("before", "after")


def evaluate_texts(
    model: ModelFolder,
    data: Sequence[Path],
    limit: int = 200,
    keep: bool = False,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
    llm: str | None = None,
    runtime: str = "auto",
    four_bit: bool = False,
) -> dict[str, Any]:
    """Measure what the language model answers to held-out questions without and with the model's
    adapter.

    data: fine-tuning sets, as `read_instructions` reads them, of which the texts are taken that
    the adapter's training held out. limit: questions. keep: whether the metrics go into the model
    folder. progress: called with the number of questions done and of all. llm: the language model
    that the adapter was trained with, where it is not where it was then. runtime, four_bit: see
    `runtimes.open_runtime`.

    Returns what `compare_adapter` does. Raises UsageError if the model has no adapter for that
    runtime or its language model is not there, and InputError if the data cannot be read or hold
    no held-out text in the adapter's languages.

    Example: `evaluate_texts(open_model(), [Path("instructions")])["after"]["certain"]`.
    """
    adapter = model.manifest.adapter
    if adapter is None:
        raise UsageError(f"{model.path} has no adapter; run ophglm sft.")
    chosen = runtime_of(model, adapter, llm, runtime, four_bit)
    if chosen.adapter_in(model.path) is None:
        raise UsageError(f"{model.path} has no adapter for {chosen.description}; run ophglm sft.")
    training = adapter.training
    texts = [text for path in data for text in read_instructions(path)]
    _, held_out = split_texts(texts)
    held_out = [text for text in held_out if text.language in training["languages"]]
    if not held_out:
        raise InputError(
            f"{', '.join(map(str, data))} holds no held-out text in "
            f"{' or '.join(training['languages'])}."
        )
    metrics = compare_adapter(model, chosen, held_out, limit, seed, progress)
    if keep:
        adapter.metrics = metrics
        save_metrics(model)
    return metrics


def compare_adapter(
    model: ModelFolder,
    runtime: Runtime,
    texts: Sequence[Instruction],
    limit: int,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, Any]:
    """Ask up to `limit` questions of the language model without and with the adapter.

    runtime: of the language model that the adapter was trained with. Texts of a condition are asked
    beside findings with that condition.

    Returns 'prompts' (how many were asked), 'subsets' (of which subsets), and 'before' and 'after',
    each with: 'names_found', of the answers beside a finding the share that names it;
    'names_other', the share of all that names a condition neither found nor asked about; 'certain',
    that states a disease as certain; 'repeats', that repeats itself; 'cut_off', that does not end a
    sentence; 'words', the mean length. 'pairs' holds ten questions with both answers. Raises
    UsageError if llama.cpp cannot load a file.
    """
    labels = model.labels
    chosen = list(texts)
    random.Random(seed).shuffle(chosen)
    chosen = chosen[:limit]
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        sessions = []
        for adapter in (None, runtime.adapter_in(model.path)):
            sessions.append(runtime.session(_CONTEXT, adapter))
            stack.callback(sessions[-1].close)
        for number, text in enumerate(chosen, start=1):
            found = [text.label] if text.label in labels else []
            messages = _messages(text, found, labels, seed)
            answers = [_answer(session, messages) for session in sessions]
            rows.append({"text": text, "found": found, **dict(zip(WHEN, answers, strict=True))})
            progress(number, len(chosen))
    return {
        "prompts": len(rows),
        "subsets": dict(Counter(row["text"].subset for row in rows)),
        **{
            when: text_metrics([(r["text"], r["found"], r[when]) for r in rows], labels)
            for when in WHEN
        },
        "pairs": [
            {
                "question": r["text"].asked,
                "before": r["before"],
                "after": r["after"],
            }
            for r in rows[:_SHOWN]
        ],
    }


def _messages(
    text: Instruction, found: Sequence[str], labels: LabelSet, seed: int
) -> list[dict[str, str]]:
    """Return the chat messages of a text's first question, beside findings where it has a label."""
    findings = []
    if found:
        drawn = drawn_findings(tuple(found), labels, random.Random(f"{seed}:{text.group}"))
        findings = [describe(drawn, labels, text.language)]
    return [
        {"role": "system", "content": system_prompt(findings, text.language)},
        dict(text.messages[0]),
    ]


def _answer(session: Session, messages: list[dict[str, str]]) -> str:
    session.truncate(0)
    session.append_text(session.render(messages, add_generation_prompt=True))
    return "".join(session.generate(_MAX_TOKENS)).strip()


def text_metrics(
    answered: Sequence[tuple[Instruction, list[str], str]], labels: LabelSet
) -> dict[str, float]:
    """Return the metrics of answers, as `compare_adapter` describes them.

    answered: a text, the labels found beside its question, and the answer, each.
    """
    # 'normal' and 'other' have no name that an answer could use.
    nameable = [{key for key in found if labels[key].pattern} for _, found, _ in answered]
    beside = [(keys, answer) for keys, (_, _, answer) in zip(nameable, answered, strict=True)]
    others = [
        _named(answer, labels) - set(found) - _named(text.messages[0]["content"], labels)
        for text, found, answer in answered
    ]
    answers = [answer for _, _, answer in answered]
    return {
        "names_found": _share([keys <= _named(answer, labels) for keys, answer in beside if keys]),
        "names_other": _share([bool(names) for names in others]),
        "certain": _share([states_certainty(a) for a in answers]),
        "repeats": _share([repeats(a) for a in answers]),
        "cut_off": _share([not a.endswith((".", "!", "?", "。", "！", "？")) for a in answers]),
        "words": sum(len(a.split()) for a in answers) / max(1, len(answers)),
    }


def _named(text: str, labels: LabelSet) -> set[str]:
    """The conditions that a text names: all that are known, and the model's own labels."""
    return {*named_conditions(text), *labels.named_in(text)}


def _share(values: Sequence[bool]) -> float:
    return sum(values) / max(1, len(values))


def repeats(answer: str) -> bool:
    """Whether an answer says a sentence twice, or the same five words three times."""
    sentences = [
        s.strip().lower() for s in re.split(r"[.!?。！？\n]+", answer) if len(s.strip()) > 8
    ]
    if len(set(sentences)) < len(sentences):
        return True
    words = re.findall(r"[\u4e00-\u9fff]|\w+", answer.lower())
    runs = Counter(tuple(words[i : i + 5]) for i in range(len(words) - 4))
    return max(runs.values(), default=0) >= 3
