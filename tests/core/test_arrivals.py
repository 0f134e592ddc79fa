from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ophglm_core.arrivals import Settling, State, arrivals
from ophglm_core.inputs import find_images

from ..conftest import draw_fundus


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    """Set after a while, so that what never comes fails the test and does not hang it."""
    event = threading.Event()
    timer = threading.Timer(15, event.set)
    timer.start()
    yield event
    timer.cancel()


@pytest.fixture
def picture(tmp_path: Path) -> bytes:
    path = tmp_path / "drawn.jpg"
    draw_fundus((150, 140)).save(path)
    return path.read_bytes()


def test_a_picture_that_is_being_written_is_waited_for(tmp_path: Path, picture: bytes) -> None:
    clock = Clock()
    held: dict[Path, State] = {}
    settling = Settling(lambda path, state: held.get(path) == state, 2.0, clock)
    path = tmp_path / "a"  # without a suffix: a picture by its first bytes, which are not there yet
    path.write_bytes(b"")
    settling.see(path)
    for number in range(1, 4):
        clock.now += 1.5
        with path.open("ab") as stream:
            stream.write(picture[(number - 1) * 500 : number * 500])
        settling.see(path)
        assert settling.ready() == []
    clock.now += 2.5
    with path.open("ab") as stream:  # of which no event has come yet
        stream.write(picture[1500:])
    assert settling.ready() == []
    clock.now += 1.9
    assert settling.ready() == []
    clock.now += 0.2
    [(found, state)] = settling.ready()
    assert (found, state[0]) == (path, len(picture))
    held[path] = state
    settling.see(path)
    clock.now += 9
    assert settling.ready() == []
    os.utime(path, ns=(0, 1))  # the same size, another time
    settling.see(path)
    clock.now += 9
    assert [path for path, _ in settling.ready()] == [path]


def test_what_is_gone_is_forgotten(tmp_path: Path, picture: bytes) -> None:
    clock = Clock()
    settling = Settling(lambda path, state: False, 2.0, clock)
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(picture)
        settling.see(tmp_path / name)
    (tmp_path / "a.jpg").unlink()
    settling.see(tmp_path / "missing.jpg")
    clock.now += 3
    assert [path.name for path, _ in settling.ready()] == ["b.jpg"]


@pytest.mark.parametrize("poll", [False, True])
def test_pictures_that_are_there_come_first_and_then_those_that_are_moved_in(
    tmp_path: Path,
    picture: bytes,
    stop: threading.Event,
    poll: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ophglm_core.arrivals._POLL_MS", 100)
    inbox, beside = tmp_path / "inbox", tmp_path / "beside"
    (inbox / "deep").mkdir(parents=True)
    (beside / "folder" / "in it").mkdir(parents=True)
    (inbox / "deep" / "old.jpg").write_bytes(picture)
    (beside / "new.jpg").write_bytes(picture)
    (beside / "folder" / "in it" / "third.jpg").write_bytes(picture)
    done: dict[Path, State] = {}
    looked: list[Path] = []

    def look(folder: Path) -> Iterator[Path]:
        looked.append(folder)
        return find_images(folder)

    monkeypatch.setattr("ophglm_core.arrivals.find_images", look)
    coming = arrivals(inbox, lambda p, s: done.get(p) == s, stop, settle=0.05, poll=poll)

    def come() -> list[str]:
        wave = next(coming, [])
        done.update(wave)
        return [path.relative_to(inbox).as_posix() for path, _ in wave]

    assert come() == ["deep/old.jpg"]
    (inbox / ".hidden.jpg").write_bytes(picture)
    (inbox / "notes.txt").write_text("no picture")
    os.rename(beside / "new.jpg", inbox / "new.jpg")
    assert come() == ["new.jpg"]
    os.rename(beside / "folder", inbox / "folder")
    assert come() == ["folder/in it/third.jpg"]
    os.rename(inbox / "new.jpg", inbox / "deep" / "old.jpg")  # another picture under an old name
    os.utime(inbox / "deep" / "old.jpg", ns=(5, 5))
    assert come() == ["deep/old.jpg"]
    assert looked.count(inbox) == 1  # the rest was told by the system
    stop.set()
    assert come() == []


def test_a_folder_that_the_system_cannot_watch_is_looked_through(
    tmp_path: Path, picture: bytes, stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    import watchfiles

    real = watchfiles.watch

    def watch(*paths: Path, force_polling: bool | None, **options: object) -> object:
        if not force_polling:
            raise OSError("OS file watch limit reached")
        return real(*paths, force_polling=True, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(watchfiles, "watch", watch)
    said: list[str] = []
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(picture)
    coming = arrivals(tmp_path / "in", lambda p, s: False, stop, settle=0.05, tell=said.append)
    assert [path.name for path, _ in next(coming)] == ["a.jpg"]
    assert "watch limit" in said[0]
