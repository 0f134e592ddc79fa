from __future__ import annotations

import csv
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ..core.test_dicom import dataset
from ..dicom_sender import SECONDARY_CAPTURE, association, store
from .conftest import OPHGLM

pytest.importorskip("pynetdicom")


def test_photographs_that_are_sent_have_rows(tmp_path: Path, sample: Path) -> None:
    inbox, out = tmp_path / "inbox", tmp_path / "rows.csv"
    command = [str(OPHGLM), "listen", str(inbox), "--out", str(out), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    pixels = np.asarray(Image.open(sample).convert("RGB").reduce(2))
    photograph = dataset(pixels, PatientID="7", ImageLaterality="L")
    capture = dataset(pixels, SOPClassUID=SECONDARY_CAPTURE, PatientID="8", Laterality="R")
    broken = dataset(pixels, PatientID="9", PixelData=pixels.tobytes()[:1000])
    try:
        assert process.stderr is not None
        said = process.stderr.readline() + process.stderr.readline()
        found = re.search(r"Listening on 127\.0\.0\.1:(\d+) as OPHGLM", said)
        assert found, said
        address = "127.0.0.1", int(found[1])
        with association(address, "OTHER") as refused:
            assert refused.is_rejected
        with association(address) as made:
            assert made.send_c_echo().Status == 0
        assert store(address, photograph, capture, broken) == [0, 0, 0]
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and out.read_text().count("\n") < 4:
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    rows = {Path(r["image"]).stem: r for r in csv.DictReader(out.open(encoding="utf-8"))}
    assert set(rows) == {made.SOPInstanceUID for made in (photograph, capture, broken)}
    row = rows[photograph.SOPInstanceUID]
    assert (row["status"], row["patient"], row["eye"]) == ("ok", "7", "left")
    row = rows[capture.SOPInstanceUID]
    assert (row["status"], row["patient"], row["eye"]) == ("ok", "8", "right")
    assert rows[broken.SOPInstanceUID]["status"] == "error"
    assert "it calls OTHER" in said
    assert "Stopped; 3 rows added." in said
    assert "Traceback" not in said
