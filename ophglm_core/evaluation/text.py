"""What the adapter changes: answers to held-out questions before and after, and how they fare."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .data.instructions import Instruction
from .data.pairing import drawn_findings
from .findings import describe
from .labels import LABELS
from .llm.llama_runtime import LlamaSession
from .modelfolder import ADAPTER_GGUF, ModelFolder
from .prompts import system_prompt
from .safety import named_conditions, states_certainty

_TOKENS = 160
_CONTEXT = 1024
#: Pairs of answers that are kept side by side.
_SHOWN = 10
WHEN = ("before", "after")


def evaluate_texts(
    model: ModelFolder,
    gguf: Path,
    texts: Sequence[Instruction],
    limit: int,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, Any]:
    """Ask up to `limit` held-out questions of the language model without and with the adapter.

    Texts of a condition are asked beside findings with that condition. Returns, before and after:
    'names_found', of the answers beside a finding the share that names it; 'names_other', the share
    of all that names a condition neither found nor asked about; 'certain', that states a disease as
    certain; 'repeats', that repeats itself; 'cut_off', that does not end a sentence; and ten
    questions with both answers.
    """
    draw = random.Random(seed)
    chosen = list(texts)
    draw.shuffle(chosen)
    chosen = chosen[:limit]
    sessions = [
        LlamaSession(gguf, _CONTEXT),
        LlamaSession(gguf, _CONTEXT, model.path / ADAPTER_GGUF),
    ]
    rows: list[dict[str, Any]] = []
    for number, text in enumerate(chosen, start=1):
        found = [text.label] if text.label in LABELS else []
        seen = []
        if found:
            findings = drawn_findings("", tuple(found), random.Random(f"{seed}:{text.group}"))
            seen = [describe(findings, text.language)]
        said = [
            {"role": "system", "content": system_prompt(seen, text.language)},
            dict(text.messages[0]),
        ]
        answers = []
        for session in sessions:
            session.rewind(0)
            session.feed(session.render(said, answer_next=True))
            answers.append("".join(session.generate(_TOKENS)).strip())
        rows.append({"text": text, "found": found, **dict(zip(WHEN, answers, strict=True))})
        progress(number, len(chosen))
    for session in sessions:
        session.close()
    kinds = Counter(row["text"].subset for row in rows)
    return {
        "prompts": len(rows),
        "subsets": dict(kinds),
        **{when: _figures([(r["text"], r["found"], r[when]) for r in rows]) for when in WHEN},
        "pairs": [
            {
                "question": r["text"].messages[0]["content"],
                "before": r["before"],
                "after": r["after"],
            }
            for r in rows[:_SHOWN]
        ],
    }


def _figures(answered: Sequence[tuple[Instruction, list[str], str]]) -> dict[str, float]:
    beside = [(found, answer) for _, found, answer in answered if set(found) - {"normal"}]
    others = [
        named_conditions(answer) - set(found) - named_conditions(text.messages[0]["content"])
        for text, found, answer in answered
    ]
    answers = [answer for _, _, answer in answered]
    return {
        "names_found": _share([set(f) <= named_conditions(a) for f, a in beside]),
        "names_other": _share([bool(names) for names in others]),
        "certain": _share([states_certainty(a) for a in answers]),
        "repeats": _share([repeats(a) for a in answers]),
        "cut_off": _share([not a.endswith((".", "!", "?", "。", "！", "？")) for a in answers]),
        "words": sum(len(a.split()) for a in answers) / max(1, len(answers)),
    }


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
