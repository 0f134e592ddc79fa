"""File names as text of one line: any name can be written, and found again."""

from __future__ import annotations

import os
import re
import unicodedata

_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")
_ESCAPE = re.compile(r"\\\\|\\x[0-9a-f]{2}")


def printable(text: str) -> str:
    r"""Return a text, such as a path, without what breaks a line or is no UTF-8.

    Control characters, line separators and bytes that are no UTF-8 become `\xff`, byte by byte;
    in a text that has such, a backslash becomes two. Most names come out as they are.
    """
    if not any(_needs_escape(character) for character in text) and not _ESCAPED.search(text):
        return text
    return "".join(
        "".join(f"\\x{byte:02x}" for byte in os.fsencode(c)) if _needs_escape(c) else c
        for c in text.replace("\\", "\\\\")
    )


def from_printable(text: str) -> str:
    """Return the path that `printable` wrote."""
    if not _ESCAPED.search(text):
        return text
    whole = bytearray()
    end = 0
    for found in _ESCAPE.finditer(text):
        whole += os.fsencode(text[end : found.start()])
        escape = found.group()
        whole += b"\\" if escape == r"\\" else bytes([int(escape[2:], 16)])
        end = found.end()
    return os.fsdecode(bytes(whole + os.fsencode(text[end:])))


def _needs_escape(character: str) -> bool:
    # Control characters, surrogates (Python's form of a byte that is no UTF-8), line separators.
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
