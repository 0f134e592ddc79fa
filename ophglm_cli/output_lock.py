"""One program at a time at a file that is written."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ophglm_core.errors import UsageError


def lock_output(path: Path, taken: str) -> FileLock:
    """Make the folder of `path` and take the lock `path`.lock.

    Raises UsageError, with the sentence `taken`, if another program has it; OSError if nothing can
    be written there.
    """
    lock = FileLock(path.with_name(path.name + ".lock"))
    path.parent.mkdir(parents=True, exist_ok=True)
    # On a file system without locks, one program at a time is up to the user.
    with suppress(NotImplementedError):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(taken) from None
    return lock


def unlock_output(lock: FileLock) -> None:
    """Give a lock back, and leave nothing of it."""
    with suppress(OSError):
        os.unlink(lock.lock_file)
    lock.release()
