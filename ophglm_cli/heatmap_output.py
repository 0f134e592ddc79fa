"""A heat map in the terminal, two pixels a character."""

from __future__ import annotations

from PIL import Image
from rich.color import Color
from rich.style import Style
from rich.text import Text

from .terminal import stdout


def show_picture(picture: Image.Image) -> None:
    """Draw a square picture with half blocks, as wide as the terminal lets it be."""
    columns = min(48, stdout.width - 2)
    small = picture.resize((columns, columns - columns % 2), Image.Resampling.LANCZOS)
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


def _color(pixel: tuple[int, ...]) -> Color:
    return Color.from_rgb(*pixel[:3])
