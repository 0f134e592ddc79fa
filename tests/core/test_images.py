from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ophglm_core.errors import InputError
from ophglm_core.images import (
    crop_disc,
    find_disc,
    load_crop,
    open_photograph,
)
from ophglm_core.inputs import find_images

from ..conftest import draw_fundus


def test_disc_is_found_off_centre(tmp_path: Path) -> None:
    canvas = Image.new("RGB", (800, 500))
    canvas.paste(draw_fundus((300, 300)), (450, 120))
    disc = find_disc(canvas)
    # The drawn disc has a radius of 0.46 * 300 around (600, 270).
    for got, expected in zip(
        (disc.left, disc.top, disc.right, disc.bottom), (462, 132, 738, 408), strict=True
    ):
        assert abs(got - expected) < 15


def test_crop_keeps_the_disc_round() -> None:
    crop = np.asarray(crop_disc(draw_fundus((900, 400)), 200)).max(axis=2) > 18
    assert abs(int(crop.any(axis=0).sum()) - int(crop.any(axis=1).sum())) <= 6
    assert crop.shape == (200, 200)


def test_cut_off_disc_is_padded_not_stretched() -> None:
    whole = draw_fundus((400, 400))
    cut = whole.crop((0, 80, 400, 320))
    crop = np.asarray(crop_disc(cut, 200)).max(axis=2) > 18
    assert crop.any(axis=0).sum() > 1.3 * crop.any(axis=1).sum()


def test_dark_picture_gives_the_whole_frame() -> None:
    disc = find_disc(Image.new("RGB", (64, 48)))
    assert (disc.left, disc.top, disc.right, disc.bottom) == (0, 0, 64, 48)


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    picture = Image.new("RGB", (60, 40), (200, 100, 50))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif)
    assert open_photograph(tmp_path / "turned.jpg").size == (40, 60)


def test_sixteen_bit_and_palette_pictures_open_as_rgb(tmp_path: Path) -> None:
    values = np.linspace(0, 4095, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    deep = np.asarray(open_photograph(tmp_path / "deep.png"))
    assert deep.shape == (64, 64, 3)
    assert deep.max() == 255
    assert 100 < deep.mean() < 155
    draw_fundus().quantize(32).save(tmp_path / "palette.png")
    assert open_photograph(tmp_path / "palette.png").mode == "RGB"


def test_reduced_decoding_gives_the_same_crop(tmp_path: Path) -> None:
    draw_fundus((3000, 2400)).save(tmp_path / "large.jpg", quality=95)
    reduced = load_crop(tmp_path / "large.jpg", 224).astype(int)
    full = np.asarray(crop_disc(open_photograph(tmp_path / "large.jpg"), 224)).astype(int)
    # Rounding the square to whole pixels of the smaller picture would move it by up to half of one.
    assert np.sqrt(((reduced - full) ** 2).mean()) < 1.5


def test_a_small_disc_in_a_large_frame_keeps_its_pixels(tmp_path: Path) -> None:
    frame = Image.new("RGB", (3600, 2400))
    frame.paste(draw_fundus((1000, 1000)), (1300, 700))
    frame.save(tmp_path / "frame.jpg", quality=95)
    coarse = load_crop(tmp_path / "frame.jpg", 224).astype(int)
    full = np.asarray(crop_disc(open_photograph(tmp_path / "frame.jpg"), 224)).astype(int)
    assert np.sqrt(((coarse - full) ** 2).mean()) < 2


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("text.jpg", b"hello", "not a picture"),
        ("empty.jpg", b"", "not a picture"),
        ("cut.png", b"\x89PNG\r\n\x1a\n\x00\x00", "not a picture"),
    ],
)
def test_what_is_no_picture_is_said_in_one_sentence(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        open_photograph(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_broken_missing_and_folder(photographs: Path) -> None:
    with pytest.raises(InputError, match="broken picture"):
        open_photograph(photographs / "broken.jpg")
    with pytest.raises(InputError, match="No such file"):
        open_photograph(photographs / "nowhere.jpg")
    with pytest.raises(InputError, match="is a folder"):
        open_photograph(photographs)


def test_find_images_is_recursive_follows_links_and_passes_over_hidden(
    photographs: Path, tmp_path: Path
) -> None:
    (photographs / ".hidden").mkdir()
    draw_fundus().save(photographs / ".hidden" / "h.jpg")
    (photographs / "deeper" / "loop").symlink_to(photographs)
    link = tmp_path / "link"
    link.symlink_to(photographs)
    names = [p.name for p in find_images(link)]
    assert names == ["broken.jpg", "notes.jpg", "one_left.jpg", "two.png", "three OD.tif"]
