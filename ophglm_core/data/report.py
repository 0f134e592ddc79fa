"""What was passed over while sets of photographs were read, to be said before they are used."""

from __future__ import annotations

#: So many examples are named: of rows a few will do, of columns all are wanted.
_EXAMPLES, _COLUMNS = 3, 12
#: What columns that say nothing are counted as.
NOT_USED = "columns that are not used"


class ReadReport:
    """Counts of what was passed over or looks wrong, each with its first examples.

    Example:
        report = ReadReport()
        records = read_records(Path("set"), report)
        report.sentences()  # ["set/labels.csv: rows without their photograph: 2 (a.jpg, b.jpg)."]
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self._examples: dict[tuple[str, str], list[str]] = {}

    def add(self, where: str, what: str, example: str) -> None:
        """Count one thing. where: a table or set; what: the kind, in the plural."""
        key = where, what
        self._counts[key] = self._counts.get(key, 0) + 1
        examples = self._examples.setdefault(key, [])
        limit = _COLUMNS if what == NOT_USED else _EXAMPLES
        if len(examples) < limit and example not in examples:
            examples.append(example)

    def count(self, what: str) -> int:
        """Return how many things of this kind there were, in all tables together."""
        return sum(count for (_, kind), count in self._counts.items() if kind == what)

    def sentences(self) -> list[str]:
        """Return one sentence for each kind in each table, in the order in which they came up."""
        result = []
        for (where, what), count in self._counts.items():
            examples = self._examples[where, what]
            more = ", …" if count > len(examples) else ""
            result.append(f"{where}: {what}: {count} ({', '.join(examples)}{more}).")
        return result
