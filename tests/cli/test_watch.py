"""`ophglm watch` within this process, with a classifier that makes up what pictures show and stops
the program by a signal when it has seen enough."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import Result
from typer.testing import CliRunner

from ophglm_cli.main import app
from ophglm_cli.row_log import RowLog
from ophglm_core import arrivals
from ophglm_core.conditions import DEFAULT_LABELS, LabelSet, default_labels
from ophglm_core.errors import InputError, UsageError
from ophglm_core.findings import NOTICE, Findings
from ophglm_core.images import load_disc

from ..conftest import draw_fundus

Run = Callable[..., Result]


class MadeUp:
    """Finds retinopathy in what can be opened. seen: what it was given. stop_after: so many, then
    sends `signal`. before: what is done to a picture before it is opened."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.stop_after = 0
        self.signal = signal.SIGTERM
        self.before: Callable[[Path], None] = lambda picture: None

    def classify(self, pictures: Iterable[Path]) -> Iterator[Findings]:
        for picture in pictures:
            self.before(picture)
            self.seen.append(picture.name)
            if len(self.seen) == self.stop_after:
                os.kill(os.getpid(), self.signal)
            try:
                load_disc(picture, 64)
            except InputError as error:
                yield Findings(str(picture), "error", "m", message=str(error))
                continue
            values = dict.fromkeys(DEFAULT_LABELS, 0.0) | {"dr": 0.6}
            yield Findings(str(picture), "ok", "m", values, ["dr"], 2, referable=True)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    return put_in_place(monkeypatch)


