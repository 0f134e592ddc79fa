"""The page's program over HTTP, with the model that ships."""

from __future__ import annotations

import io
import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from .conftest import Run
from .serving import Served, serving

pytest.importorskip("starlette", reason="the extra 'serve' is not installed")
pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("serve")) as served:
        yield served


@pytest.fixture(scope="module")
def opened(start_server: Served, sample: Path) -> str:
    at = start_server.open()
    start_server.upload(at, sample, "retina left.jpg")
    return at


def test_only_who_has_the_address_is_answered(start_server: Served) -> None:
    for root in (
        "/",
        "/x/",
        f"{start_server.path[:-2]}/",
        "/%C3%A9%FF/",
    ):
        response, content = start_server.ask("texts", root=root)
        assert response.status == 403, root
        assert b"whole address" in content
    response, _ = start_server.ask("", root=start_server.path.rstrip("/"))
    assert response.headers["location"].endswith(start_server.path)
    for host in (
        "evil.example",
        "evil.example:80",
        f"127.0.0.1.evil.example:{start_server.port}",
        "",
    ):
        response, _ = start_server.ask("texts", headers={"Host": host})
        assert response.status == 400, host
    for host in ("localhost", f"127.0.0.1:{start_server.port}"):
        response, _ = start_server.ask("texts", headers={"Host": host})
        assert response.status == 200, host
    assert len(start_server.path) >= 32


def test_it_is_bound_to_the_loopback_alone(start_server: Served) -> None:
    listening = [
        line.split()[1]
        for name in ("tcp", "tcp6")
        if Path("/proc/net", name).exists()
        for line in Path("/proc/net", name).read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{start_server.port:04X}")
    ]
    if not listening:
        pytest.skip("this system has no /proc/net/tcp")
    assert listening == [f"0100007F:{start_server.port:04X}"]


def test_the_page_takes_nothing_from_elsewhere(start_server: Served) -> None:
    response, page = start_server.ask("")
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-store"
    for name in ("", "page.js", "answer.js", "page.css"):
        response, content = start_server.ask(name)
        assert response.status == 200
        assert b"://" not in content
    assert b"<script>" not in page
    assert b"style=" not in page
    texts = start_server.values("texts")["texts"]
    assert texts["en"].keys() == texts["zh"].keys()
    for key in {*page.decode().split('data-text="')[1:]}:
        assert key.split('"')[0] in texts["en"]


def test_findings_pictures_and_both_languages(start_server: Served, opened: str) -> None:
    shown = start_server.values(opened)
    assert shown["notice"].startswith("Decision support")
    (photograph,) = shown["photographs"]
    assert photograph["name"] == "retina left.jpg"
    assert photograph["side"] == "left"
    rows = {row["label"]: row for row in photograph["rows"]}
    assert set(shown["found"]) <= {label for label, row in rows.items() if row["positive"]}
    assert 0 < rows["dr"]["fraction"] < 1
    assert 0 < rows["dr"]["from"] < 1
    chinese = start_server.values(f"{opened}?lang=zh")
    assert "不构成诊断" in chinese["notice"]
    assert {r["name"] for r in chinese["photographs"][0]["rows"]} >= {"糖尿病视网膜病变"}
    at = f"{opened}/photographs/{photograph['key']}"
    response, content = start_server.ask(at)
    assert response.headers["content-type"] == "image/jpeg"
    picture = Image.open(io.BytesIO(content))
    response, content = start_server.ask(f"{at}/heat/dr")
    assert response.headers["content-type"] == "image/png"
    layer = Image.open(io.BytesIO(content))
    assert layer.size == picture.size
    strength = np.asarray(layer)[..., 3]
    assert strength.max() > 100
    assert strength[0, 0] == 0  # the surround
    assert start_server.ask(f"{at}/heat/nothing")[0].status == 422
    named = start_server.values(f"{at}/eye", "POST", {"eye": "right"})
    assert named["photographs"][0]["eye"] == "right eye"
    assert start_server.ask(f"{at}/eye", "POST", {"eye": "third"})[0].status == 400


