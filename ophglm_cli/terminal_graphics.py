"""Pictures in full resolution, for terminals with a protocol for them.

Which one a terminal has is told by its environment alone. It is never asked: its answer would be
mixed with what is typed ahead, and one that knows no such question gives none.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping
from typing import IO

#: Of a PNG file, the columns and the rows that it shall fill: what draws it at the cursor.
Encoder = Callable[[bytes, int, int], str]

#: The most bytes of a picture that an escape code of kitty may hold.
_CHUNK = 4096


def kitty(png: bytes, columns: int, rows: int) -> str:
    """Return the escape codes of the terminal graphics protocol of kitty, which Ghostty has too
    (https://sw.kovidgoyal.net/kitty/graphics-protocol/).

    The terminal is told to answer nothing (q=2), which the prompt would take for typed text.
    """
    data = base64.b64encode(png).decode()
    chunks = [data[i : i + _CHUNK] for i in range(0, len(data), _CHUNK)]
    codes = []
    for number, chunk in enumerate(chunks, 1):
        first = f"a=T,f=100,c={columns},r={rows}," if number == 1 else ""
        codes.append(f"\x1b_G{first}q=2,m={int(number < len(chunks))};{chunk}\x1b\\")
    return "".join(codes)


def iterm2(png: bytes, columns: int, rows: int) -> str:
    """Return the escape code of iTerm2's inline images, which WezTerm has too
    (https://iterm2.com/documentation-images.html, https://wezterm.org/imgcat.html)."""
    size = f"size={len(png)};width={columns};height={rows};preserveAspectRatio=1"
    return f"\x1b]1337;File=inline=1;{size}:{base64.b64encode(png).decode()}\x07"


#: By TERM, which is that of the innermost terminal, also on another machine.
_BY_TERM: dict[str, Encoder] = {"xterm-kitty": kitty, "xterm-ghostty": kitty, "wezterm": iterm2}
#: By TERM_PROGRAM. WezTerm's version of kitty's protocol does not keep to it.
_BY_PROGRAM: dict[str, Encoder] = {"ghostty": kitty, "WezTerm": iterm2, "iTerm.app": iterm2}
#: Set by terminals within a terminal, which pass on the outer one's names but not its pictures.
_WITHIN = ("TMUX", "STY", "ZELLIJ", "NVIM", "VIM_TERMINAL", "INSIDE_EMACS")


def encoder(environ: Mapping[str, str]) -> Encoder | None:
    """Return what draws pictures in the terminal that an environment tells of; None if it is not
    known to have a protocol for them."""
    term = environ.get("TERM", "")
    if term.startswith(("tmux", "screen")) or any(environ.get(name) for name in _WITHIN):
        return None
    if term in _BY_TERM:
        return _BY_TERM[term]
    program = environ.get("TERM_PROGRAM")
    if program:
        return _BY_PROGRAM.get(program)
    if environ.get("LC_TERMINAL") == "iTerm2":  # what ssh passes on
        return iterm2
    return kitty if environ.get("KITTY_WINDOW_ID") else None


def below_itself(codes: str, rows: int) -> str:
    """Return codes that draw a picture of so many rows, with the cursor going to the line below it.

    Where each terminal leaves the cursor differs, so the lines are made first and gone down after.
    rows: fewer than the terminal has.
    """
    lines = "\n" * rows
    return f"{lines}\x1b[{rows}A\x1b7{codes}\x1b8{lines}"


def cell_ratio(stream: IO[str]) -> float:
    """Return how many times as high as wide a character of the terminal is: 2 where the kernel has
    not been told its size in pixels (TIOCGWINSZ), or the stream is no terminal."""
    try:
        import fcntl
        import termios

        size = fcntl.ioctl(stream.fileno(), termios.TIOCGWINSZ, bytes(8))
    except (ImportError, OSError):  # Windows has neither
        return 2.0
    rows, columns, width, height = struct.unpack("4H", size)
    if not (rows and columns and width and height):
        return 2.0
    ratio: float = (height / rows) / (width / columns)
    return ratio
