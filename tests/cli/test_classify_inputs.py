"""What `ophglm classify` takes besides files and folders: zip files, lists, parts of a run."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from ..conftest import draw_fundus
from .conftest import MadeUp, Run


def rows_of(run: Run, *arguments: str | Path) -> list[dict[str, object]]:
    result = run(*arguments, "--format", "jsonl", "--quiet")
    return [json.loads(line) for line in result.stdout.splitlines()]


def zipped(path: Path, files: dict[str, Path | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.read_bytes()
            archive.writestr(name, data)
    return path


def test_a_zip_file_gives_what_its_pictures_give(run: Run, folder: Path, tmp_path: Path) -> None:
    deep = folder / "deep.png"
    values = np.asarray(draw_fundus((150, 140)).resize((150, 150)))
    Image.fromarray(values).save(deep)
    headed = folder / "headed.jpg"
    Image.fromarray(values).save(headed, "JPEG")
    headed.write_bytes(b"\r\n" + headed.read_bytes())
    (folder / "broken.jpg").write_bytes(headed.read_bytes()[:300])
    shutil.copy(folder / "0.png", folder / "no suffix")
    files: dict[str, Path | bytes] = {f"眼 底/{p.name}": p for p in sorted(folder.iterdir())}
    notes = {"notes.txt": b"-", "__MACOSX/0.png": b"-", ".x/0.png": b"-", "眼 底/.h.png": b"-"}
    archive = zipped(tmp_path / "Many.ZIP", files | notes)
    plain = {str(row["image"])[len(str(folder)) :]: row for row in rows_of(run, folder)}
    packed = {str(row["image"])[len(f"{archive}/眼 底") :]: row for row in rows_of(run, archive)}
    assert len(plain) == 8
    assert packed.keys() == plain.keys()
    for name, row in packed.items():
        assert row["probabilities"] == plain[name]["probabilities"], name
        assert row["status"] == plain[name]["status"], name
    assert packed["/broken.jpg"]["status"] == "error"
    summary = run(archive).stderr
    assert "3 hidden" in summary
    assert "1 .txt" in summary
    # One of them by its name.
    assert rows_of(run, archive / "眼 底" / "0.png")[0]["status"] == "ok"
    [missing] = rows_of(run, archive / "0.png")
    assert missing["status"] == "error"
    assert "No such file" in str(missing["message"])


def test_names_in_a_zip_file_lead_nowhere_else(run: Run, folder: Path, tmp_path: Path) -> None:
    picture = (folder / "0.png").read_bytes()
    names = ["/etc/a.png", "../../b.png", "./c//d.png"]
    archive = zipped(tmp_path / "a.zip", dict.fromkeys(names, picture))
    images = sorted(str(row["image"]) for row in rows_of(run, archive))
    assert images == [f"{archive}/{name}" for name in ("b.png", "c/d.png", "etc/a.png")]


def test_zip_files_that_cannot_be_read(run: Run, folder: Path, tmp_path: Path) -> None:
    whole = zipped(tmp_path / "whole.zip", {"0.png": folder / "0.png", "1.png": folder / "1.png"})
    data = bytearray(whole.read_bytes())
    data[60:90] = bytes(30)  # within the first picture
    (tmp_path / "damaged.zip").write_bytes(data)
    rows = rows_of(run, tmp_path / "damaged.zip")
    assert [row["status"] for row in rows] == ["error", "ok"]
    (tmp_path / "cut.zip").write_bytes(whole.read_bytes()[:-40])
    (tmp_path / "empty.zip").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "notes.zip", "w") as archive:
        archive.writestr("a.txt", "-")
    locked = bytearray(whole.read_bytes())
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = locked.index(mark)
        locked[start + at] |= 1
    (tmp_path / "locked.zip").write_bytes(locked)
    for name, sentence in (
        ("cut", "is no zip file that can be read"),
        ("empty", "is no zip file that can be read"),
        ("notes", "holds no photographs"),
        ("locked", "is locked with a password"),
    ):
        result = run(tmp_path / f"{name}.zip", "--format", "jsonl")
        assert result.exit_code == 1
        assert sentence in result.stderr


def test_a_resumed_zip_file(run: Run, folder: Path, tmp_path: Path, made_up: MadeUp) -> None:
    pictures: dict[str, Path | bytes] = {f"{n}.png": folder / f"{n}.png" for n in range(4)}
    archive = zipped(tmp_path / "a.zip", pictures)
    made_up.stop_after = 2
    assert run(archive, "--out", "rows.csv").exit_code == 130
    made_up.stop_after = 10**9
    made_up.seen.clear()
    zipped(archive, pictures | {"1.png": folder / "2.png"})  # one replaced, all written anew
    assert run(archive, "--out", "rows.csv").exit_code == 0
    assert made_up.seen == ["1.png", "2.png", "3.png"]


def test_dicom_in_a_zip_file(run: Run, tmp_path: Path) -> None:
    # As it lies, by two of pydicom's plug-ins, and by gdcm in a process of its own.
    names = ("SC_ybr_full_422_uncompressed", "SC_rgb_rle", "SC_rgb_gdcm_KY", "SC_rgb_jpeg_gdcm")
    found = {name: Path(str(get_testdata_file(f"{name}.dcm", download=False))) for name in names}
    archive = zipped(tmp_path / "a.zip", dict(found))
    packed = rows_of(run, archive)
    plain = rows_of(run, *(found[name] for name in sorted(found)))
    assert [row["status"] for row in plain] == ["ok"] * 4
    assert [row["probabilities"] for row in packed] == [row["probabilities"] for row in plain]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".xlsx", ".parquet", ".txt"])
def test_a_list_names_pictures(run: Run, folder: Path, suffix: str) -> None:
    names = ["0.png", "1.png", str(folder / "2.png"), "gone.png"]
    patients, eyes = ["p 1", "p 1", "", "p 3"], ["OS", "右眼", "L", ""]
    path = folder.parent / f"list{suffix}"
    given = [f"many/{name}" if "/" not in name else name for name in names]
    if suffix == ".txt":
        path.write_text("\ufeff" + "\r\n".join(given), encoding="utf-8")
    else:
        table = {"Patient ID": patients, "File Name": given, "Eye": eyes}
        write_table(path, table)
    rows = rows_of(run, path)
    assert [row["status"] for row in rows] == ["ok", "ok", "ok", "error"]
    assert [Path(str(row["image"])).name for row in rows] == [Path(name).name for name in names]
    if suffix != ".txt":
        assert [row["patient"] for row in rows] == ["p 1", "p 1", None, "p 3"]
        assert [row["eye"] for row in rows] == ["left", "right", "left", None]


def write_table(path: Path, table: dict[str, list[str]]) -> None:
    if path.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.table(table | {"bytes": [b"-"] * 4}), path)
    elif path.suffix == ".xlsx":
        from openpyxl import Workbook

        book = Workbook()
        for row in (list(table), *zip(*table.values(), strict=True)):
            book.active.append(row)
        book.save(path)
    else:
        lines = [list(table), *zip(*table.values(), strict=True)]
        separator = "\t" if path.suffix == ".tsv" else ","
        path.write_text("\n".join(map(separator.join, lines)), encoding="utf-8")


def test_rows_are_a_list(run: Run, folder: Path) -> None:
    odd = folder / os.fsdecode(b"\xff 4.png")
    shutil.copy(folder / "0.png", odd)
    assert run(folder, "--out", "rows.csv").exit_code == 0
    again = rows_of(run, "rows.csv")
    assert [row["status"] for row in again] == ["ok"] * 5


def test_lists_that_name_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("picture,dr\na.jpg,1\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("image\n", encoding="utf-8")
    (tmp_path / "c.parquet").write_bytes(b"PAR1")
    for name, sentence in (
        ("a.csv", "has no column 'image' (columns: picture, dr)"),
        ("b.csv", "names no photographs"),
        ("c.parquet", "cannot be read as Parquet"),
    ):
        result = run(tmp_path / name, "--format", "jsonl")
        assert result.exit_code == 1
        assert sentence in result.stderr
        assert json.loads(result.stdout)["status"] == "error"


def test_parts_of_a_run_are_the_whole(run: Run, folder: Path, tmp_path: Path) -> None:
    for number in range(4, 40):
        os.link(folder / "0.png", folder / f"{number}.png")
    archive = zipped(tmp_path / "a.zip", {f"{n}/l.png": folder / f"{n % 4}.png" for n in range(9)})
    named = (folder, archive, tmp_path / "gone")
    whole = [str(row["image"]) for row in rows_of(run, *named)]
    parts = [
        [str(row["image"]) for row in rows_of(run, *named, "--shard", f"{n}/3")] for n in (1, 2, 3)
    ]
    assert len(whole) == 50
    assert sorted(image for part in parts for image in part) == sorted(whole)
    assert min(map(len, parts)) > 8
    assert [str(tmp_path / "gone") in part for part in parts] == [True, False, False]
    # Another machine sees the same folder under another name, and pictures are added meanwhile.
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    os.link(elsewhere / "0.png", elsewhere / "5 new.png")
    again = [Path(str(r["image"])).name for r in rows_of(run, elsewhere, "--shard", "2/3")]
    assert set(again) - {"5 new.png"} == {
        Path(image).name for image in parts[1] if image.startswith(str(folder))
    }


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "-1/3", "/"])
def test_what_is_no_part(run: Run, folder: Path, text: str) -> None:
    result = run(folder, "--shard", text)
    assert result.exit_code == 2
    assert text in result.stderr or "no part" in result.stderr


def test_the_record_of_a_run(run: Run, folder: Path) -> None:
    (folder / "broken.png").write_bytes(b"-")
    (folder / "notes.pdf").write_bytes(b"-")
    assert run(folder, "--out", "rows.csv", "--shard", "1/1").exit_code == 1
    record = json.loads(Path("rows.csv.run.json").read_text(encoding="utf-8"))
    assert record["status"] == {"ok": 4, "error": 1}
    assert record["found"] == {"dr": 4, "referable": 4}
    assert record["passed_over"] == {".pdf": 1}
    assert record["model"] == "m"
    assert record["encoder_sha256"] == "e" * 64
    assert record["thresholds"]["dr"] == 0.5
    assert record["part"] == "1/1"
    assert record["versions"]["ophglm"]
    assert record["versions"]["onnxruntime"]
    assert record["device"] == "CPU"
    assert "not a diagnosis" in record["notice"]
