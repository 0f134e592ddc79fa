"""How many answers hold the point that was asked for: `python -m tests.benchmarks.answers`.

Asks the 300 questions of questions.jsonl (200 English, 100 Chinese) of a conversation about a
photograph with the finding that the line names, with the embedded language model silent: it adds
no point. They were written without sight of the library, each with its key point as a regular
expression, and were not used to choose anything; docs/knowledge.md has the figures. --all prints
each answer that misses its point. A file beside this one asks others, such as
`dev_questions.jsonl`, which were used. --written lets the embedded language model write the English
answers from the entries, as a capable one does.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from ophglm_core.chat.conversation import Chat
from ophglm_core.conditions import DEFAULT_LABELS, MACULAR_OEDEMA, LabelSet
from ophglm_core.findings import Findings
from ophglm_core.knowledge.library import entries
from ophglm_core.knowledge.retrieval import Library
from ophglm_core.wording import word_count

from ..silent import Silent

Begin = Callable[[Sequence[Findings], Library], Chat]

QUESTIONS = Path(__file__).with_name("questions.jsonl")
_ABSTAINS = re.compile("No checked statement|没有找到经过核对")
#: Questions are apart from the library's wordings where they share less than this with each.
_APART = 0.5
_LABELS = LabelSet.of([*DEFAULT_LABELS, MACULAR_OEDEMA])
_LOW = dict.fromkeys(_LABELS, 0.02)


def photograph(finding: str | None) -> list[Findings]:
    """Return a photograph with this finding; a normal one if it is none that is looked for."""
    if finding is None:
        return []
    found = finding if finding in _LABELS else "normal"
    return [Findings("a.jpg", "ok", "m", {**_LOW, found: 0.9}, [found])]


def silent(findings: Sequence[Findings], library: Library) -> Chat:
    """Begin a conversation in which the language model says nothing."""
    return Chat(findings, _LABELS, Silent(), library=library)


def writing() -> Begin:
    """Return what begins a conversation in which the embedded language model writes the answers."""
    from ophglm_core.assistant import load

    assistant = load(evidence="findings")

    def begin(findings: Sequence[Findings], library: Library) -> Chat:
        talk = assistant.chat()
        talk.library, talk.profile = library, replace(talk.profile, parameters=2_000_000_000)
        talk.look_at(findings)
        return talk

    return begin


def judge(
    library: Library, questions: Path = QUESTIONS, begin: Begin = silent
) -> list[dict[str, Any]]:
    """Ask every question and return its line with 'answer', 'verdict' and 'seconds'.

    begin: what begins each conversation.

    verdict: 'holds' the point, 'abstains', 'elsewhere' (about something else), or 'misses'.
    """
    judged = []
    for line in questions.read_text(encoding="utf-8").splitlines():
        question = json.loads(line)
        talk = begin(photograph(question["finding"]), library)
        began = time.perf_counter()
        parts = list(talk.ask(question["question"]))
        seconds = time.perf_counter() - began
        answer = " ".join(p.text for p in parts if p.kind != "recommendation")
        if re.search(question["point"], answer, re.IGNORECASE):
            verdict = "holds"
        elif _ABSTAINS.search(answer):
            verdict = "abstains"
        elif re.search(question["about"], answer, re.IGNORECASE):
            verdict = "misses"
        else:
            verdict = "elsewhere"
        judged.append({**question, "answer": answer, "verdict": verdict, "seconds": seconds})
    return judged


def _nearness(question: str, language: str) -> float:
    """Return the largest share of words that a question has in common with a wording (Jaccard)."""
    asked = _bag(question, language)
    return max(len(asked & words) / len(asked | words) for words in _wordings(language))


@cache
def _wordings(language: str) -> list[frozenset[str]]:
    return [_bag(w, language) for entry in entries() for w in entry.questions[language]]


def _bag(text: str, language: str) -> frozenset[str]:
    """Return a text's words; of Chinese, its pairs of characters."""
    if language == "zh":
        characters = re.sub(r"\W", "", text.lower())
        return frozenset(characters[i : i + 2] for i in range(len(characters) - 1))
    return frozenset(re.findall(r"\w+", text.lower()))


def main() -> None:
    """Print the table, and with --all every answer that misses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("questions", nargs="?", default=QUESTIONS.name, metavar="FILE")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--written", action="store_true")
    options = parser.parse_args()
    from ophglm_core.runtime.sentence import SentenceEncoder

    questions = Path(__file__).with_name(options.questions)
    begin = writing() if options.written else silent
    judged = judge(Library(SentenceEncoder().embed), questions, begin)
    groups = defaultdict(list)
    for line in judged:
        groups["all"].append(line)
        groups[line["language"]].append(line)
        groups[f"{line['language']} {line['audience']}"].append(line)
    print("| questions | n | hold the point | miss it | about something else | abstain | words |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, lines in sorted(groups.items()):
        share = Counter(line["verdict"] for line in lines)
        cells = [
            f"{share[v] / len(lines):.3f}" for v in ("holds", "misses", "elsewhere", "abstains")
        ]
        words = [word_count(line["answer"]) for line in lines]
        print(f"| {name} | {len(lines)} | {' | '.join(cells)} | {sum(words) / len(words):.0f} |")
    seconds = sorted(line["seconds"] for line in judged)
    print(f"seconds: median {seconds[len(seconds) // 2]:.3f}, most {seconds[-1]:.3f}")
    apart = [line for line in judged if _nearness(line["question"], line["language"]) < _APART]
    share = sum(line["verdict"] == "holds" for line in apart) / len(apart)
    print(
        f"{len(apart)} questions share less than half of their words with any wording of the "
        f"library; of these {share:.3f} hold the point"
    )
    if options.all:
        for line in judged:
            if line["verdict"] != "holds":
                print(
                    f"\n{line['id']} {line['verdict']}: {line['question']}\n  wanted: {line['say']}"
                )
                print(f"  answer: {line['answer']}")


if __name__ == "__main__":
    main()
