"""Does `ophglm classify` lose nothing: thousands of pictures, killed at random, and damaged files?

    python -m tests.benchmarks.unbreakable run FOLDER [PICTURES] [KILLS]
    python -m tests.benchmarks.unbreakable files FOLDER [FILES]

run: links to FOLDER's photographs, PICTURES of them (20,000), are classified once undisturbed and
once with KILLS (5) times SIGKILL at random moments, each followed by the same command. Prints the
pictures a second and the peak memory of the first, and whether the two files are the same.

files: each of FILES (100,000) is a photograph of FOLDER, made small and saved as one of the kinds
that are read, with bytes overwritten, cut out, doubled or missing at its end, and is then opened as
classify opens it. Prints how many could be read, how many were refused with a sentence and, with
the seed that makes it again, each that raised anything else or took more than ten seconds.
"""

from __future__ import annotations

import io
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from ophglm_core.errors import InputError
from ophglm_core.images import load_disc
from ophglm_core.inputs import find_images

#: Suffix and options of Pillow's writers.
_KINDS: tuple[tuple[str, dict[str, object]], ...] = (
    (".jpg", {"format": "JPEG"}),
    (".jpeg", {"format": "JPEG", "progressive": True}),
    (".png", {"format": "PNG"}),
    (".tif", {"format": "TIFF"}),
    (".tiff", {"format": "TIFF", "compression": "tiff_lzw"}),
    (".tif", {"format": "TIFF", "compression": "jpeg"}),
    (".bmp", {"format": "BMP"}),
    (".webp", {"format": "WEBP"}),
    (".avif", {"format": "AVIF", "speed": 10}),
    (".jp2", {"format": "JPEG2000"}),
    (".dcm", {}),
)
_MODES = ("RGB", "L", "P", "CMYK")
_SLOW = 10.0


def _classify(pictures: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from ophglm_cli.main import main; main()", "classify"]
    return subprocess.Popen([*command, str(pictures), "--out", str(out), "--quiet"])


def _peak(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process and return its peak memory in MB."""
    peak = 0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        except OSError:
            break
        lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        if "VmHWM" in lines:
            peak = int(lines["VmHWM"].split()[0]) // 1024
        time.sleep(0.2)
    return peak


def run(folder: Path, number: int, kills: int) -> None:
    """Classify undisturbed and disturbed, and compare."""
    found = sorted(find_images(folder))
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        pictures = work / "pictures"
        for index in range(number):
            link = pictures / f"{index // 1000:03d}" / f"{index:06d}{found[0].suffix}"
            link.parent.mkdir(parents=True, exist_ok=True)
            source = found[index % len(found)]
            link.with_suffix(source.suffix).symlink_to(source.resolve())
        began = time.monotonic()
        peak = _peak(_classify(pictures, work / "alone.csv"))
        seconds = time.monotonic() - began
        print(f"{number} pictures: {number / seconds:.1f} a second, peak {peak} MB", flush=True)
        moments = random.Random(0)
        for kill in range(kills):
            process = _classify(pictures, work / "killed.csv")
            time.sleep(moments.uniform(5, 5 + seconds / (kills + 1)))
            process.kill()
            process.wait()
            kept = (work / "killed.csv.part").read_bytes().count(b"\n") - 1
            print(f"killed {kill + 1} times: {kept} rows are kept", flush=True)
        peak = max(peak, _peak(_classify(pictures, work / "killed.csv")))
        same = (work / "alone.csv").read_bytes() == (work / "killed.csv").read_bytes()
        print(f"the same bytes as left alone: {same}; peak of all runs {peak} MB")


def _dicom(image: Image.Image) -> bytes:
    """A Secondary Capture of a picture, uncompressed."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    rgb = np.asarray(image.convert("RGB"))
    data = Dataset()
    data.SOPClassUID = SecondaryCaptureImageStorage
    data.SOPInstanceUID = generate_uid()
    data.Rows, data.Columns = rgb.shape[:2]
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "RGB", 0
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    data.PatientID, data.ImageLaterality = "1", "L"
    data.PixelData = rgb.tobytes()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _whole(found: list[Path], chance: random.Random) -> tuple[str, bytes]:
    with Image.open(chance.choice(found)) as opened:
        image = opened.convert("RGB").resize((chance.randint(100, 160), chance.randint(100, 160)))
    suffix, options = chance.choice(_KINDS)
    if suffix == ".dcm":
        return suffix, _dicom(image)
    stream = io.BytesIO()
    try:
        image.convert(chance.choice(_MODES)).save(stream, **options)
    except (OSError, ValueError, KeyError):  # not every kind holds every mode
        stream = io.BytesIO()
        image.save(stream, **options)
    return suffix, stream.getvalue()


def _damaged(content: bytes, chance: random.Random) -> bytes:
    data = bytearray(content)
    way = chance.randrange(5)
    # Headers are short and decide much: half of the damage is there.
    most = len(data) if chance.random() < 0.5 else min(len(data), 200)
    place, length = chance.randrange(most), chance.choice((1, 1, 2, 4, 16, 200))
    if way == 0:
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(most)] = chance.randrange(256)
    elif way == 1:
        del data[place : place + length]
    elif way == 2:
        data[place:place] = data[place : place + length]
    elif way == 3:
        data[place : place + length] = bytes([chance.choice((0, 255))]) * length
    else:
        del data[chance.randrange(len(data)) :]
    return bytes(data)


def files(folder: Path, number: int) -> None:
    """Open damaged files and count what comes of them."""
    found = sorted(find_images(folder))[:50]
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        for seed in range(number):
            chance = random.Random(seed)
            suffix, content = _whole(found, chance)
            other = chance.choice(_KINDS)[0] if chance.random() < 0.1 else suffix
            path = Path(name) / f"damaged{other}"
            path.write_bytes(_damaged(content, chance))
            began = time.monotonic()
            try:
                load_disc(path, 64)
                counts["read"] += 1
            except InputError:
                counts["refused with a sentence"] += 1
            except BaseException as error:
                counts["raised something else"] += 1
                print(f"seed {seed}, {other}: {type(error).__name__}: {error}", flush=True)
            if time.monotonic() - began > _SLOW:
                counts["slow"] += 1
                print(f"seed {seed}, {other}: {time.monotonic() - began:.0f} s", flush=True)
    print(f"{number} damaged files: {dict(counts)}")


def main() -> None:
    """Run what is named."""
    what, folder = sys.argv[1], Path(sys.argv[2])
    given = [int(text) for text in sys.argv[3:]]
    if what == "files":
        files(folder, *(given or [100_000]))
    else:
        number, kills = [*given, *(20_000, 5)[len(given) :]]
        run(folder, number, kills)


if __name__ == "__main__":
    main()
