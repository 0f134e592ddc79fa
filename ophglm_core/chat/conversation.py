"""One conversation about one or two photographs: findings first, then answers as they stream.

An answer has parts, told apart: what is urgent, what the photograph gave (worded by the program
from the encoder's calibrated output), what the language model itself reads off the photograph
through the fusion module, what is generally known (statements of the knowledge base, with their
sources), and the language model's explanation of these, which is checked sentence by sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from . import knowledge
from .data.instructions import meaning
from .errors import UsageError
from .findings import Findings, describe, is_chinese, percent
from .fusion.prompt import PLACEHOLDER
from .labels import BY_KEY, DISEASES
from .llm.rows import feed_prompt
from .prompts import ask_with_facts, system_prompt
from .reading import PhotographReader, Reading
from .safety import Guard, named_conditions, red_flags

_ANSWER_TOKENS = 160
_SENTENCES = 4
#: Share of a small model's content words that must come from what it was given.
_SUPPORT = 0.75
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_ENDS = (".", "!", "?", "。", "！", "？")
_LIST_MARK = re.compile(r"^\s*(?:[-*•#]+|\d+[.)])\s*")

_PICTURE_QUESTION = re.compile(
    r"\bsee\b|seen|saw|show|find|photo|image|picture|this eye|finding|result|normal|healthy|wrong"
    r"|how (sure|certain|likely)|probab|diagnos|\bis (it|there|this)|do i have|have i\b|compare"
    r"|看|照片|图|正常|结果|概率|诊断|是不是|有没有|吗|比较",
    re.IGNORECASE,
)


class LanguageModel(Protocol):
    """What a conversation needs of a language model's runtime."""

    context: int
    tokens: list[int]

    def render(self, messages: list[dict[str, str]], answer_next: bool) -> str: ...
    def count(self, text: str) -> int: ...
    def feed(self, text: str) -> None: ...
    def feed_rows(self, rows: np.ndarray) -> None: ...
    def rewind(self, length: int) -> None: ...
    def generate(self, limit: int) -> Iterator[str]: ...


@dataclass(frozen=True)
class Part:
    """A piece of an answer.

    kind: 'urgent'; 'seen', from the photograph; 'read', by the language model off the photograph;
    'known', in general, with its source; 'explained', by the language model; 'next', what to do,
    with its source.
    """

    kind: str
    text: str
    source: str | None = None