def test_only_what_was_uploaded_is_served(start_server: Served, opened: str) -> None:
    for path in (
        "../../etc/passwd",
        "..%2f..%2fetc/passwd",
        "page.css/../../app.py",
        "%2e%2e/app.py",
        "static/page.js",
        f"{opened}/photographs/..%2f..%2fetc%2fpasswd",
        f"{opened}/photographs/%2fetc%2fpasswd",
        "consultations/other",
    ):
        response, content = start_server.ask(path)
        assert response.status == 404, path
        assert b"root:" not in content
    other = start_server.open()
    key = start_server.values(opened)["photographs"][0]["key"]
    assert start_server.ask(f"{other}/photographs/{key}")[0].status == 404  # another tab's


def test_conversations_are_apart_and_stream(start_server: Served, opened: str) -> None:
    told = list(start_server.answer(opened, "What causes glaucoma?"))
    assert told[0] == {"step": "wait"}
    assert told[-1] == {"complete": True}
    parts = [line["part"] for line in told if "part" in line]
    assert parts[0]["heading"] == "Known in general"
    assert "pressure" in " ".join(part["text"] for part in parts)
    assert parts[0]["source"]
    (turn,) = start_server.values(opened)["turns"]
    assert turn == {"question": "What causes glaucoma?", "parts": parts, "complete": True}
    other = start_server.open()
    list(start_server.answer(other, "青光眼是什么？"))
    flagged = list(start_server.answer(other, "Sudden loss of vision in one eye"))
    assert [p["part"]["kind"] for p in flagged if "part" in p] == ["red_flag"]
    assert len(start_server.values(other)["turns"]) == 2
    assert len(start_server.values(opened)["turns"]) == 1
    # "it" is what this tab spoke of, though another one was heard in between.
    followed = list(start_server.answer(opened, "Is it hereditary?"))
    assert any("famil" in p["part"]["text"].lower() for p in followed if "part" in p)
    start_server.values(f"{opened}/clear", "POST")
    assert start_server.values(opened)["turns"] == []


