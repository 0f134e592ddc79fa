"""One conversation about one or two photographs: findings first, then answers as they stream."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Protocol

import numpy as np

from ..conditions import NORMAL, LabelSet, named_conditions
from ..errors import UsageError
from ..findings import Findings
from ..knowledge import meaning
from ..knowledge.library import GENERAL_SUBJECTS, Entry
from ..knowledge.retrieval import Library, Match
from ..prompts import (
    IMAGE_PLACEHOLDER,
    prompt_with_facts,
    prompt_with_passages,
    system_prompt,
)
from ..runtime.profile import EMBEDDED, ModelProfile
from ..runtime.session import GREEDY, Decoding
from ..safety.guard import Guard
from ..wording import word_count
from .answer import Answer, choose, compose
from .exchange import Exchange
from .length import beginning, only_read_to
from .lookup import look_up
from .own_words import LIST_MARK, checked_sentences
from .parts import AnswerPart, describe_all, found_in
from .question import Question, parse_question
from .remit import within_remit
from .tasks import do_task, task_in
from .understanding import subject_returned_to, understand
from .visual_answer import PhotographReader, VisualAnswers

_ANSWER_TOKENS, _OWN_ANSWER_TOKENS = 160, 400
_SENTENCES = 4
#: Of what a small model begins with; less, such as "The doctor decides.", adds nothing.
_FEWEST_WORDS = 6
#: Turns for which an emergency, or a treatment, that was told goes on to be what "it" means.
_REMEMBERED = 3
#: Share of a small model's content words that must come from what it was given.
_SUPPORT = 0.75
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_ENDS = (".", "!", "?", "。", "！", "？")


class LanguageModel(Protocol):
    """What a conversation needs of a language model's runtime."""

    context: int

    @property
    def tokens(self) -> list[int]: ...
    def render(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str: ...
    def count(self, text: str) -> int: ...
    def append_text(self, text: str) -> None: ...
    def append_prompt(self, prompt: str, soft_tokens: np.ndarray | None = None) -> None: ...
    def truncate(self, length: int) -> None: ...
    def generate(self, limit: int, decoding: Decoding = GREEDY) -> Iterator[str]: ...


@dataclass(frozen=True)
class _State:
    """What a turn of a conversation starts from. messages: without the system's."""

    messages: tuple[dict[str, str], ...]
    subject: tuple[str, ...]
    advised: bool


@dataclass
class Chat:
    """A conversation about `findings`, with a language model that keeps its context.

    findings: of one photograph or two, or none: then questions are answered in general. labels: of
    the model that gave the findings. library: what questions are answered from. profile: of the
    language model. A capable one answers from the library's passages in its own words, each
    sentence checked and cited. A small one puts only those statements in other words that the
    embedded one was trained on; each of its sentences must rest on what it was given.
    reader: reads the photographs through the fusion module; None where there is none or it is not
    wanted.
    use_findings: whether the findings are part of the answers; if not, an answer is what the reader
    says. use_soft_tokens: whether the language model was taught to explain with the photographs'
    soft tokens before it. thresholds: per label, the probability from which it is positive.
    measured: per label, the model's metrics on test patients. about: what answers come from, by
    part: 'model', 'language_model' and so on. on_step: is told what is
    being done while nothing can be shown yet: 'search', 'look' or 'word'. decoding: how the
    language model's words are chosen; it may be changed between turns.

    Example:
        chat = assistant.chat("left.jpg", "right.jpg")
        for part in chat.ask("How urgent is it?"):
            print(part.kind, part.text, part.source)
    """

    findings: Sequence[Findings]
    labels: LabelSet
    model: LanguageModel
    profile: ModelProfile = EMBEDDED
    reader: PhotographReader | None = None
    use_findings: bool = True
    use_soft_tokens: bool = False
    library: Library = field(default_factory=Library)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    on_step: Callable[[str], None] = lambda step: None
    decoding: Decoding = GREEDY
    #: The turns so far, also those that were stopped.
    exchanges: list[Exchange] = field(default_factory=list, init=False)
    #: Tokens a second that the language model wrote last; None before it has written.
    speed: float | None = field(default=None, init=False)
    _written_answers: int = field(default=0, init=False)
    _messages: list[dict[str, str]] = field(default_factory=list, init=False)
    _subject: list[str] = field(default_factory=list, init=False)
    _advised: bool = field(default=False, init=False)
    #: What each of the exchanges started from.
    _before: list[_State] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.look_at(self.findings)

    def look_at(self, findings: Sequence[Findings]) -> None:
        """Start over with other photographs."""
        self.findings = findings
        self._system = system_prompt(describe_all(findings, self.labels, "en"))
        self.clear()

    @property
    def found(self) -> list[str]:
        """The diseases that any of the photographs gave, the most probable first."""
        return found_in(self.findings)

    def clear(self) -> None:
        """Forget the conversation; the findings stay."""
        self.exchanges, self._before = [], []
        self._restore(_State((), (), False))

    def undo(self) -> Exchange | None:
        """Forget the last turn and return it; None if there is none."""
        if not self.exchanges:
            return None
        self._restore(self._before.pop())
        return self.exchanges.pop()

    def resume(self, exchanges: Sequence[Exchange]) -> None:
        """Go on from turns that were saved, as if they had just been had about these findings."""
        self.clear()
        for exchange in exchanges:
            self._begin(exchange)
            self._remember(exchange.text, exchange.parts)
            self._advised |= any(part.kind == "recommendation" for part in exchange.parts)
            self._subject = self._subject_of(exchange.question, exchange.entries)
            exchange.subject = tuple(self._subject)

    def name_eye(self, index: int, eye: str) -> None:
        """Take a photograph for that of an eye, 'left' or 'right'; the conversation goes on."""
        named = replace(self.findings[index], laterality=eye, eye_given=True)
        self.findings = [named if i == index else f for i, f in enumerate(self.findings)]
        self._system = system_prompt(describe_all(self.findings, self.labels, "en"))
        self._restore(self._state())

    def _begin(self, exchange: Exchange) -> None:
        self._before.append(self._state())
        self.exchanges.append(exchange)

    def _state(self) -> _State:
        return _State(tuple(self._messages[1:]), tuple(self._subject), self._advised)

    def _restore(self, state: _State) -> None:
        self._messages = [{"role": "system", "content": self._system}, *state.messages]
        self._subject, self._advised = list(state.subject), state.advised
        self.model.truncate(0)  # what is shared is not computed again all the same

    def load(self, language: str = "en") -> None:
        """Load what the first answers, in 'en' or 'zh', would have to wait for.

        May be called in another thread while the conversation goes on: an answer then waits for
        what it needs. Raises UsageError if the language model cannot be loaded; so does `ask` then.
        """
        import_module("..safety.red_flags", __package__)
        self.library.search("", language)
        self.model.render(list(self._messages), False)
        if self.reader is not None and self.findings:
            self.reader.load()

    def ask(self, text: str) -> Generator[AnswerPart]:
        """Answer a question; the parts come as they are ready, sentence by sentence.

        Closing the generator stops the answer; what was shown of it is kept. Of a text that is too
        long the beginning is answered, and a part of kind 'remark' says so. Raises UsageError if
        the language model cannot be loaded.
        """
        # What is typed can neither stand for a photograph nor make a turn.
        question = parse_question(text.replace(IMAGE_PLACEHOLDER, "image"), self.labels)
        exchange = Exchange(question, task_in(question.text))
        self._begin(exchange)
        began = time.perf_counter()
        try:
            # Closed at once when the answer is stopped, so that the next turn finds it settled.
            with closing(self._answer(exchange)) as parts:
                for part in parts:
                    exchange.first_part = exchange.first_part or time.perf_counter() - began
                    exchange.parts.append(part)
                    yield part
            exchange.complete = True
        finally:
            exchange.seconds = time.perf_counter() - began
            if not exchange.parts and self.exchanges[-1] is exchange:
                self.undo()

    def _answer(self, exchange: Exchange) -> Generator[AnswerPart]:
        from ..safety.red_flags import assess, subject_of  # whose patterns take a while to compile

        # Warning signs are looked for in all that was asked, and before anything else.
        flag = assess(exchange.text, exchange.question.language, self.library.embed)
        if flag is None or not flag.symptoms:
            urgent = self._still_urgent(exchange)
            if urgent is not None:
                yield AnswerPart("red_flag", urgent)
                yield from self._known_of_emergency(exchange.question)
                return
            if exchange.question.vqa_kind is not None:
                flag = None  # a question to the photograph, in which no rule finds a symptom
        if flag is not None:
            yield AnswerPart("red_flag", flag.text)
            if flag.symptoms and not flag.diagnosed:
                # Nothing else: whoever reads this should be on the way and not read on.
                subject = subject_of(flag.symptoms, exchange.text)
                self._subject = [subject] if subject else []
                exchange.subject = tuple(self._subject)
                return
        if self._shorten(exchange):
            shortened = only_read_to(exchange.text, exchange.question.language)
            yield AnswerPart("remark", shortened)
        exchange.question, exchange.task = self._understood(exchange)
        question, task = exchange.question, exchange.task
        matches: list[Match] = []
        if task is None and question.vqa_kind is None and question.about_reading is None:
            self.on_step("search")
            matches = self._search(question)
        answer = compose(
            question,
            self.findings,
            self.labels,
            matches,
            not self._advised,
            self.measured,
            self._rested_on(),
            self._spoken_of(),
            within_remit(question.text, self.library.embed) if matches else 0.5,
        )
        if task is not None:
            earlier = self.exchanges[:-1]
            parts = do_task(task, question.text, self.findings, self.labels, earlier)
            self._remember(question.text, parts)
            yield from parts
            return
        visual = None
        if self.reader is not None and self.findings:
            visual = VisualAnswers(self.reader, self.findings, self.found)
            if question.vqa_kind is not None:
                self.on_step("look")
        if visual and not self.use_findings:
            yield AnswerPart("visual_answer", visual.alone(question))
            return
        # Known from here on, also where the answer is stopped.
        exchange.entries = answer.entries
        exchange.further = tuple(m.entry for m in matches if m.entry not in answer.entries)
        self._subject = self._subject_of(question, answer.entries)
        exchange.subject = tuple(self._subject)
        yield from answer.findings
        reading = visual.beside_findings(question) if visual else None
        if reading is not None:
            yield AnswerPart("visual_answer", reading)
        speaks = self.profile.speaks(question.language)
        if self.profile.capable and speaks and answer.entries:
            yield from self._answer_from_passages(question, answer)
        else:
            yield from answer.knowledge
            if speaks and self._explains(answer):
                yield from self._explain(question, answer, visual)
            else:
                self._remember(question.text, (*answer.findings, *answer.knowledge))
        yield from answer.recommendation
        self._advised = self._advised or bool(answer.recommendation)

    def _understood(self, exchange: Exchange) -> tuple[Question, str | None]:
        """Return the question that a turn asks, and its task."""
        turns, subject = self.exchanges[:-1], self._spoken_of()
        shown, embed = bool(self.findings), self.library.embed
        asked, task = exchange.question, exchange.task
        return understand(asked, task, self.labels, turns, subject, shown, self.found, embed)

    def _rested_on(self) -> tuple[Entry, ...]:
        """Return the entries of the last answer that had some, a few turns ago."""
        turns = self.exchanges[-_REMEMBERED - 1 : -1]
        return next((turn.entries for turn in reversed(turns) if turn.entries), ())

    def _spoken_of(self) -> list[str]:
        """Return what "it" means, where a turn does not say it."""
        return self._subject or self.found or ([NORMAL] if self.findings else [])

    def _search(self, question: Question) -> list[Match]:
        """Return what the library has on a question, the nearest first."""
        turns = self.exchanges[:-1]
        returned = subject_returned_to(question.text, turns, question.language)
        before = [turn.text for turn in turns[-_REMEMBERED:]]
        return look_up(self.library, question, returned or self._spoken_of(), before)

    def _still_urgent(self, exchange: Exchange) -> str | None:
        """Return what was said of an emergency a few turns ago, where this turn is about it: asks
        how long it can wait, or tells which symptom is not there."""
        from ..safety.later_turns import speaks_of_waiting, still_urgent, what_it_may_be
        from ..safety.red_flags import IF_NEW

        question, text = exchange.question, exchange.text
        flagged = [turn for turn in self.exchanges[-_REMEMBERED - 1 : -1] if turn.red_flag]
        if not flagged or question.conditions or question.beyond:
            return None
        since = self.exchanges[self.exchanges.index(flagged[-1]) + 1 : -1]
        # Of other things, or after what was no more than a caution.
        others = any(turn.entries for turn in since) or flagged[-1].red_flag in IF_NEW
        if others and not speaks_of_waiting(text):
            return None
        told = [turn for turn in flagged if turn.subject] or flagged
        meant = what_it_may_be(text, told[-1].text, question.language)
        return meant or still_urgent(text, str(flagged[-1].red_flag), question.language)

    def _known_of_emergency(self, question: Question) -> list[AnswerPart]:
        """Return what is known on the emergency that was told before, where this turn asks for it:
        "wait for the biopsy before steroids?". Of a red eye most that is known is harmless, so
        nothing is said of that."""
        from ..safety.later_turns import asks_something

        asks = self._subject not in ([], ["red_eye"]) and asks_something(question.text)
        matches = self._search(question) if asks else []
        if not matches or matches[0].entry.subject not in self._subject:
            return []
        language = question.language
        return [
            AnswerPart("knowledge", entry.text(language), entry.source)
            for entry in choose(matches[:1], question)
        ]

    def _shorten(self, exchange: Exchange) -> bool:
        """Keep the beginning of a question that is too long, and return whether it was.

        It gets half of the context: what it is answered from, and the answer, need room too. Of a
        small model, which makes little of a long text and reads it for many seconds, a quarter.
        """
        whole, room = exchange.text, self.model.context - self._reserve
        most = room // (2 if self.profile.capable else 4)
        text = beginning(whole, most, self.model.count)
        if text == whole:
            return False
        exchange.question, exchange.task = parse_question(text, self.labels), task_in(text)
        exchange.asked = whole
        return True

    @property
    def _reserve(self) -> int:
        """Tokens of the context that are kept for an answer."""
        return _OWN_ANSWER_TOKENS if self.profile.capable else _ANSWER_TOKENS

    def _remember(self, question: str, said: Sequence[AnswerPart]) -> None:
        """Keep a turn in which the language model had no part, for its next one."""
        self._messages += [
            {"role": "user", "content": question},
            {"role": "assistant", "content": " ".join(part.text for part in said)},
        ]
        self.model.truncate(0)  # what is shared is not computed again all the same

    def _explains(self, answer: Answer) -> bool:
        """Whether the language model has something to add to what is said already."""
        # The small one was taught to say these statements in other words; all else of it would be
        # dropped. A capable one answers itself where there are entries.
        return bool(answer.entries and answer.facts)

    def _answer_from_passages(self, question: Question, answer: Answer) -> Iterator[AnswerPart]:
        """Let a capable model answer from the entries, and say what each of its numbers is."""
        language = question.language
        passages = [entry.text(language) for entry in answer.entries]
        self.on_step("word")
        self._open_turn(prompt_with_passages(question.text, passages, language), None)
        start = len(self.model.tokens)
        found, asked = frozenset(self.found), frozenset((*question.conditions, *question.beyond))
        grounds = " ".join([self._system, *passages])
        # Passages may speak of other diseases, and so may what is made of them.
        asked |= frozenset(named_conditions(" ".join(passages)))
        guard = Guard(found, asked, grounds, own_figures=True)
        shown: list[str] = []
        cited: set[int] = set()
        try:
            with closing(self._written(_OWN_ANSWER_TOKENS)) as pieces:
                for sentence, numbers in checked_sentences(pieces, passages, guard, language):
                    shown.append(sentence)
                    cited |= set(numbers)
                    yield AnswerPart("explanation", sentence)
            if not cited:
                # Nothing of it rests on what is known, so that is said as it stands.
                yield from answer.knowledge
                shown += [part.text for part in answer.knowledge]
            for number in sorted(cited):
                yield AnswerPart("source", f"[{number}]", answer.entries[number - 1].source)
        finally:
            # Also when the user stops the answer: the next turn follows what was shown.
            self.model.truncate(start if shown else 0)
            if shown:
                said = " ".join(shown)
                self.model.append_text(said)
                self._messages.append({"role": "assistant", "content": said})
            else:
                self._messages.pop()

    def _subject_of(self, question: Question, entries: Sequence[Entry]) -> list[str]:
        """Return what a following "it" or "that" would mean."""
        named = [*question.conditions, *question.beyond]
        told = [e.subject for e in entries[:1] if e.subject not in GENERAL_SUBJECTS]
        return named or told or self._subject

    def _explain(
        self, question: Question, answer: Answer, visual: VisualAnswers | None
    ) -> Iterator[AnswerPart]:
        """Let the model explain what has been said, and show what passes the guard."""
        language = question.language
        told = [fact.text(language) for fact in answer.facts]
        content = prompt_with_facts(question.text, told, language) if told else question.text
        soft_tokens = visual.soft_tokens(question.text) if visual and self.use_soft_tokens else None
        self.on_step("word")
        self._open_turn(content, soft_tokens)
        parts = [*answer.findings, *answer.knowledge]
        guard = self._guard(question, answer, told)
        for part in parts:
            for sentence in _SENTENCE_END.split(part.text):
                guard.record(sentence)
        shown: list[str] = []
        try:
            for sentence in self._sentences(guard):
                shown.append(sentence)
                yield AnswerPart("explanation", sentence)
            if not shown:
                shown = [part.text for part in parts]
                self.model.append_text(" ".join(shown))
        finally:
            # Also when the user stops the answer: the next turn then follows what was shown.
            if shown:
                self._messages.append({"role": "assistant", "content": " ".join(shown)})
            else:
                self._messages.pop()
                self.model.truncate(0)  # what is shared is not computed again all the same

    def _guard(self, question: Question, answer: Answer, told: list[str]) -> Guard:
        facts = answer.facts[:1]
        # What the adapter was taught to say of these facts.
        plain = [f.plain for f in facts] or [meaning(c) for c in self.found or [NORMAL]]
        found, asked = frozenset(self.found), frozenset((*question.conditions, *question.beyond))
        # A small model says of one condition what it was told of another: it may name only the one
        # that it was told of.
        may_name = frozenset(f.condition for f in facts)
        return Guard(found & may_name, asked & may_name, " ".join([*told, *plain]), _SUPPORT)

    def _open_turn(self, content: str, soft_tokens: np.ndarray | None) -> None:
        """Put the user's turn, and the opening of the answer, at the end of the context.

        soft_tokens: the photographs', [K, H], which stand before the turn's words. Raises
        UsageError if the turn alone does not fit.
        """
        before = self.model.render(self._messages, False)
        shown = content if soft_tokens is None else IMAGE_PLACEHOLDER + content
        self._messages.append({"role": "user", "content": content})
        prompt = self._render(shown)
        room = (
            self.model.context
            - self._reserve
            - 8
            - (0 if soft_tokens is None else len(soft_tokens))
        )
        if self.model.tokens and prompt.startswith(before):
            # The tokens of earlier turns stay as they are; only what follows them is added.
            addition = self._closing(before) + prompt[len(before) :]
            if len(self.model.tokens) + self.model.count(addition) <= room:
                self.model.append_prompt(addition, soft_tokens)
                return
        while self.model.count(prompt) > room and len(self._messages) > 3:
            del self._messages[1:3]  # the oldest turn makes room
            prompt = self._render(shown)
        if self.model.count(prompt) > room:
            self._messages.pop()
            raise UsageError("The question is too long for the language model; ask a shorter one.")
        self.model.truncate(0)
        self.model.append_prompt(prompt, soft_tokens)

    def _render(self, shown: str) -> str:
        """Render the conversation with its last turn as it is shown to the model."""
        last = {"role": "user", "content": shown}
        return self.model.render([*self._messages[:-1], last], True)

    def _closing(self, rendered: str) -> str:
        """Return what the template puts behind an answer, such as an end-of-turn mark."""
        answer = self._messages[-2]["content"]
        position = rendered.rfind(answer)
        return rendered[position + len(answer) :] if position >= 0 else ""

    def _sentences(self, guard: Guard) -> Iterator[str]:
        """Yield the model's sentences up to the first that does not pass the guard.

        That one is taken back from the context, so that no later turn builds on it.
        """
        kept = len(self.model.tokens)
        shown, buffer = 0, ""

        def passes(sentence: str) -> bool:
            says_something = shown > 0 or word_count(sentence) >= _FEWEST_WORDS
            return says_something and shown < _SENTENCES and guard.check(sentence) is None

        try:
            with closing(self._written(_ANSWER_TOKENS)) as pieces:
                for piece in pieces:
                    buffer += piece
                    *complete, buffer = _SENTENCE_END.split(buffer)
                    for part in complete:
                        sentence = LIST_MARK.sub("", part).strip()
                        if not sentence:
                            continue
                        if not passes(sentence):
                            return
                        shown += 1
                        # The piece that ended this sentence is the start of the next one.
                        kept = len(self.model.tokens) - 1
                        yield sentence
            rest = LIST_MARK.sub("", buffer).strip()
            # A sentence that the limit cut off is neither shown nor remembered.
            if rest.endswith(_ENDS) and passes(rest):
                kept = len(self.model.tokens)
                yield rest
        finally:
            self.model.truncate(kept)

    def _written(self, limit: int) -> Generator[str]:
        """Yield what the model writes, and measure its speed.

        From the first word on: what was before is reading and not writing.
        """
        first: tuple[float, int] | None = None
        self._written_answers += 1
        try:
            for piece in self.model.generate(limit, self.decoding.of(self._written_answers)):
                first = first or (time.perf_counter(), len(self.model.tokens))
                yield piece
        finally:
            if first is not None and (written := len(self.model.tokens) - first[1]) > 0:
                self.speed = written / (time.perf_counter() - first[0])
