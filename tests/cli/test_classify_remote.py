"""`ophglm classify` on addresses: fsspec's store in memory, and a web server on this machine."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from ophglm_core import remote_files
from ophglm_core.inputs import Shard, collect
from ophglm_core.remote_files import path_of

from ..conftest import draw_fundus
from .conftest import MadeUp, Run

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def store(folder: Path) -> Iterator[Any]:
    """A store whose `memory://many` holds what the folder holds."""
    memory = fsspec.filesystem("memory")
    for path in folder.iterdir():
        memory.pipe(f"/many/{path.name}", path.read_bytes())
    yield memory
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


@pytest.fixture
def web(folder: Path) -> Iterator[str]:
    """A web server with the folder's files, which does not say how large `unsaid.png` is."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def send_header(self, keyword: str, value: str) -> None:
            if not (keyword == "Content-Length" and "unsaid" in self.path):
                super().send_header(keyword, value)

        def do_GET(self) -> None:
            if self.path.startswith("/closed"):
                self.send_error(403)
            else:
                super().do_GET()

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def rows_of(run: Run, *arguments: str | Path) -> list[dict[str, Any]]:
    result = run(*arguments, "--format", "jsonl", "--quiet")
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_folder_of_a_store_gives_what_its_copy_gives(run: Run, folder: Path, store: Any) -> None:
    picture = (folder / "0.png").read_bytes()
    store.pipe("/many/deeper/眼 OD", picture)
    store.pipe("/many/deeper/broken.jpg", picture[:300])
    store.pipe("/many/notes.txt", b"-")
    store.pipe("/many/.hidden/0.png", picture)
    result = run("memory://many/", "--format", "jsonl")
    rows = {row["image"]: row for row in map(json.loads, result.stdout.splitlines())}
    names = ["0.png", "1.png", "2.png", "3.png", "deeper/broken.jpg", "deeper/眼 OD"]
    assert list(rows) == [f"memory://many/{name}" for name in names]
    assert [row["status"] for row in rows.values()] == [*["ok"] * 4, "error", "ok"]
    assert "broken picture" in rows["memory://many/deeper/broken.jpg"]["message"]
    plain = rows_of(run, folder)
    assert [row["probabilities"] for row in plain] == [
        rows[f"memory://many/{n}.png"]["probabilities"] for n in range(4)
    ]
    assert "1 hidden" in result.stderr
    assert "1 .txt" in result.stderr


def test_a_list_of_addresses(run: Run, folder: Path, store: Any, web: str) -> None:
    (folder / "unsaid.png").write_bytes((folder / "0.png").read_bytes())
    names = ["memory://many/0.png", f"{web}/1.png?size=full", f"{web}/unsaid.png", "2.png"]
    broken = [f"{web}/gone.png", f"{web}/closed.png", "memory://gone/0.png", "http://[/a.png"]
    (folder / "list.txt").write_text("\n".join([*names, *broken]), encoding="utf-8")
    rows = rows_of(run, folder / "list.txt")
    assert [row["image"] for row in rows] == [*names[:3], str(folder / "2.png"), *broken]
    assert [row["status"] for row in rows] == [*["ok"] * 4, *["error"] * 4]
    messages = [row["message"] for row in rows[4:]]
    assert messages[0] == f"No such file: {broken[0]}."
    assert "403" in messages[1]
    assert messages[2] == f"No such file: {broken[2]}."
    assert all("\n" not in message and message.endswith(".") for message in messages)


def test_too_large_is_not_fetched(
    run: Run, folder: Path, store: Any, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "unsaid.png").write_bytes((folder / "0.png").read_bytes())
    monkeypatch.setattr(remote_files, "MOST_UNSAID", 100)
    [unsaid] = rows_of(run, f"{web}/unsaid.png")
    assert "does not say how large" in unsaid["message"]
    monkeypatch.setattr(remote_files, "MOST_BYTES", 100)
    monkeypatch.setattr(remote_files, "read_start", lambda *_: pytest.fail("fetched"))
    for row in rows_of(run, f"{web}/0.png", "memory://many/0.png"):
        assert row["status"] == "error"
        assert "is larger than" in row["message"]


