"""Pictures at the terminal: the bytes of each protocol, and which terminal gets which."""

from __future__ import annotations

import base64
import io
import os
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from ophglm_cli import heatmap_output
from ophglm_cli.sitting import Sitting
from ophglm_cli.terminal_graphics import (
    _WITHIN,
    VT340_CELL,
    Encoder,
    below_itself,
    cell_size,
    encoder,
    iterm2,
    kitty,
    sixel,
)
from ophglm_core.chat.conversation import Chat
from ophglm_core.conditions import DEFAULT_LABELS, default_labels
from ophglm_core.findings import Findings

from ..silent import Silent

KITTY = {"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1", "COLORTERM": "truecolor"}
ITERM2 = {"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app", "COLORTERM": "truecolor"}


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


def read_kitty(written: str) -> tuple[dict[str, str], Image.Image]:
    """Read escape codes as a terminal does: the first one's keys, and the picture of them all."""
    codes = re.findall(r"\x1b_G([^;]*);([A-Za-z0-9+/=]*)\x1b\\", written)
    keys = [dict(pair.split("=") for pair in code.split(",")) for code, _ in codes]
    assert [key["m"] for key in keys] == ["1"] * (len(codes) - 1) + ["0"]
    assert all(key["q"] == "2" for key in keys)
    assert all(set(key) == {"m", "q"} for key in keys[1:])
    assert all(len(chunk) <= 4096 and len(chunk) % 4 == 0 for _, chunk in codes)
    assert not re.sub(r"\x1b_G[^\x1b]*\x1b\\", "", written).count("\x1b_G")
    data = base64.b64decode("".join(chunk for _, chunk in codes), validate=True)
    return keys[0], Image.open(io.BytesIO(data))


@pytest.mark.parametrize("size", [(3, 2), (120, 60)])  # one chunk, several
def test_kitty_gets_the_picture_in_chunks(size: tuple[int, int]) -> None:
    picture = noise(*size)
    codes = kitty(picture, 40, 10, VT340_CELL)
    keys, shown = read_kitty(codes)
    assert keys.items() >= {"a": "T", "f": "100", "c": "40", "r": "10"}.items()
    assert shown.format == "PNG"
    assert np.array_equal(np.asarray(shown), np.asarray(picture))
    assert (codes.count("\x1b_G") > 1) == (size[0] > 3)


def test_iterm2_gets_the_picture_in_one_code() -> None:
    picture = noise(120, 60)
    codes = iterm2(picture, 40, 10, VT340_CELL)
    match = re.fullmatch(r"\x1b\]1337;File=([^:]*):([A-Za-z0-9+/=]*)\x07", codes)
    assert match
    content = base64.b64decode(match[2], validate=True)
    keys = dict(pair.split("=") for pair in match[1].split(";"))
    assert keys == {
        "inline": "1",
        "size": str(len(content)),
        "width": "40",
        "height": "10",
        "preserveAspectRatio": "1",
    }
    shown = Image.open(io.BytesIO(content))
    assert np.array_equal(np.asarray(shown), np.asarray(picture))


def read_sixel(codes: str) -> np.ndarray:
    """Read a sixel picture as a terminal does; pixels that nothing was drawn on are -1."""
    match = re.fullmatch(r'\x1bP0;1q"1;1;(\d+);(\d+)([^\x1b]*)\x1b\\', codes)
    assert match
    width, height = int(match[1]), int(match[2])
    shown = np.full((height, width, 3), -1)
    palette: dict[str, list[int]] = {}
    x, top, colour = 0, 0, [0, 0, 0]
    for code in re.finditer(r"#(\d+)(?:;2;(\d+);(\d+);(\d+))?|!(\d+)(.)|([$-])|(.)", match[3]):
        number, red, green, blue, times, repeated, move, once = code.groups()
        if red is not None:
            palette[number] = [round(int(share) * 2.55) for share in (red, green, blue)]
        elif number is not None:
            colour = palette[number]
        elif move is not None:
            x, top = 0, top + 6 * (move == "-")
        else:
            bits, wide = ord(repeated or once) - 63, int(times or 1)
            assert 0 <= bits < 64
            for line in range(6):
                if bits >> line & 1:
                    shown[top + line, x : x + wide] = colour
            x += wide
            assert x <= width
    assert height - 6 <= top < height  # on the last strip, and not below the picture
    return shown


