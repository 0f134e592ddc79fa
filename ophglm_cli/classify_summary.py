"""What a run of `ophglm classify` comes to, in a few lines at its end."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ophglm_core.conditions import LabelSet
from ophglm_core.inputs import PassedOver


class Summary:
    """Counts rows by status and condition."""

    def __init__(self, labels: LabelSet):
        self._labels = labels
        self._status: Counter[str] = Counter()
        self._found: Counter[str] = Counter()
        self._kept = 0

    @property
    def errors(self) -> int:
        """How many could not be read."""
        return self._status["error"]

    def add(self, row: dict[str, Any], kept: bool = False) -> None:
        """Count a row, `Findings.to_json`'s values. kept: whether an earlier run has found it."""
        self._status[row["status"]] += 1
        self._kept += kept
        if row["status"] == "ok":
            self._found.update(row["positive"] or ["no label"])
            self._found["referable"] += row["referable"] is True

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many rows there are by status, and by what was found in those that are ok."""
        return {"status": dict(self._status), "found": dict(self._found)}

    def lines(self, passed_over: PassedOver, changed: int = 0, left_out: int = 0) -> list[str]:
        """Return the summary. changed, left_out: how many rows of an earlier run were of pictures
        that have changed since, and of pictures that this run was not given."""
        parts = [
            f"{self._status['ok']} ok",
            f"{self._status['ungradable']} ungradable",
            f"{self.errors} error{'' if self.errors == 1 else 's'}",
        ]
        if self._kept:
            parts.append(f"{self._kept} of these from an earlier run")
        if changed:
            parts.append(f"{changed} anew as they have changed since")
        lines = [f"{self._status.total()} in all: {', '.join(parts)}."]
        if left_out:
            lines.append(f"Left out: {left_out} rows of an earlier run, of pictures not given now.")
        names = [label for label in (*self._labels, "no label", "referable") if self._found[label]]
        if names:
            lines.append(f"Found: {', '.join(f'{name} {self._found[name]}' for name in names)}.")
        kinds = [f"{count} {kind}" for kind, count in passed_over.kinds.most_common() if count]
        if kinds:
            lines.append(f"Passed over: {', '.join(kinds)}.")
        return lines
