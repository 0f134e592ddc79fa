"""`ophglm classify` within this process, with a classifier that opens pictures and makes up what
they show: quick, and as unbreakable as the command itself has to be."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import Result

from ophglm_cli.terminal import MinuteLines
from ophglm_core.file_names import from_printable

from ..conftest import draw_fundus
from .conftest import MadeUp, Run


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def stop(run: Run, made_up: MadeUp, after: int, *arguments: str | Path) -> Result:
    made_up.stop_after = after
    result = run(*arguments)
    assert result.exit_code == 130
    made_up.stop_after = 10**9
    made_up.seen.clear()
    return result


def test_a_stopped_run_goes_on_and_ends_as_one_left_alone(
    run: Run, made_up: MadeUp, folder: Path
) -> None:
    (folder / "0a.png").write_bytes(b"broken")
    assert run(folder, "--out", "whole.csv").exit_code == 1
    stopped = stop(run, made_up, 3, folder, "--out", "a.csv")
    assert "the same command goes on" in stopped.stderr
    assert not Path("a.csv").exists()
    with Path("a.csv.part").open("a") as stream:
        stream.write('{"key": "cut o')
    result = run(folder, "--out", "a.csv")
    assert made_up.seen == ["0a.png", "2.png", "3.png"]  # and the broken one is tried again
    assert "2 of these from an earlier run" in result.stderr
    assert Path("a.csv").read_bytes() == Path("whole.csv").read_bytes()
    names = ["a.csv", "a.csv.run.json", "whole.csv", "whole.csv.run.json"]
    assert sorted(os.listdir()) == names


def test_rows_of_another_folder_or_model_are_not_taken_up(
    run: Run, made_up: MadeUp, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    draw_fundus(seed=9).save(other / "9.png")
    stop(run, made_up, 2, folder, "--out", "a.csv")
    before = Path("a.csv.part").read_bytes()
    refused = run(other, "--out", "a.csv")
    assert refused.exit_code == 2
    assert "another run" in refused.stderr
    assert Path("a.csv.part").read_bytes() == before
    assert run(other, "--out", "a.csv", "--overwrite").exit_code == 0
    assert [Path(row["image"]).name for row in rows_of(Path("a.csv"))] == ["9.png"]
    Path("b.csv.part").write_text("a download of something else\n")
    assert run(other, "--out", "b.csv").exit_code == 2


def test_a_picture_replaced_since_is_classified_anew(
    run: Run, made_up: MadeUp, folder: Path
) -> None:
    stop(run, made_up, 3, folder, "--out", "a.jsonl")
    draw_fundus((500, 400), seed=7).save(folder / "1.png")
    result = run(folder, "--out", "a.jsonl")
    assert made_up.seen == ["1.png", "3.png"]
    assert "1 anew" in result.stderr
    rows = [json.loads(line) for line in Path("a.jsonl").read_text().splitlines()]
    assert [Path(row["image"]).name for row in rows] == [f"{n}.png" for n in range(4)]
    assert rows[1]["probabilities"]["dr"] > 2 * rows[0]["probabilities"]["dr"]


def test_a_relative_and_an_absolute_path_are_one_picture(
    run: Run, made_up: MadeUp, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path("a.csv").resolve()
    stop(run, made_up, 2, "../many", "--out", out)
    monkeypatch.chdir(folder)
    result = run("0.png", folder / "0.png", "../many", "--out", out)
    assert result.exit_code == 0
    assert made_up.seen == ["2.png", "3.png"]
    assert [row["image"] for row in rows_of(out)][:2] == ["0.png", "../many/1.png"]
    assert len(rows_of(out)) == 4


def test_a_finished_file_is_not_written_over_unasked(run: Run, folder: Path) -> None:
    assert run(folder, "--out", "a.csv").exit_code == 0
    before = Path("a.csv").read_bytes()
    refused = run(folder / "0.png", "--out", "a.csv")
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert Path("a.csv").read_bytes() == before
    assert run(folder / "0.png", "--out", "a.csv", "--overwrite").exit_code == 0
    assert len(rows_of(Path("a.csv"))) == 1


def test_two_runs_do_not_share_a_part_file(run: Run, folder: Path) -> None:
    hold = (
        "import sys; from filelock import FileLock; lock = FileLock('a.csv.part.lock'); "
        "lock.acquire(); print('held', flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", hold], **pipes) as other:  # type: ignore[call-overload]
        other.stdout.readline()
        refused = run(folder, "--out", "a.csv")
        other.stdin.close()
    assert refused.exit_code == 2
    assert "Another run is writing a.csv" in refused.stderr.replace(os.getcwd() + "/", "")
    assert run(folder, "--out", "a.csv").exit_code == 0


def test_devices_and_pipes_are_written_to_as_such(run: Run, folder: Path) -> None:
    for name in ("-", "/dev/stdout"):
        assert run(folder, "--out", name).stdout.count("\n") == 5
    assert run(folder, "--out", "/dev/null").exit_code == 0
    assert not Path("/dev/null").is_file()
    os.mkfifo("pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(Path("pipe").read_text()))
    reader.start()
    assert run(folder, "--out", "pipe", "--format", "jsonl").exit_code == 0
    reader.join(timeout=10)
    assert read[0].count("\n") == 4
    assert run(folder, "--out", folder).exit_code == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_sentence(run: Run, folder: Path) -> None:
    result = run(folder, "--out", "/dev/full")
    assert result.exit_code == 1
    assert "cannot be written (No space left on device)" in result.stderr


def test_a_full_disk_keeps_what_was_found(
    run: Run, made_up: MadeUp, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ophglm_cli.part_file.write_rows", full)
        result = run(folder, "--out", "a.csv")
    assert result.exit_code == 1
    assert "No space left" in result.stderr
    assert "the same command goes on" in result.stderr
    made_up.seen.clear()
    assert run(folder, "--out", "a.csv").exit_code == 0
    assert made_up.seen == []
    assert len(rows_of(Path("a.csv"))) == 4


@pytest.mark.parametrize(
    "name",
    ["a\rb.png", "a\nb.png", "a\u2028b.png", "a\x1b[31mb.png", "a\\x41.png", 'a,"b".png'],
)
@pytest.mark.parametrize("out", ["a.csv", "a.jsonl"])
def test_any_name_is_one_row_and_can_be_found_again(
    run: Run, made_up: MadeUp, tmp_path: Path, name: str, out: str
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    draw_fundus((150, 140)).save(folder / name)
    draw_fundus((150, 140)).save(folder / "z.png")
    stop(run, made_up, 1, folder, "--out", out)
    assert run(folder, "--out", out).exit_code == 0
    assert made_up.seen == ["z.png"]
    text = Path(out).read_text(encoding="utf-8")
    assert not set("\r\x1b\u2028") & set(text)
    assert len(text.splitlines()) == 2 + out.endswith("csv")
    if out.endswith("csv"):
        images = [row["image"] for row in csv.DictReader(io.StringIO(text))]
    else:
        images = [json.loads(line)["image"] for line in text.splitlines()]
    assert [from_printable(image) for image in images] == [
        str(folder / name),
        str(folder / "z.png"),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes are Linux's")
def test_a_name_that_is_no_utf8(run: Run, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "many")
    os.mkdir(folder)
    name = folder + b"/\xff\xe9.png"
    draw_fundus((150, 140)).save(os.fsdecode(name))
    for arguments in (["--out", "a.csv"], ["--format", "csv"], ["--format", "table"]):
        result = run(folder, *arguments)
        assert result.exit_code == 0
    text = Path("a.csv").read_text(encoding="utf-8")
    assert "\\xff\\xe9.png" in text
    assert from_printable(rows_of(Path("a.csv"))[0]["image"]) == os.fsdecode(name)
    Path(os.fsdecode(name)).write_bytes(b"broken")
    assert "\\xff" in run(folder, "--out", "b.csv").stderr


def test_a_spreadsheet_runs_no_name(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    for name in ("=1+1.png", "@a.png", "+a.png", "'=b.png"):
        os.link("0.png", name)
    result = run("=1+1.png", "@a.png", "+a.png", "'=b.png", "0.png", "--format", "csv")
    images = [row["image"] for row in csv.DictReader(io.StringIO(result.stdout))]
    assert images == ["'=1+1.png", "'@a.png", "'+a.png", "''=b.png", "0.png"]
    as_json = run("=1+1.png", "--format", "jsonl")
    assert json.loads(as_json.stdout)["image"] == "=1+1.png"


def test_parquet_and_suffixes(run: Run, folder: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    (folder / "x.png").write_bytes(b"broken")
    run(folder, "--out", "a.parquet")
    rows = parquet.read_table("a.parquet").to_pylist()
    assert [Path(row["image"]).name for row in rows][:2] == ["0.png", "1.png"]
    assert rows[0]["positive"] == ["dr"]
    assert rows[0]["referable"] is True
    assert 0 < rows[0]["dr"] < 1
    assert rows[4]["status"] == "error"
    assert rows[4]["dr"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "a.xlsx"], "'.xlsx' is no suffix"),
        (["--out", "a.parquet", "--format", "csv"], "suffix says otherwise"),
        (["--format", "parquet"], "name one with --out"),
        (["--format", "table", "--out", "a.csv"], "for the terminal"),
    ],
)
def test_what_cannot_be_written_is_refused(
    run: Run, folder: Path, made_up: MadeUp, arguments: list[str], words: str
) -> None:
    result = run(folder, *arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.replace("│", " ").split())
    assert made_up.seen == []


def test_heat_maps_are_completed_and_never_share_a_name(
    run: Run, made_up: MadeUp, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "many"
    other.mkdir(parents=True)
    draw_fundus((150, 140)).save(other / "0.png")
    stop(run, made_up, 2, folder, "--out", "a.csv")  # without maps
    assert run(folder, "--out", "a.csv", "--heatmaps", "maps").exit_code == 0
    assert made_up.seen == [f"{n}.png" for n in range(4)]
    assert len(rows_of(Path("a.csv"))) == 4
    assert sorted(os.listdir("maps")) == [f"{n}.png.dr.jpg" for n in range(4)]
    run(folder, other, "--heatmaps", "both")
    assert sum(len(files) for _, _, files in os.walk("both")) == 5
    run(folder / "0.png", other / "0.png", "--heatmaps", "files")
    assert sum(len(files) for _, _, files in os.walk("files")) == 2


def test_a_cut_off_heat_map_never_has_its_name(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        whole(path, content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    result = run(folder, "--heatmaps", "maps", "--out", "a.csv")
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr
    assert os.listdir("maps") == []


def test_what_is_passed_over_is_counted_and_what_cannot_be_entered_is_named(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "notes.txt").write_text("x")
    (folder / "list").write_text("no picture")
    (folder / ".hidden.png").write_text("x")
    (folder / "closed").mkdir()
    os.mkfifo(folder / "x.jpg")
    scan = os.scandir

    def closed(path: str) -> object:
        if os.fspath(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    result = run(folder, "--format", "csv")
    assert result.exit_code == 1
    assert "6 in all: 4 ok, 0 ungradable, 2 errors." in result.stderr
    assert "Found: dr 4, referable 4." in result.stderr
    for kind in ("1 .txt", "1 without a suffix", "1 hidden"):
        assert kind in result.stderr
    assert result.stderr.count("closed is a folder that cannot be read") == 1
    assert "x.jpg is a pipe or a device" in result.stderr
    quiet = run(folder, "--format", "csv", "--quiet").stderr.splitlines()
    assert len(quiet) == 3  # two failures and the notice


def test_a_list_on_standard_input(run: Run, folder: Path) -> None:
    names = [os.fsencode(folder / f"{n}.png") for n in range(2)]
    for given in (b"\n".join(names), b"\r\n".join(names) + b"\r\n", b"\0".join(names) + b"\0"):
        assert run("-", "--format", "csv", given=given).stdout.count("\n") == 3
    empty = run("-", given=b"")
    assert empty.exit_code == 1
    assert "names no photographs" in empty.stderr


def test_a_line_a_minute_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    lines = MinuteLines("classifying", 1000, lambda: now[0])
    lines.tick(400)  # of an earlier run
    for _ in range(120):
        now[0] += 1
        lines.tick(2)
    assert capsys.readouterr().err.splitlines() == [
        "classifying: 520 of 1000, 2.0 a second, 4 min left",
        "classifying: 640 of 1000, 2.0 a second, 3 min left",
    ]
