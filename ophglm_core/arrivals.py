"""Pictures that come into a folder, each as soon as it is there as a whole.

New files are told by the system through watchfiles (extra `watch`). A look through the whole folder
once a minute finds what the system does not tell: files that came through a network share, into a
folder that itself came just then, or by a link.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Event

from .inputs import find_images
from .picture_files import looks_like_picture

#: A file's size in bytes and time of change in ns, by which it is known to be the same.
State = tuple[int, int]
#: So long, in seconds, a file must not have changed: it could still be being written.
SETTLE = 2.0
_LOOK_EVERY = 60.0
#: How long it is waited for news at a time, and, where the system tells none, between two looks.
_WAIT_MS, _POLL_MS = 300, 3000
#: At most so many at a time, so that a large folder does not keep the next look waiting.
_MOST = 256


def state_of(path: Path) -> State | None:
    """Return a file's state, or None if it is not there."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns


class Settling:
    """Files that were seen and may still be being written."""

    def __init__(
        self,
        holds: Callable[[Path, State], bool],
        seconds: float = SETTLE,
        clock: Callable[[], float] = time.monotonic,
    ):
        """holds: whether a file in this state needs no more to be done. seconds: how long a file
        must stay the same. clock: in seconds."""
        self._holds, self._seconds, self._clock = holds, seconds, clock
        self._seen: dict[Path, tuple[State, float]] = {}

    def see(self, path: Path) -> None:
        """Look at a file. It waits from when it was first seen in this state."""
        state = state_of(path)
        if state is None or self._holds(path, state):
            self._seen.pop(path, None)
        elif path not in self._seen or self._seen[path][0] != state:
            self._seen[path] = state, self._clock()

    def ready(self) -> list[tuple[Path, State]]:
        """Take out the pictures that have not changed for long enough, at most some hundreds."""
        now = self._clock()
        due = [path for path, (_, since) in self._seen.items() if now - since >= self._seconds]
        taken = []
        for path in due[:_MOST]:
            state, _ = self._seen[path]
            self.see(path)  # which begins anew if it has changed, and forgets what is gone
            if path in self._seen and self._seen[path][0] == state:
                del self._seen[path]
                if looks_like_picture(path):  # only now: an unfinished file may have no beginning
                    taken.append((path, state))
        return taken


def arrivals(
    folder: Path,
    holds: Callable[[Path, State], bool],
    stop: Event,
    settle: float = SETTLE,
    poll: bool = False,
    tell: Callable[[str], None] = lambda sentence: None,
) -> Iterator[list[tuple[Path, State]]]:
    """Yield the pictures below a folder, those that are there and then those that come, with the
    state in which they were found; hidden files and folders are passed over.

    holds: whether a picture in this state has been dealt with; what was yielded should be when the
    next are asked for. stop: ends it when set. settle: how long a file must stay the same, in
    seconds. poll: whether the folder is looked through every few seconds, for a network share whose
    changes the system does not tell. tell: is given a sentence if it has to be polled.
    """
    folder = Path(os.path.abspath(folder))
    real = os.path.realpath(folder)
    settling = Settling(holds, settle)
    looked = -_LOOK_EVERY
    for changed in _changes(folder, stop, poll, tell):
        if time.monotonic() - looked >= _LOOK_EVERY:
            for path in find_images(folder):
                settling.see(path)
            looked = time.monotonic()
        for path in _named(folder, real, changed):
            settling.see(path)
        if ready := settling.ready():
            yield ready


def _named(folder: Path, real: str, changed: Iterable[str]) -> Iterator[Path]:
    for name in changed:
        if not Path(name).is_relative_to(folder):  # some systems resolve links
            name = os.path.join(folder, os.path.relpath(name, real))
        path = Path(name)
        below = os.path.relpath(path, folder).split(os.sep)
        if any(part.startswith(".") for part in below):
            continue
        if path.is_dir():  # moved here with all that is in it
            yield from find_images(path)
        else:
            yield path


def _changes(
    folder: Path, stop: Event, poll: bool, tell: Callable[[str], None]
) -> Iterator[list[str]]:
    """Yield the paths that were changed, again and again, also if there are none."""
    from watchfiles import Change, watch

    def by(poll: bool) -> Iterator[list[str]]:
        for changes in watch(
            folder,
            watch_filter=None,
            debounce=_WAIT_MS,
            rust_timeout=_WAIT_MS,
            yield_on_timeout=True,
            stop_event=stop,
            force_polling=poll or None,
            poll_delay_ms=_POLL_MS,
            ignore_permission_denied=True,
        ):
            # A set, whose order changes from run to run.
            yield sorted(path for kind, path in changes if kind != Change.deleted)

    try:
        yield from by(poll)
    except (OSError, RuntimeError) as error:
        if poll:
            raise
        tell(f"The system cannot watch {folder} ({error}); it is looked through instead.")
        yield from by(True)
