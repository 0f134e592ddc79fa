"""Photographs and heat maps in the terminal: as pictures, or two pixels a character."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image
from rich.color import Color
from rich.style import Style
from rich.text import Text

from ophglm_core.errors import InputError
from ophglm_core.images import crop_disc

from .sitting import Sitting
from .terminal import draws, stdout, uninterrupted
from .terminal_graphics import Encoder, below_itself, cell_size, encoder

#: The side of a photograph in pixels, as a picture and as half blocks.
_SIDE, _SIDE_OF_BLOCKS = 512, 256


def show_picture(picture: Image.Image, columns: int = 48) -> None:
    """Draw a picture at most so many columns wide, and whole within the terminal."""
    cell = cell_size(stdout.file)
    columns, rows = _cells(picture, columns, cell)
    encode = _encoder()
    if encode is None:
        _show_half_blocks(picture, columns, rows)
        return
    codes = encode(picture, columns, rows, cell)
    with uninterrupted():
        stdout.file.write(below_itself(codes, rows))
        stdout.file.flush()


def _encoder() -> Encoder | None:
    """Return what draws pictures in this terminal; None where half blocks have to do."""
    if stdout.no_color or not (draws(stdout) and stdout.file.isatty()):
        return None
    return encoder(os.environ)


def _cells(picture: Image.Image, columns: int, cell: tuple[int, int]) -> tuple[int, int]:
    """Return columns and rows that keep a picture's proportions, of which the rows are rounded
    first, as they are the coarser ones."""
    width, height = cell
    per_row = (height / width) * picture.width / picture.height
    columns = max(1, min(columns, stdout.width - 2))
    rows = max(1, min(int(columns / per_row), stdout.height - 2))
    return max(1, min(columns, round(rows * per_row))), rows


def _show_half_blocks(picture: Image.Image, columns: int, rows: int) -> None:
    small = picture.resize((columns, 2 * rows), Image.Resampling.LANCZOS)
    pixels = small.load()
    if pixels is None:
        return
    for y in range(0, small.height, 2):
        line = Text()
        for x in range(small.width):
            upper, lower = pixels[x, y], pixels[x, y + 1]
            assert isinstance(upper, tuple)
            assert isinstance(lower, tuple)
            line.append("▀", Style(color=_color(upper), bgcolor=_color(lower)))
        stdout.print(line)


def show_photographs(sitting: Sitting) -> None:
    """Draw the photographs side by side, at most half as high as the terminal.

    Nothing is drawn where it is not wanted, or where the terminal has neither pictures nor enough
    colours.
    """
    colours = stdout.color_system in ("256", "truecolor") and not stdout.no_color
    pictures = _encoder() is not None
    if not (sitting.preview and (pictures or (draws(stdout) and colours))):
        return
    size = _SIDE if pictures else _SIDE_OF_BLOCKS
    crops = []
    for finding in sitting.chat.findings:
        source = Path(finding.image) if finding.picture is None else finding.picture
        try:
            crops.append(crop_disc(source, size))
        except InputError:  # it was readable a moment ago; the findings are there all the same
            return
    if not crops:
        return
    both = Image.new("RGB", (size * len(crops), size))
    for number, crop in enumerate(crops):
        both.paste(crop, (size * number, 0))
    side = min(36, stdout.height, stdout.width // len(crops))
    show_picture(both, side * len(crops))


def _color(pixel: tuple[int, ...]) -> Color:
    return Color.from_rgb(*pixel[:3])
