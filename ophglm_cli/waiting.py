"""While an answer is on its way: a spinner, and a keyboard that does not write into the answer."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from rich.cells import set_cell_size

from .sitting import Sitting
from .terminal import draws, stdout

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
#: Seconds that nothing must have come for before the spinner shows: a short wait is no wait.
_PATIENCE = 0.25


class Spinner:
    """Shows what is being done while nothing comes, on a terminal and nowhere else.

    It draws behind the cursor and puts the cursor back, so what is printed next goes over it.
    """

    def __init__(self, text: str):
        self.text = text
        self._lock = threading.Lock()
        self._column: int | None = None
        self._since = 0.0
        self._drawn = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True) if draws(stdout) else None

    def show(self, column: int) -> None:
        """Start to wait, with the cursor in this column."""
        with self._lock:
            self._column, self._since = column, time.monotonic()

    def hide(self) -> None:
        """Stop to wait: something is about to be printed."""
        with self._lock:
            if self._drawn:
                self._write("\x1b[K")
            self._column, self._drawn = None, False

    def _run(self) -> None:
        frame = 0
        while not self._done.wait(0.1):
            with self._lock:
                if self._column is None or time.monotonic() - self._since < _PATIENCE:
                    continue
                frame += 1
                mark = _FRAMES[frame % len(_FRAMES)]
                # Beside words that stand there already the mark alone is enough.
                text = f"{mark} {self.text}" if self._column == 0 else f" {mark}"
                room = stdout.width - self._column - 1
                if room < 3:
                    continue
                shown = text if len(text) * 2 <= room else set_cell_size(text, room).rstrip()
                self._write(f"\x1b7{shown}\x1b[K\x1b8")
                self._drawn = True

    def _write(self, text: str) -> None:
        stdout.file.write(text)
        stdout.file.flush()

    def __enter__(self) -> Self:
        if self._thread is not None:
            self._thread.start()
            self.show(0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self.hide()


@contextmanager
def loading(sitting: Sitting) -> Iterator[None]:
    """Load meanwhile what answers need, so that the first one waits only for what is left.

    What cannot be loaded is named by the first answer that needs it. A process that ends before all
    is loaded ends at once.
    """

    def load() -> None:
        with suppress(Exception):  # the answer meets it again
            sitting.chat.load(sitting.language)

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    yield
    if thread.is_alive():
        # The interpreter would free what the thread is still writing to.
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(0)


@contextmanager
def quiet_keyboard() -> Iterator[None]:
    """Let what is typed meanwhile wait for the next prompt instead of standing in the answer.

    Ctrl-C is heard all the same.
    """
    try:
        import termios
    except ImportError:  # Windows
        yield
        return
    if not sys.stdin.isatty():
        yield
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    quiet = list(before)
    # Enter stays what it is, for the prompt that reads it.
    quiet[0] &= ~termios.ICRNL
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(descriptor, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)
