"""Dynamic label pairing: as training runs, each picture draws a text that fits its labels.

Texts are not tied to pictures (OphGLM, arXiv 2306.12174): every epoch each picture meets another
one, so that the answer cannot be learned by heart from the picture, and every text meets many.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..conditions import CONDITIONS, NORMAL, LabelSet
from ..findings import Findings
from ..knowledge import meaning
from ..wording import sentence_case
from .build_instructions import visual_answer
from .instructions import ANY, Instruction
from .records import Record

#: Conversations are drawn as often as this, instructions otherwise.
_CONVERSATION_SHARE = 0.25


def picture_labels(record: Record, labels: LabelSet) -> tuple[str, ...]:
    """Return the labels that a picture's texts must speak of: its diseases, 'normal', or 'other'.

    'other' is a picture of which each of `labels` is known and none is shown.
    """
    found = tuple(d for d in labels.diseases if record.labels.get(d))
    if found:
        return found
    if record.labels.get(NORMAL):
        return (NORMAL,)
    return ("other",) if record.is_complete(labels) else ()


class EvenPool:
    """Texts of which each kind is drawn as often.

    Else the library's thousands would leave hardly a draw to what is said of a photograph, and to
    the plain words that a small model learns.
    """

    def __init__(self, texts: Iterable[Instruction]):
        self._kinds: dict[str, list[Instruction]] = defaultdict(list)
        for text in texts:
            self._kinds[_kind(text)].append(text)

    def draw(self, rng: random.Random) -> Instruction | None:
        """Return a text, or None if there is none."""
        return rng.choice(self._kinds[rng.choice(list(self._kinds))]) if self._kinds else None


def _kind(text: Instruction) -> str:
    if text.topic == "visual":
        return "visual"
    if text.subset == "conversations":
        return "conversation"
    return "statement" if text.facts else "library"


class Pairing:
    """Draws texts for pictures, reproducibly from (seed, epoch, number of the picture)."""

    def __init__(self, texts: Sequence[Instruction], seed: int = 0):
        self.seed = seed
        self._single: dict[tuple[str, str], list[Instruction]] = defaultdict(list)
        self._conversations: dict[tuple[str, str], list[Instruction]] = defaultdict(list)
        self._anything: dict[str, list[Instruction]] = defaultdict(list)
        self._even: dict[tuple[str, str], EvenPool] = {}
        for text in texts:
            if text.label == ANY:
                self._anything[text.language].append(text)
            elif text.label:
                single = text.subset != "conversations"
                pool = self._single if single else self._conversations
                pool[text.label, text.language].append(text)

    def draw(
        self, labels: tuple[str, ...], epoch: int, number: int, language: str
    ) -> Instruction | None:
        """Return a text for picture `number` that fits all of its labels, or None if none does.

        With several labels the question asks for none by name, and the answer speaks of each.
        """
        rng = random.Random(f"{self.seed}:{epoch}:{number}:{language}")
        if not labels:
            return None
        conversations = rng.random() < _CONVERSATION_SHARE
        if conversations and rng.random() < 0.3 and self._anything[language]:
            return rng.choice(self._anything[language])
        if len(labels) > 1:
            return self._several(labels, language, rng)
        key = labels[0], language
        if conversations:
            return rng.choice(self._conversations[key]) if self._conversations[key] else None
        if key not in self._even:
            self._even[key] = EvenPool(self._single[key])
        return self._even[key].draw(rng)

    def _several(
        self, labels: tuple[str, ...], language: str, rng: random.Random
    ) -> Instruction | None:
        pools = [
            [t for t in self._single[label, language] if not t.named and t.facts]
            for label in labels
        ]
        topics = [{t.topic for t in pool} for pool in pools]
        shared = sorted(set.intersection(*topics))
        if not shared:
            return None
        topic = rng.choice(shared)
        first, *rest = (rng.choice([t for t in pool if t.topic == topic]) for pool in pools)
        texts = [first, *rest]
        space = "" if language == "zh" else " "
        if topic == "visual":
            facts = visual_answer(labels, language)
            plain = space.join(meaning(x) for x in labels) if language == "en" else ""
        else:
            # Each statement is preceded by what it is about, or two would read as one.
            facts = space.join(_about(t) for t in texts)
            plain = space.join(t.plain for t in texts if t.plain)
        answer = facts if topic == "visual" else facts + (space + plain if plain else "")
        question, _ = first.messages
        return replace(
            first,
            messages=(question, {"role": "assistant", "content": answer}),
            label="+".join(labels),
            source="; ".join(sorted({t.source for t in texts})),
            facts=facts,
            plain=plain,
        )


def _about(text: Instruction) -> str:
    condition = CONDITIONS.get(text.label)
    if condition is None or condition.key == NORMAL:
        return text.facts
    if text.language == "zh":
        return f"{condition.name_zh}：{text.facts}"
    return f"{sentence_case(condition.name)}: {text.facts}"


def drawn_findings(labels: Sequence[str], label_set: LabelSet, rng: random.Random) -> Findings:
    """Return findings such as the classifier would give of a picture with these labels."""
    probabilities = {label: rng.uniform(0.01, 0.2) for label in label_set}
    shown = [label for label in labels if label in label_set]
    for label in shown:
        probabilities[label] = rng.uniform(0.5, 0.98)
    return Findings("", "ok", "", probabilities, shown)