def test_a_stopped_run_goes_on_unless_the_store_has_another_file(
    run: Run, made_up: MadeUp, folder: Path, store: Any, web: str
) -> None:
    (folder / "list.txt").write_text("\n".join(f"{web}/{n}.png" for n in range(4)))
    cases = (
        ("memory://many", lambda data: store.pipe("/many/1.png", data)),
        (folder / "list.txt", (folder / "1.png").write_bytes),
    )
    for number, (given, change) in enumerate(cases):
        made_up.stop_after = 2
        assert run(given, "--out", f"{number}.csv").exit_code == 130
        made_up.stop_after = 10**9
        made_up.seen.clear()
        changed = io.BytesIO()
        draw_fundus((180, 170), seed=9).save(changed, "PNG")
        change(changed.getvalue())
        result = run(given, "--out", f"{number}.csv")
        assert result.exit_code == 0, result.stderr
        assert made_up.seen == ["1.png", "2.png", "3.png"]


def no_room(local: BinaryIO, stream: BinaryIO, _: int) -> None:
    stream.write(local.read(10))
    raise OSError("no room")


def test_rows_on_a_store_are_there_when_they_are_whole(
    run: Run, made_up: MadeUp, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = "memory://results/run 1/rows.csv"
    part = Path("memory-results-run-1-rows.csv.part")
    made_up.stop_after = 2
    stopped = run("memory://many", "--out", out)
    assert stopped.exit_code == 130
    assert str(part) in stopped.stderr
    assert part.exists()
    assert not store.exists("/results")
    made_up.stop_after = 10**9
    made_up.seen.clear()
    with monkeypatch.context() as patch:
        patch.setattr("ophglm_core.remote_files.shutil.copyfileobj", no_room)
        refused = run("memory://many", "--out", out)
    assert refused.exit_code == 1
    assert "cannot be written (no room); what was found is kept" in refused.stderr
    assert not store.exists("/results")
    made_up.seen.clear()
    assert run("memory://many", "--out", out).exit_code == 0
    assert made_up.seen == []
    with store.open("/results/run 1/rows.csv", "rt", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["image"] for row in rows] == [f"memory://many/{n}.png" for n in range(4)]
    record = json.loads(store.cat("/results/run 1/rows.csv.run.json"))
    assert record["status"] == {"ok": 4}
    assert not list(Path().iterdir())
    assert run("memory://many", "--out", out).exit_code == 2


def test_what_bars_the_way_is_one_sentence(run: Run, store: Any, web: str) -> None:
    for arguments, code, sentence in (
        (["memory://nowhere"], 1, "No such file: memory://nowhere."),
        (["memory://many/list.csv"], 1, "fetch it"),
        (["nonsense://a/b.png"], 1, "nonsense"),
        (["memory://many", "--out", f"{web}/rows.csv"], 1, "cannot be written"),
        (["memory://many", "--report", "memory://a/run.html"], 2, "on this disk"),
        (["memory://many", "--heatmaps", "memory://maps"], 2, "on this disk"),
    ):
        result = run(*arguments)
        assert result.exit_code == code, arguments
        assert sentence in result.stderr
        assert "Traceback" not in result.stderr


def test_parts_of_a_run_are_the_same_wherever_it_is_started(
    folder: Path, store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "list.txt").write_text("\n".join(f"memory://many/{n}.png" for n in range(4)))
    found = []
    for place in (tmp_path, folder):
        monkeypatch.chdir(place)
        parts = [collect([folder / "list.txt"], Shard(n, 3)).pictures for n in (1, 2, 3)]
        assert sum(map(len, parts)) == 4
        found.append(parts)
    assert found[0] == found[1]


def test_what_is_an_address() -> None:
    assert str(path_of("s3://bucket//a/./b.jpg")) == "s3://bucket//a/./b.jpg"
    assert path_of("file:///a/b%20c.jpg") == Path("/a/b c.jpg")
    assert type(path_of("C://a.jpg")) is type(Path())
    web = path_of("https://host/a_OD.jpg?as=b.png")
    assert (web.name, web.suffix, web.stem) == ("a_OD.jpg", ".jpg", "a_OD")
