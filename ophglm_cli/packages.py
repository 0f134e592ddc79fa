"""Whether what a command needs beyond the base install is there."""

from __future__ import annotations

from importlib import util

from ophglm_core.errors import UsageError


def need_packages(*names: str, extra: str) -> None:
    """Raise UsageError, naming the extra to install, if one of the packages is not there."""
    for name in names:
        if util.find_spec(name) is None:
            raise UsageError(
                f"This needs {name}, which is not installed; run pip install 'ophglm[{extra}]'."
            )