@pytest.mark.parametrize("size", [(6, 2, 10, 20), (5, 3, 7, 15)])  # whole strips, half a one
def test_sixels_fill_the_cells(size: tuple[int, int, int, int]) -> None:
    columns, rows, *cell = size
    width, height = columns * cell[0], rows * cell[1]
    ramp = np.linspace(0, 255, width)[None, :] + np.zeros((height, 1))
    picture = Image.fromarray(np.stack([ramp, ramp[:, ::-1], 0 * ramp], -1).astype(np.uint8))
    codes = sixel(picture, columns, rows, (cell[0], cell[1]))
    shown = read_sixel(codes)
    assert shown.shape == (height, width, 3)
    assert shown.min() >= 0  # no hole
    assert np.abs(shown - np.asarray(picture).astype(int)).mean() < 3


def test_a_plain_line_of_sixels_is_short() -> None:
    codes = sixel(Image.new("RGB", (9, 9), (255, 0, 0)), 40, 3, VT340_CELL)
    assert np.array_equal(np.unique(read_sixel(codes)), [0, 255])
    assert len(codes) < 200


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        (KITTY, kitty),
        ({"TERM": "xterm-kitty"}, kitty),  # over ssh
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, kitty),
        ({"TERM": "xterm-kitty", "TERM_PROGRAM": "iTerm.app"}, kitty),  # begun from within iTerm2
        ({"TERM": "xterm-ghostty"}, kitty),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "ghostty"}, kitty),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, iterm2),
        (ITERM2, iterm2),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, iterm2),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "vscode", "KITTY_WINDOW_ID": "1"}, None),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, None),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "foot"}, sixel),
        ({"TERM": "foot-extra"}, sixel),
        ({"TERM": "footstool"}, None),
        ({"TERM": "mlterm-256color"}, sixel),
        ({"TERM": "xterm", "TERM_PROGRAM": "mintty"}, sixel),
        ({"TERM": "xterm-256color", "KONSOLE_VERSION": "220400"}, sixel),
        ({"TERM": "xterm-256color", "KONSOLE_VERSION": "211203"}, None),
        ({"TERM": "xterm-256color", "WT_SESSION": "2f1c"}, sixel),
        ({"TERM": "xterm-256color", "WT_SESSION": "2f1c", "TERM_PROGRAM": "vscode"}, None),
        ({"TERM": "tmux-256color", "WT_SESSION": "2f1c", "TMUX": "x"}, None),
        ({"TERM": "screen-256color", "LC_TERMINAL": "iTerm2"}, None),  # tmux here, ssh to there
        ({"TERM": "tmux-256color", "TERM_PROGRAM": "tmux", "KITTY_WINDOW_ID": "1"}, None),
        ({}, None),
        *(({**KITTY, name: "1"}, None) for name in _WITHIN),
        *(({**ITERM2, name: "1"}, None) for name in ("TMUX", "STY")),
    ],
)
def test_the_environment_tells_the_protocol(
    environ: dict[str, str], wanted: Encoder | None
) -> None:
    assert encoder(environ) is wanted


def test_the_cursor_ends_below_the_picture() -> None:
    row, kept, drawn = 0, 0, []
    for code in re.findall(r"\n|\x1b\[\d+A|\x1b7|\x1b8|X", below_itself("X", 7)):
        if code == "\n":
            row += 1
        elif code == "X":
            drawn.append(row)
            row = 99  # wherever a terminal leaves it
        elif code == "\x1b7":
            kept = row
        elif code == "\x1b8":
            row = kept
        else:
            row -= int(code[2:-1])
    assert drawn == [0]
    assert row == 7


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo terminals")
def test_the_shape_of_a_character_is_what_the_kernel_knows() -> None:
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0), open(theirs, "w") as stream:
        assert cell_size(stream) == VT340_CELL  # nobody has said
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 800, 24 * 18))
        assert cell_size(stream) == (10, 18)
    assert cell_size(io.StringIO()) == VT340_CELL