@dataclass
class Conversation:
    """A conversation about `findings`, with a language model that keeps its context.

    small: whether the model is the small embedded one. It knows no Chinese, so a Chinese question
    is then answered from the findings and the knowledge base alone; and each of its sentences must
    rest on what it was given. reader: reads the photographs through the fusion module; None where
    there is none or it is not wanted. use_findings: whether the findings are part of the answers;
    if not, an answer is what the reader says. use_rows: whether the language model was taught
    to explain with the photographs' rows before it.
    """

    findings: list[Findings]
    model: LanguageModel
    small: bool = True
    reader: PhotographReader | None = None
    use_findings: bool = True
    use_rows: bool = False
    _messages: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._messages = [{"role": "system", "content": self._system()}]
        self.model.rewind(0)

    @property
    def found(self) -> list[str]:
        """The diseases that any of the photographs gave, the most probable first."""
        best: dict[str, float] = {}
        for finding in self.findings:
            for label in finding.diseases:
                best[label] = max(best.get(label, 0.0), finding.probabilities[label])
        return sorted(best, key=lambda label: -best[label])

    def clear(self) -> None:
        """Forget the conversation; the findings stay."""
        del self._messages[1:]
        self.model.rewind(0)

    def _system(self) -> str:
        return system_prompt(self.seen("en"))

    def seen(self, language: str) -> list[str]:
        """Return a sentence or two for each photograph."""
        return [
            describe(finding, language, self._name(index, language))
            for index, finding in enumerate(self.findings)
        ]

    def _name(self, index: int, language: str) -> str | None:
        finding, zh = self.findings[index], language == "zh"
        if len(self.findings) == 1:
            return None
        number = f"第{index + 1}张照片" if zh else f"photograph {index + 1}"
        if finding.eye is None:
            return number
        if zh:
            eye = "左眼" if finding.eye == "left" else "右眼"
            return f"{number}（据文件名为{eye}）"
        return f"{number} ({finding.eye} eye by its file name)"

    def ask(self, question: str) -> Iterator[Part]:
        """Answer a question; the parts come as they are ready, sentence by sentence."""
        language = "zh" if is_chinese(question) else "en"
        flag = red_flags(question, language)
        if flag:
            # Nothing else: whoever reads this should be on the way and not read on.
            yield Part("urgent", flag)
            return
        reading = Reading(self.reader, self.findings) if self.reader else None
        if reading and not self.use_findings:
            yield Part("read", reading.alone(question, language))
            return
        asked = named_conditions(question)
        first = len(self._messages) == 1
        parts: list[Part] = []
        if asked or first or _PICTURE_QUESTION.search(question):
            sentences = self.seen(language) + self._not_found(asked, language)
            parts += [Part("seen", sentence) for sentence in sentences]
        yield from parts
        if reading and (asked or _PICTURE_QUESTION.search(question)):
            read = reading.beside(question, language, self.found, asked)
            if read is not None:
                yield Part("read", read)
        beyond = knowledge.beyond(question)
        if beyond:
            asked = set()  # 'retinopathy' alone would mean the diabetic one
        conditions = [*beyond, *sorted(asked, key=DISEASES.index)] or self.found or ["normal"]
        facts = knowledge.relevant(question, conditions)
        chinese_alone = language == "zh" and self.small
        if not facts and (chinese_alone or not parts):
            facts = knowledge.relevant("what is it", conditions, 1) if parts else []
        known = [Part("known", fact.text(language), fact.source) for fact in facts]
        yield from known
        parts += known
        if not chinese_alone:
            yield from self._explain(question, parts, facts, frozenset(asked), language)
        elif not parts:
            scope = knowledge.general("scope")
            yield Part("known", scope.zh, scope.source)
        if first:
            yield from self._next(known, language)

    def _next(self, known: list[Part], language: str) -> Iterator[Part]:
        """Say what to do about what was found first, unless that has been said."""
        if all(finding.status != "ok" for finding in self.findings):
            return
        condition = self.found[0] if self.found else "normal"
        said = {part.text for part in known}
        for fact in knowledge.statements(condition):
            if fact.topic == "urgency" and fact.text(language) not in said:
                yield Part("next", fact.text(language), fact.source)

    def _not_found(self, asked: set[str], language: str) -> list[str]:
        """Say of a condition that was asked about and not found that it was not found."""
        gradable = [f for f in self.findings if f.status == "ok"]
        missing = [d for d in DISEASES if d in asked and d not in self.found]
        if not gradable or not missing:
            return []
        sentences = []
        for label in missing:
            highest = max(f.probabilities[label] for f in gradable)
            condition = BY_KEY[label]
            if language == "zh":
                sentences.append(
                    f"{condition.name_zh}未达到阈值（模型概率{percent(highest, 'zh')}），"
                    "但仅凭照片不能排除。"
                )
            else:
                sentences.append(
                    f"The classifier's probability of {condition.name} ({percent(highest)}) is "
                    "below its threshold, which does not exclude it."
                )
        return sentences

    def _explain(
        self,
        question: str,
        parts: list[Part],
        facts: list[knowledge.Statement],
        asked: frozenset[str],
        language: str,
    ) -> Iterator[Part]:
        """Let the model explain what `parts` have said, and show what passes the guard."""
        # A small model that is given two conditions' facts mixes them.
        told = [fact.text(language) for fact in (facts[:1] if self.small else facts)]
        content = ask_with_facts(question, told, language) if told else question
        rows = None
        if self.reader and self.use_rows:
            rows = Reading(self.reader, self.findings).rows(question)
        self._open_turn(content, rows)
        # What the adapter was taught to say of these facts.
        plain = [fact.plain for fact in facts[:1]] or [meaning(c) for c in self.found or ["normal"]]
        # A small model says of one condition what it was told of another: it may name only the one
        # that it was told of.
        may_name = frozenset(f.condition for f in facts[:1]) if told and self.small else None
        found = frozenset(self.found)
        guard = Guard(
            found if may_name is None else found & may_name,
            asked if may_name is None else asked & may_name,
            " ".join([*told, *plain] if told and self.small else [self._system(), *told, *plain]),
            _SUPPORT if self.small else 0.0,
        )
        for part in parts:
            for sentence in _SENTENCE_END.split(part.text):
                guard.hear(sentence)
        answer: list[str] = []
        try:
            for sentence in self._sentences(guard):
                answer.append(sentence)
                yield Part("explained", sentence)
            if not answer:
                if not parts:
                    scope = knowledge.general("scope")
                    parts = [Part("known", scope.text(language), scope.source)]
                    yield parts[0]
                answer = [part.text for part in parts]
                self.model.feed(" ".join(answer))
        finally:
            # Also when the user stops the answer: the next turn then follows what was shown.
            if answer:
                self._messages.append({"role": "assistant", "content": " ".join(answer)})
            else:
                self._messages.pop()
                self.model.rewind(0)  # what is shared is not computed again all the same

    def _open_turn(self, content: str, rows: np.ndarray | None) -> None:
        """Put the user's turn, and the opening of the answer, at the end of the context.

        rows: the photographs' rows [K, H], which stand before the turn's words. Raises UsageError
        if the turn alone does not fit.
        """
        before = self.model.render(self._messages, answer_next=False)
        shown = content if rows is None else PLACEHOLDER + content
        self._messages.append({"role": "user", "content": content})
        prompt = self._render(shown)
        room = self.model.context - _ANSWER_TOKENS - 8 - (0 if rows is None else len(rows))
        if self.model.tokens and prompt.startswith(before):
            # The tokens of earlier turns stay as they are; only what follows them is added.
            addition = self._closing(before) + prompt[len(before) :]
            if len(self.model.tokens) + self.model.count(addition) <= room:
                feed_prompt(self.model, addition, rows)
                return
        while self.model.count(prompt) > room and len(self._messages) > 3:
            del self._messages[1:3]  # the oldest turn makes room
            prompt = self._render(shown)
        if self.model.count(prompt) > room:
            self._messages.pop()
            raise UsageError("The question is too long for the language model; ask a shorter one.")
        self.model.rewind(0)
        feed_prompt(self.model, prompt, rows)

    def _render(self, shown: str) -> str:
        """Render the conversation with its last turn as it is shown to the model."""
        last = {"role": "user", "content": shown}
        return self.model.render([*self._messages[:-1], last], answer_next=True)

    def _closing(self, rendered: str) -> str:
        """Return what the template puts behind an answer, such as an end-of-turn mark."""
        answer = self._messages[-2]["content"]
        place = rendered.rfind(answer)
        return rendered[place + len(answer) :] if place >= 0 else ""

    def _sentences(self, guard: Guard) -> Iterator[str]:
        """Yield the model's sentences up to the first that the guard objects to.

        That one is taken back from the context, so that no later turn builds on it. Decoding is
        greedy: the same question gets the same answer.
        """
        kept = len(self.model.tokens)
        shown, buffer = 0, ""
        try:
            for piece in self.model.generate(_ANSWER_TOKENS):
                buffer += piece
                *complete, buffer = _SENTENCE_END.split(buffer)
                for part in complete:
                    sentence = _LIST_MARK.sub("", part).strip()
                    if not sentence:
                        continue
                    if shown == _SENTENCES or guard.objection(sentence) is not None:
                        return
                    shown += 1
                    # The piece that ended this sentence is the start of the next one.
                    kept = len(self.model.tokens) - 1
                    yield sentence
            rest = _LIST_MARK.sub("", buffer).strip()
            # A sentence that the limit cut off is neither shown nor remembered.
            if rest.endswith(_ENDS) and shown < _SENTENCES and guard.objection(rest) is None:
                kept = len(self.model.tokens)
                yield rest
        finally:
            self.model.rewind(kept)
