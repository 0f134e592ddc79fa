from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ophglm_core import picture_files
from ophglm_core.byte_budget import ByteBudget
from ophglm_core.depth import to_eight_bits
from ophglm_core.errors import InputError
from ophglm_core.file_names import from_printable, printable
from ophglm_core.images import load_crop, load_disc, open_photograph
from ophglm_core.inputs import PassedOver, collect, find_images
from ophglm_core.quality import measure

from ..conftest import draw_fundus


def write_png(path: Path, size: tuple[int, int], depth: int, data: bytes) -> None:
    """Write an RGB PNG of 8 or 16 bit; Pillow writes none of 16."""
    header = struct.pack(">IIBBBBB", *size, depth, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")):
        checksum = zlib.crc32(kind + body)
        content += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)
    path.write_bytes(content)


def write_deep_png(path: Path, values: np.ndarray) -> None:
    rows = values.astype(">u2").reshape(len(values), -1)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    write_png(path, (values.shape[1], values.shape[0]), 16, data)


def test_the_crop_of_a_long_strip_fits_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "strip.png"
    Image.new("RGB", (40_000, 300), (200, 90, 40)).save(path)
    disc = load_disc(path, 224)
    assert disc.pixels.shape == (224, 224, 3)
    assert measure(disc.pixels, disc.side).reason() is not None


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    write_png(path, (24_000, 24_000), 8, b"")
    with pytest.raises(InputError, match="more than 100 megapixels"):
        open_photograph(path)
    write_png(path, (11_000, 11_000), 8, b"")  # which Pillow would decode with a warning
    with pytest.raises(InputError, match="11000 x 11000 pixels, more than 100 megapixels"):
        open_photograph(path)


def test_decoded_bytes_in_flight_are_bounded(tmp_path: Path) -> None:
    budget, held, most = ByteBudget(100), [0], [0]
    lock = threading.Lock()

    def work(count: int) -> None:
        with budget.hold(count):
            with lock:
                held[0] += count
                most[0] = max(most[0], held[0])
            time.sleep(0.005)
            with lock:
                held[0] -= count

    threads = [threading.Thread(target=work, args=(n,)) for n in [40, 30, 60, 10, 90] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert 60 <= most[0] <= 100
    with budget.hold(1000):  # alone, what is larger goes through
        pass


def test_a_picture_is_counted_while_it_is_cropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (1000, 800)).save(tmp_path / "a.png")
    asked: list[int] = []

    class Budget(ByteBudget):
        def hold(self, count: int):  # type: ignore[no-untyped-def]
            asked.append(count)
            return super().hold(count)

    monkeypatch.setattr(picture_files, "_DECODED", Budget(1 << 30))
    load_crop(tmp_path / "a.png", 64)
    assert asked
    assert asked[0] >= 4 * 1000 * 800


