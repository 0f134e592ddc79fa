"""What takes time to make and is made once: when it is first needed, or before that in a thread."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Later(Generic[T]):
    """A value that any thread may ask for; one makes it, and the others wait for that.

    make: makes it. What that raises is raised to who asked, and the next who asks tries again.

    Example: `weights = Later(read_weights)`, then `weights.get()`.
    """

    def __init__(self, make: Callable[[], T]):
        self._make, self._lock = make, Lock()
        self._made: list[T] = []

    @property
    def ready(self) -> bool:
        """Whether it is made."""
        return bool(self._made)

    def get(self) -> T:
        """Return the value. Raises what making it raises."""
        if not self._made:
            with self._lock:
                if not self._made:
                    self._made.append(self._make())
        return self._made[0]