def drawn(
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    size: tuple[int, int] = (100, 40),
    file: io.StringIO | None = None,
) -> Console:
    """Let what is drawn go to a terminal with this environment, and no other of this machine."""
    others = ("LC_TERMINAL", "KITTY_WINDOW_ID", "KONSOLE_VERSION", "WT_SESSION")
    for name in ("TERM", "TERM_PROGRAM", *others, *_WITHIN):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    console = Console(
        file=file or Tty(), width=size[0], height=size[1], force_terminal=True, _environ=environ
    )
    monkeypatch.setattr(heatmap_output, "stdout", console)
    return console


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("picture", "ratio"), [((64, 32), 2.0), ((32, 32), 2.3), ((32, 94), 1.7), ((9, 9), 2.0)]
)
@pytest.mark.parametrize("size", [(200, 60), (100, 24), (20, 50), (3, 3)])
def test_a_picture_keeps_its_proportions_and_fits(
    size: tuple[int, int],
    picture: tuple[int, int],
    ratio: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heatmap_output, "cell_size", lambda stream: (10, round(10 * ratio)))
    console = drawn(monkeypatch, KITTY, size)
    heatmap_output.show_picture(noise(*picture))
    keys, shown = read_kitty(written(console))
    assert shown.size == picture
    columns, rows = int(keys["c"]), int(keys["r"])
    assert 1 <= columns <= max(1, min(48, size[0] - 2))
    assert 1 <= rows < size[1]
    # To the nearest column.
    if columns > 1:
        assert abs(columns - rows * ratio * picture[0] / picture[1]) <= 0.5 or rows == 1


@pytest.mark.parametrize(
    "environ",
    [
        KITTY | {"TMUX": "/tmp/tmux-0/default,1,0"},
        KITTY | {"NO_COLOR": "1"},
        KITTY | {"TERM": "dumb"},
        {"TERM": "xterm-256color"},
    ],
)
def test_half_blocks_are_drawn_elsewhere(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    console = drawn(monkeypatch, environ)
    heatmap_output.show_picture(noise(8, 8))
    assert "▀" in written(console)
    assert "\x1b_G" not in written(console)


def test_a_file_gets_half_blocks_also_where_colours_are_forced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    console = drawn(monkeypatch, KITTY, file=io.StringIO())
    heatmap_output.show_picture(noise(8, 8))
    assert "▀" in written(console)
    assert "\x1b_G" not in written(console)


SIXELS = {"TERM": "foot", "COLORTERM": "truecolor"}


@pytest.mark.parametrize("environ", [KITTY, ITERM2, {"TERM": "xterm-ghostty"}, SIXELS])
def test_photographs_are_shown_as_pictures_where_they_are_wanted(
    environ: dict[str, str], sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values: dict[str, Any] = dict.fromkeys(DEFAULT_LABELS, 0.02)
    finding = Findings(str(sample), "ok", "m@1", values, [])
    sitting = Sitting(None, Chat([finding, finding], default_labels(), Silent()))  # type: ignore[arg-type]
    console = drawn(monkeypatch, environ)
    heatmap_output.show_photographs(sitting)
    said = written(console)
    assert "▀" not in said
    assert said.startswith("\n" * 18 + "\x1b[18A\x1b7")  # 72 columns of both, half as high
    if environ is SIXELS:
        codes = said[said.index("\x1bP") : said.index("\x1b8")]
        assert read_sixel(codes).shape == (18 * 20, 72 * 10, 3)
    elif environ is not ITERM2:
        keys, shown = read_kitty(said)
        assert (keys["c"], keys["r"]) == ("72", "18")
        assert shown.size == (1024, 512)
    console = drawn(monkeypatch, environ)
    sitting.preview = False
    heatmap_output.show_photographs(sitting)
    assert written(console) == ""
