"""How many turns of conversations are answered: `python -m tests.benchmarks.conversations`.

Each line of dev_conversations.jsonl is a conversation about a photograph with the finding that it
names, or about none: turns as people type them, each with regular expressions that a right answer
matches, and that a wrong one would. The embedded language model is silent, as it adds no point. A
file beside this one asks others. --all prints each turn that fails.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from ophglm_core.knowledge.retrieval import Library
from ophglm_core.runtime.sentence import SentenceEncoder

from .answers import photograph, silent

CONVERSATIONS = Path(__file__).with_name("dev_conversations.jsonl")


def judge(
    library: Library, file: Path = CONVERSATIONS
) -> list[tuple[dict[str, Any], list[tuple[dict[str, Any], str, bool]]]]:
    """Return each conversation with its turns, what was answered, and whether that is right."""
    judged = []
    for line in file.read_text(encoding="utf-8").splitlines():
        conversation = json.loads(line)
        talk = silent(photograph(conversation["finding"]), library)
        turns = []
        for turn in conversation["turns"]:
            answer = " ".join(part.text for part in talk.ask(turn["say"]))
            right = all(re.search(wanted, answer, re.IGNORECASE) for wanted in turn["must"])
            wrong = any(re.search(error, answer, re.IGNORECASE) for error in turn["mustnot"])
            turns.append((turn, answer, right and not wrong))
        judged.append((conversation, turns))
    return judged


def main() -> None:
    """Print the share of turns that are answered, by language, and what failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", default=CONVERSATIONS.name)
    parser.add_argument("--all", action="store_true", help="print each turn that fails")
    options = parser.parse_args()
    judged = judge(Library(SentenceEncoder().embed), CONVERSATIONS.with_name(options.file))
    counts: Counter[str] = Counter()
    for conversation, turns in judged:
        counts[f"{conversation['language']} turns"] += len(turns)
        counts[f"{conversation['language']} answered"] += sum(right for _, _, right in turns)
        counts["whole"] += all(right for _, _, right in turns)
    print("| conversations | turns | answered |\n| --- | --- | --- |")
    for language in ("en", "zh"):
        turns, answered = counts[f"{language} turns"], counts[f"{language} answered"]
        print(f"| {language} | {turns} | {answered / turns:.3f} |")
    print(f"{counts['whole']} of {len(judged)} conversations without a fault")
    if not options.all:
        return
    for conversation, turns in judged:
        for number, (turn, answer, right) in enumerate(turns):
            if right:
                continue
            before = " / ".join(earlier["say"] for earlier, _, _ in turns[:number])
            print(f"\n{conversation['id']} ({conversation['finding']}) after: {before}")
            print(f"  asked: {turn['say']}\n  wanted: {turn['why']}\n  answer: {answer}")


if __name__ == "__main__":
    main()
