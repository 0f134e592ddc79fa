from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ophglm_core import classification_report
from ophglm_core.classification_report import MOST_LISTED, MOST_SHOWN, ClassificationReport
from ophglm_core.conditions import DEFAULT_LABELS, default_labels
from ophglm_core.findings import NOTICE, Findings

from ..conftest import draw_fundus

_WHEN = datetime(2026, 5, 3, 12, 30)


def make() -> ClassificationReport:
    return ClassificationReport(default_labels(), dict.fromkeys(DEFAULT_LABELS, 0.3), 0.25, "m 1")


def found(name: str, probability: float, label: str = "dr", grade: int = 2) -> Findings:
    probabilities = dict.fromkeys(DEFAULT_LABELS, 0.0) | {label: probability}
    return Findings(
        name, "ok", "m 1", probabilities, [label], grade, referable=grade > 1, laterality="left"
    )


def captions(page: str) -> list[str]:
    return re.findall(r"<figcaption>.*?<br>(.*?)</figcaption>", page)


@pytest.fixture
def thumbnails(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Which pictures a thumbnail was made of."""
    made: list[object] = []
    monkeypatch.setattr(classification_report, "_thumbnail", lambda p: made.append(p) or "AA==")
    return made


def test_the_most_probable_are_shown_and_no_more_is_kept(thumbnails: list[object]) -> None:
    order = np.random.default_rng(0).permutation(1000).tolist()
    report = make()
    for number in order:
        report.add(found(f"{number:04d}.jpg", number / 1000, grade=number % 5).to_json())
    page = report.html(when=_WHEN)
    assert captions(page) == [f"{999 - n:04d}.jpg" for n in range(MOST_SHOWN)]
    assert len(thumbnails) == MOST_SHOWN
    held = report._found["dr"]  # what memory depends on
    assert len(held.entries) == MOST_SHOWN
    assert f"1000 flagged, the {MOST_SHOWN} most probable of them here" in page
    assert re.findall(r"moderate non-proliferative</td><td>(\d+)", page) == ["200"]
    assert "<td>referable</td><td>600 (60.0 % of the classified)</td>" in page


def test_rows_kept_from_before_give_the_same_page_in_any_order(thumbnails: list[object]) -> None:
    rows = [found(f"{n}.jpg", 0.5, "dr" if n % 3 else "amd").to_json() for n in range(100)]
    rows += [
        Findings(f"u{n}", "ungradable", "m", message="Not graded: it is too dark.").to_json()
        for n in range(MOST_LISTED + 30)
    ]
    one, other = make(), make()
    for row in rows:
        one.add(row)
    for row in rows[50:] + rows[:50]:
        other.add(row)
    page = one.html(when=_WHEN)
    assert page == other.html(when=_WHEN)
    assert "it is too dark 230" in page
    assert "And 30 more." in page


def test_names_are_escaped_and_nothing_is_fetched(tmp_path: Path) -> None:
    name = "<script>alert(1)</script> & \"b'.jpg"
    picture = tmp_path / "fundus.png"
    draw_fundus((400, 300)).save(picture)
    report = make()
    report.add(found(name, 0.996).to_json(), picture)
    report.add(Findings("<img src=x>", "error", "", message="<b>no</b> picture").to_json())
    page = report.html({".txt": 3, "hidden": 0})
    assert "<script" not in page
    assert "<img src=x>" not in page
    assert "<b>no</b>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp;" in page
    fetched = re.findall(r"(?:src|href)\s*=\s*(\S{24})", page)
    assert fetched == ['"data:image/jpeg;base64,']
    assert "url(" not in page
    assert page.count(NOTICE) == 1
    assert "over 99%" in page
    assert "left eye" in page
    assert "<h2>Diabetic retinopathy</h2>" in page
    assert "Passed over: 3 .txt." in page


def test_a_thumbnail_is_a_small_jpeg_of_the_retina(tmp_path: Path) -> None:
    import base64
    import io

    picture = tmp_path / "fundus.jpg"
    draw_fundus((900, 600)).save(picture)
    report = make()
    report.add(found(str(picture), 0.5).to_json())
    [encoded] = re.findall(r"base64,([^\"]+)", report.html())
    content = base64.b64decode(encoded)
    assert len(content) < 15_000
    shown = Image.open(io.BytesIO(content))
    assert shown.format == "JPEG"
    assert shown.size == (150, 150)
    assert np.asarray(shown)[75, 30].max() > 100  # retina up to the edge, not the surround


def test_what_is_gone_since_is_named_without_its_picture() -> None:
    report = make()
    report.add(found("gone.jpg", 0.5).to_json())
    page = report.html()
    assert "can no longer be read" in page
    assert captions(page) == ["gone.jpg"]


def test_a_run_without_pictures_and_a_model_without_grades() -> None:
    page = ClassificationReport(default_labels(), dict.fromkeys(DEFAULT_LABELS, 0.3)).html()
    assert "Classification of 0 photographs" in page
    assert "ICDR" not in page
    assert "eferable" not in page
