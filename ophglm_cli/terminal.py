"""The two consoles: results go to stdout, everything else to stderr."""

from __future__ import annotations

import sys

from rich.console import Console

# soft_wrap off a terminal: a line of plain text must not be broken at 80 columns in a pipe.
stdout = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
stderr = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())