_DECODE = r"""
import re, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from ophglm_core.images import load_crop
with ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda _: load_crop(Path(sys.argv[1]), 64), range(4)))
print(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the most memory is read off /proc")
def test_many_threads_with_large_pictures_stay_small(tmp_path: Path) -> None:
    Image.new("RGB", (5000, 4000), (180, 80, 40)).save(tmp_path / "a.png", compress_level=1)
    command = [sys.executable, "-c", _DECODE, str(tmp_path / "a.png")]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(told.stdout) < 550_000  # KB; four pictures and their squares are 700 MB


@pytest.mark.parametrize("kind", ["avif", "jpg", "png", "tif", "webp", "bmp", "jp2"])
def test_damaged_files_are_a_sentence_each(tmp_path: Path, kind: str) -> None:
    whole = tmp_path / f"a.{kind}"
    draw_fundus((90, 80)).save(whole)
    content, rng = whole.read_bytes(), np.random.default_rng(0)
    sentences: list[str] = []
    for number in range(40):
        damaged = np.frombuffer(content, np.uint8).copy()
        places = rng.integers(0, min(len(damaged), 400 * (number % 3 + 1)), 1 + number % 7)
        damaged[places] = rng.integers(0, 256, places.size)
        path = tmp_path / f"damaged.{'jpg' if number % 2 else kind}"
        path.write_bytes(damaged.tobytes()[: len(damaged) - number])
        try:
            load_crop(path, 32)
        except InputError as error:
            sentences.append(str(error))
    assert sentences or kind == "bmp"
    assert not any("\n" in sentence for sentence in sentences)


def test_pipes_devices_and_links_to_nothing_are_a_sentence(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "gone.jpg").symlink_to("nothing")
    for name, words in [
        ("x.jpg", "pipe or a device"),
        ("loop.jpg", "loop"),
        ("gone.jpg", "No such file"),
        ("n" * 300 + ".jpg", "too long"),
    ]:
        with pytest.raises(InputError, match=words):
            open_photograph(tmp_path / name)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_colour_of_any_depth_in_sixteen_bits(tmp_path: Path, bits: int) -> None:
    tifffile = pytest.importorskip("tifffile")
    picture = np.asarray(draw_fundus((120, 100)))
    values = picture.astype(np.uint16) << (bits - 8)
    values[::2] |= (1 << (bits - 8)) - 1  # the lower bits are not all the same
    write_deep_png(tmp_path / "a.png", values)
    for number, options in enumerate(
        [
            {},
            {"byteorder": ">"},
            {"compression": "zlib", "predictor": True},
            {"compression": "zlib", "byteorder": ">"},
            {"tile": (16, 16)},
            {"planarconfig": "separate"},
            {"planarconfig": "separate", "byteorder": ">", "rowsperstrip": 7},
        ]
    ):
        planes = values.transpose(2, 0, 1) if "planarconfig" in options else values
        tifffile.imwrite(tmp_path / f"{number}.tif", planes, photometric="rgb", **options)
    for path in sorted(tmp_path.iterdir()):
        assert (np.asarray(open_photograph(path)) == picture).all(), path.name


def test_compressed_planes_are_read_or_refused(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    picture = np.asarray(draw_fundus((120, 100))).transpose(2, 0, 1).astype(np.uint16)
    options = {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib"}
    tifffile.imwrite(tmp_path / "16.tif", picture << 8, **options)
    opened = np.asarray(open_photograph(tmp_path / "16.tif"))
    assert (opened.transpose(2, 0, 1) == picture).all()
    tifffile.imwrite(tmp_path / "12.tif", picture << 4, **options)
    with pytest.raises(InputError, match="export it as PNG"):
        open_photograph(tmp_path / "12.tif")


def test_depths() -> None:
    assert to_eight_bits(np.array([0, 4095], np.uint16)).tolist() == [0, 255]
    assert to_eight_bits(np.array([-5, 900], np.int16)).tolist() == [0, 225]
    assert to_eight_bits(np.array([0, 900], np.uint16), 12).tolist() == [0, 56]
    assert to_eight_bits(np.array([0.0, 0.5, np.nan])).tolist() == [0, 255, 0]


def test_a_jpeg_behind_a_blank_line(tmp_path: Path) -> None:
    draw_fundus().save(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(b"\r\n" + (tmp_path / "a.jpg").read_bytes())
    plain, behind = (load_crop(tmp_path / f"{name}.jpg", 64) for name in "ab")
    assert (plain == behind).all()


@pytest.mark.parametrize("black", [True, False])
def test_a_white_page_is_no_part_of_the_photograph(black: bool) -> None:
    photograph = draw_fundus((400, 300))
    page = Image.new("RGB", (900, 1200), "white")
    mask = None if black else photograph.convert("L").point(lambda value: 255 * (value > 20))
    page.paste(photograph, (200, 500), mask)
    page.paste((0, 0, 0), (200, 1100, 420, 1104))  # a line of text
    alone, from_page = load_crop(photograph, 224), load_crop(page, 224)
    assert measure(from_page).reason() is None
    assert np.abs(alone.astype(int) - from_page).mean() < 6
    bright = Image.new("RGB", (300, 300), "white")
    assert measure(load_crop(bright, 224)).reason() == "it is washed out"


def test_a_thumbnail_is_too_small_to_grade(tmp_path: Path) -> None:
    draw_fundus((24, 24)).save(tmp_path / "small.png")
    small = load_disc(tmp_path / "small.png", 224)
    assert "too small" in (measure(small.pixels, small.side).reason() or "")
    draw_fundus((3000, 2400)).save(tmp_path / "large.jpg")  # which is decoded smaller
    large = load_disc(tmp_path / "large.jpg", 224)
    assert abs(large.side - 0.92 * 2400) < 60
    assert measure(large.pixels, large.side).reason() is None


def test_folders_are_searched_for_every_kind_and_by_content(tmp_path: Path) -> None:
    draw_fundus((60, 60)).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    names = ["a.png", "b.JFIF", "c.jpe", "d.avif", "e.jp2", "f.dcm", "no suffix", "1.2.840.113"]
    for name in names:
        (tmp_path / name).write_bytes(content)
    (tmp_path / "1.2.840.114").write_bytes(bytes(128) + b"DICM")
    for name in ("DICOMDIR", "list", "notes.txt", "more.txt"):
        (tmp_path / name).write_bytes(bytes(128) + b"DICM" if name == "DICOMDIR" else b"text")
    (tmp_path / ".cache").mkdir()
    left_out = PassedOver()
    found = [path.name for path in find_images(tmp_path, left_out)]
    assert found == sorted([*names, "1.2.840.114"])
    assert left_out.kinds == {".txt": 2, "without a suffix": 2, "hidden folder": 1}


def test_one_file_by_two_names_counts_once_and_a_link_to_it_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    draw_fundus((60, 60)).save(folder / "a.png")
    (folder / "link.png").symlink_to("a.png")
    (tmp_path / "way").symlink_to(folder)
    monkeypatch.chdir(folder)
    inputs = collect(["a.png", folder / "a.png", tmp_path / "way", "./link.png", "../folder"])
    assert [str(picture) for picture in inputs.pictures] == [
        "a.png",
        str(tmp_path / "way/link.png"),
    ]


def test_what_lies_in_a_closed_folder_is_an_error_and_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "closed" / "a.jpg"

    def closed(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "stat", closed)
    monkeypatch.setattr(os, "lstat", closed)
    assert collect([path]).pictures == [path]
    with pytest.raises(InputError, match="check its permissions"):
        open_photograph(path)


def test_any_name_can_be_written_and_found_again() -> None:
    names = [
        "a.jpg",
        "左眼.jpg",
        "a\\b",
        "\\x41",
        "a\\\\x41\n",
        "\udcff\\",
        "\x85\u2028\t",
        "\\\\xff",
    ]
    written = [printable(name) for name in names]
    assert [from_printable(text) for text in written] == names
    assert len(set(written)) == len(names)
    assert written[:3] == names[:3]
    assert all(text.isprintable() and text.encode() for text in written)
