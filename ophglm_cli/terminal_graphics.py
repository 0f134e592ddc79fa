"""Pictures in full resolution, for terminals with a protocol for them.

Which one a terminal has is told by its environment alone. It is never asked: its answer would be
mixed with what is typed ahead, and one that knows no such question gives none.
"""

from __future__ import annotations

import base64
import io
import re
import struct
from collections.abc import Callable, Mapping
from typing import IO

import numpy as np
from PIL import Image

#: Of a picture, the columns and the rows that it shall fill, and a character's width and height in
#: pixels: what draws it at the cursor.
Encoder = Callable[[Image.Image, int, int, tuple[int, int]], str]

#: The most bytes of a picture that an escape code of kitty may hold.
_CHUNK = 4096
_REPEATED = re.compile(r"(.)\1{3,}")
#: Colours of a sixel picture; the VT340's successors have at least as many registers.
_COLOURS = 256
#: Width and height of a character where nobody tells them: the VT340's, which Windows Terminal
#: keeps to whatever its font.
VT340_CELL = (10, 20)


def kitty(picture: Image.Image, columns: int, rows: int, cell: tuple[int, int]) -> str:
    """Return the escape codes of the terminal graphics protocol of kitty, which Ghostty has too
    (https://sw.kovidgoyal.net/kitty/graphics-protocol/).

    The terminal is told to answer nothing (q=2), which the prompt would take for typed text.
    """
    data = base64.b64encode(_png(picture)).decode()
    chunks = [data[i : i + _CHUNK] for i in range(0, len(data), _CHUNK)]
    codes = []
    for number, chunk in enumerate(chunks, 1):
        first = f"a=T,f=100,c={columns},r={rows}," if number == 1 else ""
        codes.append(f"\x1b_G{first}q=2,m={int(number < len(chunks))};{chunk}\x1b\\")
    return "".join(codes)


def iterm2(picture: Image.Image, columns: int, rows: int, cell: tuple[int, int]) -> str:
    """Return the escape code of iTerm2's inline images, which WezTerm has too
    (https://iterm2.com/documentation-images.html, https://wezterm.org/imgcat.html)."""
    png = _png(picture)
    size = f"size={len(png)};width={columns};height={rows};preserveAspectRatio=1"
    return f"\x1b]1337;File=inline=1;{size}:{base64.b64encode(png).decode()}\x07"


def sixel(picture: Image.Image, columns: int, rows: int, cell: tuple[int, int]) -> str:
    """Return the picture as DEC's sixels, which fill cells only as far as `cell` is right
    (VT330/VT340 Programmer Reference Manual, volume 2, chapter 14).

    A sixel is a character for six pixels of one colour below each other. Each strip of six lines is
    gone over once a colour.
    """
    small = picture.convert("RGB").resize((columns * cell[0], rows * cell[1]))
    indexed = small.quantize(_COLOURS, dither=Image.Dither.FLOYDSTEINBERG)
    palette = np.array(indexed.getpalette(), np.int32).reshape(-1, 3)
    pixels = np.asarray(indexed)
    head = [f'\x1bP0;1q"1;1;{small.width};{small.height}']
    for number in np.unique(pixels):
        # Shares of red, green and blue in percent.
        red, green, blue = (round(value / 2.55) for value in palette[number].tolist())
        head.append(f"#{number};2;{red};{green};{blue}")
    strips = []
    for top in range(0, small.height, 6):
        strip = pixels[top : top + 6]
        colours = np.unique(strip)
        bits = (1 << np.arange(len(strip), dtype=np.uint8))[:, None]
        lines = []
        for number in colours:
            line = (63 + ((strip == number) * bits).sum(axis=0, dtype=np.uint8)).tobytes().decode()
            repeated = _REPEATED.sub(lambda run: f"!{len(run[0])}{run[1]}", line.rstrip("?"))
            lines.append(f"#{number}{repeated}")
        strips.append("$".join(lines))
    # None behind the last one, or it would be gone below, and the terminal scroll.
    return "".join(head) + "-".join(strips) + "\x1b\\"


def _png(picture: Image.Image) -> bytes:
    encoded = io.BytesIO()
    picture.save(encoded, "PNG", compress_level=1)  # a sixth longer, in a sixth of the time
    return encoded.getvalue()


#: By the beginning of TERM, which is that of the innermost terminal, also on another machine.
_BY_TERM: dict[str, Encoder] = {
    "xterm-kitty": kitty,
    "xterm-ghostty": kitty,
    "wezterm": iterm2,
    "foot": sixel,
    "mlterm": sixel,
    "contour": sixel,
}
#: By TERM_PROGRAM. WezTerm's version of kitty's protocol does not keep to it.
_BY_PROGRAM: dict[str, Encoder] = {
    "ghostty": kitty,
    "WezTerm": iterm2,
    "iTerm.app": iterm2,
    "mintty": sixel,
}
#: The first Konsole with sixels, as it puts it (https://kde.org/announcements/gear/22.04.0/).
_KONSOLE = 220400
#: Set by terminals within a terminal, which pass on the outer one's names but not its pictures.
_WITHIN = ("TMUX", "STY", "ZELLIJ", "NVIM", "VIM_TERMINAL", "INSIDE_EMACS")


def encoder(environ: Mapping[str, str]) -> Encoder | None:
    """Return what draws pictures in the terminal that an environment tells of; None if it is not
    known to have a protocol for them."""
    term = environ.get("TERM", "")
    if term.startswith(("tmux", "screen")) or any(environ.get(name) for name in _WITHIN):
        return None
    for name, protocol in _BY_TERM.items():
        if term == name or term.startswith(f"{name}-"):
            return protocol
    program = environ.get("TERM_PROGRAM")
    if program:
        return _BY_PROGRAM.get(program)
    if environ.get("LC_TERMINAL") == "iTerm2":  # what ssh passes on
        return iterm2
    if environ.get("KITTY_WINDOW_ID"):
        return kitty
    konsole = environ.get("KONSOLE_VERSION", "")
    if (konsole.isdecimal() and int(konsole) >= _KONSOLE) or environ.get("WT_SESSION"):
        return sixel
    return None


def below_itself(codes: str, rows: int) -> str:
    """Return codes that draw a picture of so many rows, with the cursor going to the line below it.

    Where each terminal leaves the cursor differs, so the lines are made first and gone down after.
    rows: fewer than the terminal has.
    """
    lines = "\n" * rows
    return f"{lines}\x1b[{rows}A\x1b7{codes}\x1b8{lines}"


def cell_size(stream: IO[str]) -> tuple[int, int]:
    """Return the width and height of a character of the terminal in pixels: the VT340's where the
    kernel has not been told them (TIOCGWINSZ), or the stream is no terminal."""
    try:
        import fcntl
        import termios

        size = fcntl.ioctl(stream.fileno(), termios.TIOCGWINSZ, bytes(8))
    except (ImportError, OSError):  # Windows has neither
        return VT340_CELL
    rows, columns, width, height = struct.unpack("4H", size)
    if not (rows and columns and width >= columns and height >= rows):
        return VT340_CELL
    return width // columns, height // rows
