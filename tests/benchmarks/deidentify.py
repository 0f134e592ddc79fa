"""What de-identification finds and what it destroys, on 200 made-up lines in both languages:

    python -m tests.benchmarks.deidentify

Prints, for the half that the rules were made with and for the other, the recall of each kind, the
share of medical words that were destroyed, and how many lines `ophglm data validate` stops at
before and after: it judges by another method than the one that removes.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ophglm_core.data.deidentify import redact
from ophglm_core.data.traces import traces

LINES = Path(__file__).parents[1] / "core" / "data" / "deidentify_lines.json"
KINDS = ("person", "place", "institution", "number", "date")
HALVES = ("tuned", "held_out")


@dataclass
class Measured:
    """Counts by kind of what had to go and what went, and of the words that had to stay.

    changed: lines in which nothing had to go and something went.
    """

    had_to_go: Counter[str] = field(default_factory=Counter)
    went: Counter[str] = field(default_factory=Counter)
    had_to_stay: int = 0
    destroyed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    noticed_before: int = 0
    noticed_after: int = 0

    def recall(self, kind: str) -> float:
        """Return the share of a kind that went."""
        return self.went[kind] / self.had_to_go[kind]

    @property
    def share_destroyed(self) -> float:
        """The share of medical words that did not stay."""
        return len(self.destroyed) / self.had_to_stay


def lines(half: str) -> list[dict[str, Any]]:
    """Return the lines of 'tuned' or 'held_out'."""
    return [x for x in json.loads(LINES.read_text(encoding="utf-8")) if x["half"] == half]


def measure(half: str) -> Measured:
    """Redact the lines of a half and count."""
    result = Measured()
    for line in lines(half):
        clean = redact(line["text"])[0]
        for kind, parts in line["go"].items():
            result.had_to_go[kind] += len(parts)
            result.went[kind] += sum(part not in clean for part in parts)
            result.left += [part for part in parts if part in clean]
        if not line["go"] and clean != line["text"]:
            result.changed.append(line["text"])
        result.had_to_stay += len(line["stay"])
        result.destroyed += [word for word in line["stay"] if word not in clean]
        result.noticed_before += bool(traces(line["text"]))
        result.noticed_after += bool(traces(clean))
    return result


def main() -> None:
    """Print the table of both halves."""
    out = ["| half | " + " | ".join(KINDS) + " | medical words destroyed | validate stops at |"]
    out.append("| --- " * (len(KINDS) + 3) + "|")
    for half in HALVES:
        found = measure(half)
        cells = [f"{found.went[k]} of {found.had_to_go[k]}" for k in KINDS]
        cells.append(f"{len(found.destroyed)} of {found.had_to_stay}")
        cells.append(f"{found.noticed_before}, then {found.noticed_after}")
        out.append(f"| {half} | " + " | ".join(cells) + " |")
    sys.stdout.write("\n".join([*out, ""]))


if __name__ == "__main__":
    main()
