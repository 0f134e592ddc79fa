"""Files that a user names to be written: never one that is there, which may be a photograph."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from ophglm_core.errors import UsageError


def new_file(path: Path) -> Path:
    """Return a path at which nothing is yet. Raises UsageError if something is."""
    path = path.expanduser()
    if path.exists():
        raise UsageError(f"{path} is there already; name another file.")
    return path


def dated(name: str, suffix: str) -> Path:
    """Return a name for a file of this second."""
    return Path(f"ophglm-{name}-{datetime.now():%Y%m%d-%H%M%S}{suffix}")