def put_in_place(monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    """Let the commands of this process use a made-up classifier, and wait for no file to settle."""
    classifier = MadeUp()
    assistant = SimpleNamespace(
        classifier=classifier, labels=default_labels(), model=SimpleNamespace(identity="m")
    )
    monkeypatch.setattr("ophglm_core.load", lambda model, **_: assistant)
    real = arrivals.arrivals

    def quick(*arguments: object, **options: object) -> object:
        return real(*arguments, **options, settle=0.01)  # type: ignore[arg-type]

    monkeypatch.setattr(arrivals, "arrivals", quick)
    return classifier


@pytest.fixture
def run(made_up: MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for number in range(3):
        draw_fundus((150, 140), seed=number).save(inbox / f"{number}.png")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, stop_after: int = 3) -> Result:
        made_up.seen.clear()
        made_up.stop_after = stop_after
        result = CliRunner().invoke(app, ["watch", "inbox", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result

    return call


def rows_of(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def names(path: str) -> list[str]:
    return [Path(row["image"]).name for row in rows_of(path)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_watch_keeps_its_rows_and_goes_on(
    run: Run, made_up: MadeUp, number: signal.Signals
) -> None:
    made_up.signal = number
    before = signal.getsignal(number)
    result = run("--out", "a.csv", stop_after=2)
    assert result.exit_code == 0
    assert signal.getsignal(number) == before
    assert names("a.csv") == ["0.png", "1.png"]
    assert "2 rows added" in result.stderr
    assert result.stderr.count(NOTICE) == 1
    assert "flagged: diabetic retinopathy 60%; referable" in result.stderr
    assert not Path("a.csv.lock").exists()
    assert run("--out", "a.csv", stop_after=1).exit_code == 0
    assert made_up.seen == ["2.png"]
    assert names("a.csv") == ["0.png", "1.png", "2.png"]


def test_a_changed_picture_is_done_again_and_a_broken_one_does_not_stop_it(
    run: Run, made_up: MadeUp
) -> None:
    Path("inbox/1.png").write_bytes(b"broken")
    result = run("--out", "a.jsonl", "--quiet")
    assert "1.png is not a picture" in result.stderr
    assert "0.png" not in result.stderr
    draw_fundus((150, 140), seed=9).save("inbox/1.png")
    run("--out", "a.jsonl", stop_after=1)
    assert made_up.seen == ["1.png"]
    rows = [json.loads(line) for line in Path("a.jsonl").read_text().splitlines()]
    assert [row["status"] for row in rows] == ["ok", "error", "ok", "ok"]
    assert Path(rows[3]["image"]).name == "1.png"


def test_pictures_that_come_meanwhile(run: Run, made_up: MadeUp) -> None:
    new = iter(range(3, 5))

    def another(picture: Path) -> None:
        if (number := next(new, None)) is not None:
            draw_fundus((150, 140), seed=number).save(f"{number}.png")
            os.rename(f"{number}.png", f"inbox/{number}.png")

    made_up.before = another
    run("--out", "a.csv", stop_after=5)
    assert names("a.csv") == [f"{number}.png" for number in range(5)]


def test_what_is_taken_away_before_it_is_read_has_no_row(run: Run, made_up: MadeUp) -> None:
    made_up.before = lambda p: p.unlink() if p.name == "1.png" else None
    assert run("--out", "a.csv").exit_code == 0
    assert names("a.csv") == ["0.png", "2.png"]


def test_a_killed_program_leaves_at_most_half_a_row(run: Run, made_up: MadeUp) -> None:
    run("--out", "a.csv")
    whole = Path("a.csv").read_bytes()
    seen = Path("a.csv.seen").read_bytes().splitlines(keepends=True)
    # Killed as the third row was written, and the second time between row and state.
    Path("a.csv").write_bytes(whole[:-20])
    Path("a.csv.seen").write_bytes(b"".join(seen[:1]) + seen[1][:10])
    run("--out", "a.csv", stop_after=1)
    assert made_up.seen == ["2.png"]
    assert Path("a.csv").read_bytes() == whole


def test_rows_that_were_taken_out_are_done_again(run: Run, made_up: MadeUp) -> None:
    run("--out", "a.csv")
    os.rename("a.csv", "taken.csv")
    run("--out", "a.csv")
    assert made_up.seen == ["0.png", "1.png", "2.png"]
    assert Path("a.csv").read_bytes() == Path("taken.csv").read_bytes()


def test_bad_usage_is_said_in_a_sentence(run: Run, made_up: MadeUp, tmp_path: Path) -> None:
    assert ".csv or .jsonl" in run("--out", "a.parquet").stderr
    assert "no file" in run("--out", "/dev/null").stderr
    Path("other.csv").write_text("image,age\n")
    result = run("--out", "other.csv")
    assert result.exit_code == 2
    assert "other columns" in result.stderr
    assert Path("other.csv").read_text() == "image,age\n"
    assert not Path("other.csv.lock").exists()
    assert made_up.seen == []
    result = CliRunner().invoke(app, ["watch", "nowhere", "--out", "a.csv"])
    assert result.exit_code == 1
    assert "no folder" in result.stderr


def test_one_program_at_a_time_writes_a_file(tmp_path: Path) -> None:
    with (
        RowLog(tmp_path / "a.csv", default_labels()),
        pytest.raises(UsageError, match="Another program"),
    ):
        RowLog(tmp_path / "a.csv", default_labels())
    with RowLog(tmp_path / "a.csv", default_labels()) as log:
        assert log.pictures == 0
    with pytest.raises(UsageError, match="other columns"):
        RowLog(tmp_path / "a.csv", LabelSet.of(["normal", "dr"]))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device")
def test_a_full_disk_is_said_in_a_sentence(tmp_path: Path) -> None:
    found = Findings("a.jpg", "error", "m", message="none")
    with RowLog(tmp_path / "a.csv", default_labels()) as log, Path("/dev/full").open("ab") as full:
        log._rows = full
        with pytest.raises(InputError, match=r"a.csv cannot be written \(No space"):
            log.append(found, tmp_path / "a.jpg", (1, 1))
        assert not log.holds(tmp_path / "a.jpg", (1, 1))
        log._rows = (tmp_path / "a.csv").open("ab")
        os.dup2(log._rows.fileno(), full.fileno())  # what its buffer holds can go
