"""A capable language model's own answer: its sentences, each checked and cited as it streams."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from ..safety.citations import check_citations
from ..safety.guard import Guard
from .answer import NO_DOSE

_SENTENCE_END = re.compile(
    r"(?<=[.!?])(?=\s)(?!\s*[\[［])\s+|(?<=[\]］])\s+|(?<=[。！？])(?![\[［])|\n+"
)
#: What stands before an item of a list, or a heading; two asterisks open what is bold.
LIST_MARK = re.compile(r"^\s*(?:[-•#]+\s*|\*+(?:\s+|$)|\d+[.)、](?!\d)\s*)")
#: How an item of a list, or a row of a table, begins in an answer.
LINE_STARTS = ("- ", "|")
_MOST_SENTENCES = 8
_NOT_CERTAIN = (
    "A photograph can suggest a disease and not confirm one.",
    "照片只能提示疾病，不能确诊。",
)
_CONTRADICTS = (
    "The language model contradicts the reading of the photograph here (“{}”); let a clinician "
    "compare them.",
    "此处语言模型与读片结果矛盾（“{}”），请由医生核对。",
)
_LEFT_OUT = (
    "The language model spoke of a disease that the photograph did not give; that was left out.",
    "语言模型提到了照片未提示的疾病，已略去。",
)
#: What is said instead of a sentence, by why it must not be shown; others are left out.
_INSTEAD = {
    "states a disease or finding as certain": _NOT_CERTAIN,
    "a dose": NO_DOSE,
    "denies what was found": _CONTRADICTS,
    "speaks of a disease that was not found as if of this patient": _LEFT_OUT,
    "excludes a disease, which a photograph cannot": _NOT_CERTAIN,
}


def checked_sentences(
    pieces: Iterable[str], passages: Sequence[str], guard: Guard, language: str
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield an answer's sentences with the numbers of the passages that bear them out.

    pieces: the language model's text as it comes. What must not be said is replaced by what can be,
    once each; a sentence that no passage bears out is marked. What was an item of a list begins
    with a dash, a row of a table with a bar.
    """
    said = set()
    for item, sentence in _sentences(without_thinking(pieces)):
        reason = guard.check(sentence)
        numbers: tuple[int, ...] = ()
        if reason is None:
            text, numbers = check_citations(sentence, passages, language)
            text = f"- {text}" if item else text
        elif reason in _INSTEAD:
            text = _INSTEAD[reason][language == "zh"].format(sentence)
        else:
            continue
        if text not in said:
            said.add(text)
            yield text, numbers
        if len(said) == _MOST_SENTENCES:
            return


def without_thinking(pieces: Iterable[str]) -> Iterator[str]:
    """Yield a stream of text without what stands between <think> and </think>."""
    buffer, thinking = "", False
    for piece in pieces:
        buffer += piece
        while True:
            mark = "</think>" if thinking else "<think>"
            before, found, after = buffer.partition(mark)
            if not found:
                break
            if not thinking:
                yield before
            buffer, thinking = after, not thinking
        # A mark can come in parts.
        kept = next((n for n in range(len(mark) - 1, 0, -1) if buffer.endswith(mark[:n])), 0)
        ready, buffer = buffer[: len(buffer) - kept], buffer[len(buffer) - kept :]
        if not thinking:
            yield ready
    if not thinking:
        yield buffer


def _sentences(pieces: Iterable[str]) -> Iterator[tuple[bool, str]]:
    """Yield sentences, without what marks them, and whether each begins an item of a list."""
    item = False
    for part in _parts(pieces):
        mark = LIST_MARK.match(part)
        text = LIST_MARK.sub("", part).strip()
        item = item or (mark is not None and "#" not in mark[0])
        if re.search(r"\w", text):  # neither the mark alone nor the rule of a table
            yield item, text
            item = False


def _parts(pieces: Iterable[str]) -> Iterator[str]:
    buffer = ""
    for piece in pieces:
        buffer += piece
        *complete, buffer = _SENTENCE_END.split(buffer)
        yield from complete
    # What the limit cut off is no sentence.
    if buffer.rstrip().endswith((".", "!", "?", "。", "！", "？", "]", "］", "|")):
        yield buffer