def test_questions_at_the_same_time_are_answered_one_after_the_other(start_server: Served) -> None:
    tabs = [start_server.open() for _ in range(3)]
    answers: dict[str, list[dict[str, object]]] = {}

    def ask(tab: str) -> None:
        answers[tab] = list(
            start_server.answer(tab, "What is the treatment of diabetic retinopathy?")
        )

    threads = [Thread(target=ask, args=(tab,)) for tab in tabs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    first, *others = ([line for line in answers[tab] if "part" in line] for tab in tabs)
    assert first
    assert others == [first, first]  # each as if it had been alone


def test_an_answer_is_stopped_and_what_was_said_is_kept(start_server: Served, opened: str) -> None:
    question = "What is the treatment of diabetic retinopathy?"
    lines = start_server.answer(opened, question)
    told = [next(line for line in lines if "part" in line)]
    assert start_server.ask(f"{opened}/answers", "POST", {"question": "x"})[0].status == 409
    assert start_server.ask(f"{opened}/stop", "POST")[0].status == 204
    told += lines
    assert told[-1] == {"complete": False}
    last = start_server.values(opened)["turns"][-1]
    assert last["question"] == question
    assert last["parts"] == [line["part"] for line in told if "part" in line]
    # So does closing the page, and the conversation goes on.
    lines = start_server.answer(opened, question)
    next(line for line in lines if "part" in line)
    lines.close()
    for _ in range(100):
        response, _ = start_server.ask(f"{opened}/answers", "POST", {"question": "In one sentence"})
        if response.status != 409:
            break
    assert response.status == 200


def test_what_cannot_be_used_is_said_in_a_sentence(
    start_server: Served, photographs: Path, sample: Path, opened: str
) -> None:
    before = start_server.values(opened)
    for name, content, status, words in (
        ("notes.jpg", (photographs / "notes.jpg").read_bytes(), 422, "notes.jpg is not a picture"),
        ("../../a\n.jpg", (photographs / "broken.jpg").read_bytes(), 422, "a.jpg is a broken"),
        ("empty.jpg", b"", 400, "The file is empty"),
    ):
        at = f"{opened}/photographs?name={name.replace(chr(10), '%0A')}"
        response, said = start_server.ask(at, "POST", content)
        assert response.status == status, name
        assert json.loads(said)["error"].startswith(words)
    assert start_server.values(opened) == before
    large = {"Content-Length": str(1 << 40)}
    response, said = start_server.ask(f"{opened}/photographs?name=a.jpg", "POST", b"", large)
    assert response.status == 413
    assert "128 MB" in json.loads(said)["error"]
    for body, status in (({"question": " "}, 400), (b"no JSON", 400), (b"[]", 400)):
        assert start_server.ask(f"{opened}/answers", "POST", body)[0].status == status
    long = "Is there more to say of the eye? " * 900
    told = list(start_server.answer(opened, long))
    assert [t["part"]["text"] for t in told if t.get("part", {}).get("kind") == "remark"]
    assert told[-1]["complete"]
    both = start_server.upload(opened, photographs / "one_left.jpg", "one_left.jpg", beside=True)
    assert [p["side"] for p in both["photographs"]] == ["right", "left"]
    response, said = start_server.ask(
        f"{opened}/photographs?name=c.png&beside=1", "POST", (photographs / "two.png").read_bytes()
    )
    assert "Two photographs are open" in json.loads(said)["error"]


def test_the_report_is_the_chat_s(start_server: Served, opened: str) -> None:
    list(start_server.answer(opened, "What is <b>glaucoma</b>?"))
    response, page = start_server.ask(f"{opened}/report.html?lang=zh")
    assert (
        "default-src 'none'; style-src 'unsafe-inline'"
        in response.headers["content-security-policy"]
    )
    assert "不构成诊断" in page.decode()
    assert b"data:image/jpeg;base64," in page
    assert b"<b>glaucoma" not in page
    response, text = start_server.ask(f"{opened}/report.json?save=1")
    assert response.headers["content-disposition"].startswith('attachment; filename="ophglm-report')
    values = json.loads(text)
    assert values["conversation"][-1]["question"] == "What is <b>glaucoma</b>?"
    assert "/" not in values["findings"][0]["image"]
    assert start_server.ask(f"{opened}/report.md")[1].startswith(b"#")
    assert start_server.ask(f"{opened}/report.exe")[0].status == 404


def test_a_new_patient_forgets_the_one_before(start_server: Served, sample: Path) -> None:
    at = start_server.open()
    shown = start_server.upload(at, sample, "gone.jpg")
    key = shown["photographs"][0]["key"]
    assert start_server.ask(at, "DELETE")[0].status == 204
    assert start_server.ask(at)[0].status == 404
    assert start_server.ask(f"{at}/photographs/{key}")[0].status == 404


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_that_was_uploaded_is_left(end: int, tmp_path: Path, sample: Path) -> None:
    with serving(tmp_path, end=end) as served:
        at = served.open()
        served.upload(at, sample, "one.jpg")
        (folder,) = tmp_path.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert [p.name for p in folder.rglob("*.jpg")] == ["one.jpg"]
        served.upload(at, sample, "other.jpg")
        assert [p.name for p in folder.rglob("*.jpg")] == ["other.jpg"]
    assert list(tmp_path.iterdir()) == []
    # SIGHUP is passed on as SIGTERM.
    assert served.process.returncode in (0, -end, -signal.SIGTERM)


def test_wrong_usage(ophglm: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = ophglm("serve", "--port", port)
    assert result.returncode == 2
    said = f"ophglm: Port {port} cannot be used (Address already in use); name another one with "
    assert result.stderr == f"{said}--port.\n"
    assert ophglm("serve", "--lang", "fr").returncode == 2
    assert ophglm("serve", "--model", "nowhere").returncode == 2
