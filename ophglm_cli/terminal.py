"""The two consoles: results go to stdout, everything else to stderr."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

# Off a terminal a line of plain text must not be broken at 80 columns.
stdout = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
stderr = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())


def draws(console: Console) -> bool:
    """Whether the cursor can be moved: on a terminal that is more than a typewriter."""
    return console.is_terminal and not console.is_dumb_terminal


def label_style(label: str, positive: bool) -> str:
    """Return the style of a label's probability: what is flagged stands out."""
    if not positive:
        return ""
    return "green" if label == "normal" else "bold red"


class MinuteLines:
    """Says in a line a minute how far something is, for a log that no bar can be drawn in."""

    def __init__(self, name: str, total: int, clock: Callable[[], float] = time.monotonic):
        self._name, self._total, self._clock = name, total, clock
        self._began = self._said = clock()
        self.done = 0
        self._kept: int | None = None

    def tick(self, count: int) -> None:
        """Count so many as done. What the first call counts was done before."""
        self.done += count
        if self._kept is None:
            self._kept = count
        now = self._clock()
        if now - self._said < 60:
            return
        self._said = now
        rate = (self.done - self._kept) / (now - self._began)
        left = (self._total - self.done) / max(rate, 1e-9) / 60
        stderr.print(
            f"{self._name}: {self.done} of {self._total}, {rate:.1f} a second, {left:.0f} min left"
        )


@contextmanager
def counter(
    name: str, total: int, shown: bool = True, minutely: bool = False
) -> Iterator[Callable[[int], None]]:
    """Show how many of `total` are done, with the time left, where stderr is a terminal.

    Nothing is shown for a handful, which is done before a bar could be read. minutely: whether a
    line a minute is printed where stderr is no terminal.
    """
    if shown and minutely and not stderr.is_terminal:
        yield MinuteLines(name, total).tick
        return
    bar = Progress(
        TextColumn(name),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        console=stderr,
        transient=True,
        disable=not (shown and stderr.is_terminal and total > 8),
    )
    task = bar.add_task(name, total=total)
    with bar:
        yield lambda count: bar.advance(task, count)


@contextmanager
def fraction_bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far a computation is that says (done, total) itself, total not known before."""
    with counter(name, 1000) as tick:
        shown = 0

        def progress(done: int, total: int) -> None:
            nonlocal shown
            permille = done * 1000 // max(1, total)
            tick(permille - shown)
            shown = permille

        yield progress


@contextmanager
def bytes_bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far a download is that says (bytes done, bytes of all) itself.

    Off a terminal a line a minute is printed.
    """
    if not stderr.is_terminal:
        lines: list[MinuteLines] = []

        def tell(done: int, total: int) -> None:
            if not lines:
                lines.append(MinuteLines(f"{name} (MB)", total // 10**6))
                lines[0].tick(done // 10**6)
            lines[0].tick(done // 10**6 - lines[0].done)

        yield tell
        return
    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    bar = Progress(*columns, TimeRemainingColumn(compact=True), console=stderr, transient=True)
    task = bar.add_task(name, total=None)
    with bar:
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait until the block is done: a console stopped within a print prints no more."""
    waiting: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: waiting.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if waiting:
        raise KeyboardInterrupt
