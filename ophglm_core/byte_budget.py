"""A bound on the bytes that threads hold at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class ByteBudget:
    """So many bytes, which threads share; who finds too few left waits until others give theirs
    back. What is larger than all of it waits until it is alone."""

    def __init__(self, most: int):
        self._most = self._free = most
        self._changed = Condition()

    @contextmanager
    def hold(self, count: int) -> Iterator[None]:
        """Hold `count` bytes for the block."""
        count = min(count, self._most)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= count)
            self._free -= count
        try:
            yield
        finally:
            with self._changed:
                self._free += count
                self._changed.notify_all()
