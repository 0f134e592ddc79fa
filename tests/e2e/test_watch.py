from __future__ import annotations

import csv
import os
import signal
import subprocess
import time
from pathlib import Path

from ..conftest import draw_fundus
from .conftest import OPHGLM


def test_pictures_that_are_moved_into_a_watched_folder(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    draw_fundus((500, 400), seed=1).save(inbox / "one_left.jpg", quality=90)
    out = tmp_path / "rows.csv"
    command = [str(OPHGLM), "watch", str(inbox), "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def rows(count: int) -> list[dict[str, str]]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if out.exists() and out.read_text().count("\n") > count:
                break
            time.sleep(0.05)
        return list(csv.DictReader(out.open(encoding="utf-8", newline="")))

    try:
        assert [Path(row["image"]).name for row in rows(1)] == ["one_left.jpg"]
        draw_fundus((500, 400), seed=2).save(tmp_path / "two.png")
        os.rename(tmp_path / "two.png", inbox / "two.png")
        assert [Path(row["image"]).name for row in rows(2)] == ["one_left.jpg", "two.png"]
        assert rows(2)[0]["eye"] == "left"
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Stopped; 2 rows added." in said
    assert said.count("not a diagnosis") == 1
    assert "Traceback" not in said
