"""Photographs and heat maps in the terminal, two pixels a character."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from rich.color import Color
from rich.style import Style
from rich.text import Text

from ophglm_core.errors import InputError
from ophglm_core.images import crop_disc, open_photograph

from .sitting import Sitting
from .terminal import draws, stdout

_SIZE = 256


def show_picture(picture: Image.Image, columns: int = 48) -> None:
    """Draw a picture with half blocks, as wide as the terminal lets it be."""
    columns = max(1, min(columns, stdout.width - 2))
    rows = max(1, round(columns * picture.height / picture.width / 2))
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

    Nothing is drawn where it is not wanted, or where the terminal has too few colours for it.
    """
    colours = stdout.color_system in ("256", "truecolor") and not stdout.no_color
    if not (sitting.preview and draws(stdout) and colours):
        return
    crops = []
    for finding in sitting.chat.findings:
        source = Path(finding.image) if finding.picture is None else finding.picture
        try:
            crops.append(crop_disc(open_photograph(source, min_side=_SIZE), _SIZE))
        except InputError:  # it was readable a moment ago; the findings are there all the same
            return
    if not crops:
        return
    both = Image.new("RGB", (_SIZE * len(crops), _SIZE))
    for number, crop in enumerate(crops):
        both.paste(crop, (_SIZE * number, 0))
    side = min(36, stdout.height, stdout.width // len(crops))
    show_picture(both, side * len(crops))


def _color(pixel: tuple[int, ...]) -> Color:
    return Color.from_rgb(*pixel[:3])
