"""How many threads to compute with, so that a busy machine stays usable."""

from __future__ import annotations

import os
from pathlib import Path

#: Linux: how many tasks run or wait to run at this moment, this one among them.
_LOAD = Path("/proc/loadavg")
#: Linux: the processor time that a container may use of a period, or "max".
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def thread_count() -> int:
    """Return how many threads llama.cpp is to compute with.

    The processors that this process may use, less those that others keep busy, but half of them at
    least. llama.cpp's threads wait for each other at every step, so one that has no processor of
    its own holds up all others. OMP_NUM_THREADS, where it is set, has the last word.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    usable = usable_processors()
    return max(1, (usable + 1) // 2, usable - _busy())


def usable_processors() -> int:
    """Return how many processors this process may use: by its affinity and its container."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = _QUOTA.read_text(encoding="ascii").split()
        return max(1, min(count, int(quota) // int(period)))
    except (OSError, ValueError):  # no such system, or no limit
        return count


def _busy() -> int:
    """Return how many processors others keep busy."""
    try:
        busy = int(os.getloadavg()[0])
    except (OSError, AttributeError):  # Windows
        return 0
    try:
        # The average lags by a minute: what has ended counts no more.
        running = int(_LOAD.read_text(encoding="ascii").split()[3].split("/")[0]) - 1
    except (OSError, ValueError, IndexError):
        return busy
    return min(busy, running)
