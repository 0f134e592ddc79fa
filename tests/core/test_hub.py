"""Models are fetched from a hub into its cache, go on where they were stopped, and are checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from ophglm_core import hub
from ophglm_core.errors import InputError, UsageError
from ophglm_core.llm_info import describe_llm
from ophglm_core.llm_source import LlmSource, find_llm

from ..hub_server import SmallHub, serving

_CARD = b"---\nlicense: apache-2.0\nlanguage:\n- en\n- zh\n---\n# A model\n"


@pytest.fixture(scope="module")
def weights(tiny_gguf: Path) -> bytes:
    return tiny_gguf.read_bytes()


@pytest.fixture
def small_hub(
    weights: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SmallHub]:
    header = {"w": {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]}}
    tensors = json.dumps(header).encode()
    held = {
        "some/gguf": {"README.md": _CARD, "tiny-Q4_K_M.gguf": weights},
        "some/several": {"a-Q4_K_M.gguf": weights, "a-Q8_0.gguf": weights[:-1] + b"\0"},
        "some/folder": {
            "README.md": _CARD,
            "config.json": b'{"model_type": "qwen2", "num_hidden_layers": 2, "hidden_size": 8}',
            "tokenizer_config.json": b'{"chat_template": "x"}',
            "model.safetensors": len(tensors).to_bytes(8, "little") + tensors + bytes(12),
            "pytorch_model.bin": b"pickle",
            "original/consolidated.safetensors": b"again",
        },
        "some/pickle": {"config.json": b"{}", "pytorch_model.bin": b"pickle"},
        "some/gated": {"config.json": b"{}", "model.safetensors": b"x" * 20},
    }
    with serving(SmallHub(held, gated={"some/gated"})) as served:
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "ENDPOINT", served.endpoint)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            served.endpoint + "/{repo_id}/resolve/{revision}/{filename}",
        )
        yield served


def test_a_gguf_is_fetched_found_and_removed(small_hub: SmallHub, weights: bytes) -> None:
    with pytest.raises(UsageError, match="ophglm models pull some/gguf"):
        find_llm("some/gguf")
    told: list[tuple[int, int]] = []
    path = hub.pull("some/gguf", progress=lambda done, total: told.append((done, total)))
    assert path.read_bytes() == weights
    total = len(weights) + len(_CARD)
    assert told[-1] == (total, total)
    assert told == sorted(told)
    asked = len(small_hub.asked)
    assert find_llm("some/gguf") == LlmSource("some/gguf", path)
    assert find_llm("some/gguf/tiny-Q4_K_M.gguf").path == path
    assert len(small_hub.asked) == asked  # nothing is downloaded, and nobody asked
    (held,) = hub.cached()
    assert (held.name, held.size) == ("some/gguf", len(weights))
    hub.pull("some/gguf")
    assert not [a for a in small_hub.asked[asked:] if a[0] == "GET" and a[1].endswith(".gguf")]
    assert hub.removable("some/gguf") == total
    hub.remove("some/gguf")
    assert hub.cached() == []
    with pytest.raises(UsageError, match="not in the hub's cache"):
        hub.remove("some/gguf")


def test_a_download_goes_on_where_it_was_stopped(
    small_hub: SmallHub, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop(BaseException):
        """What Ctrl-C raises, in a test."""

    def stop(done: int, total: int) -> None:
        if done > 100_000:
            raise Stop

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 50_000)
    with pytest.raises(Stop):
        hub.pull("some/gguf", progress=stop)
    with pytest.raises(UsageError, match="ophglm models pull"):
        find_llm("some/gguf")
    small_hub.asked.clear()
    small_hub.cut = 300_000  # and on a line that breaks, the client goes on by itself
    assert hub.pull("some/gguf").read_bytes() == weights
    starts = [int(r[6:].split("-")[0]) for _, _, r in small_hub.asked if r]
    assert starts[0] >= 100_000
    assert starts[1] == starts[0] + 300_000


def test_a_broken_file_is_not_kept(small_hub: SmallHub, weights: bytes) -> None:
    small_hub.wrong = True
    with pytest.raises(InputError, match="SHA-256"):
        hub.pull("some/gguf")
    small_hub.wrong = False
    path = hub.pull("some/gguf")
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(weights).digest()


def test_one_of_several_is_named(small_hub: SmallHub) -> None:
    with pytest.raises(UsageError, match=r"several.*a-Q4_K_M\.gguf.*a-Q8_0\.gguf"):
        hub.pull("some/several")
    with pytest.raises(UsageError, match="has no"):
        hub.pull("some/several", "*Q5*")
    small_hub.repositories["some/several"]["README.md"] = _CARD
    assert hub.pull("some/several", "*q8_0*").name == "a-Q8_0.gguf"
    assert find_llm("some/several").path.name == "a-Q8_0.gguf"
    hub.pull("some/several", "a-Q4_K_M.gguf")
    assert [m.name for m in hub.cached()] == [
        "some/several/a-Q4_K_M.gguf",
        "some/several/a-Q8_0.gguf",
    ]
    with pytest.raises(UsageError, match="several"):
        find_llm("some/several")
    assert find_llm("some/several/a-Q8_0.gguf").path.name == "a-Q8_0.gguf"


def test_hugging_face_s_form_comes_without_pickles(small_hub: SmallHub) -> None:
    folder = hub.pull("some/folder")
    names = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert names == {"README.md", "config.json", "tokenizer_config.json", "model.safetensors"}
    info = describe_llm(find_llm("some/folder"))
    assert info.parameters == 6
    assert info.languages == ("en", "zh")
    assert info.licence == "apache-2.0"
    assert info.instructs
    with pytest.raises(UsageError, match="neither"):
        hub.pull("some/pickle")


def test_what_a_hub_refuses(small_hub: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, words in (
        ("some/gated", "is gated: accept its terms"),
        ("some/nothing", "has no model some/nothing"),
        ("no such name", "No such language model"),
    ):
        with pytest.raises(UsageError, match=words):
            hub.pull(name)
    hub.pull("some/gguf")
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10}))
    with pytest.raises(InputError, match=r"needs .* GB, and .* free"):
        hub.pull("some/several", "*Q8*")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="HF_ENDPOINT"):
        hub.pull("some/folder")
    # What is there serves without the hub.
    assert hub.pull("some/gguf").name == "tiny-Q4_K_M.gguf"


def test_a_recommended_one_is_known_by_its_name(small_hub: SmallHub, weights: bytes) -> None:
    small_hub.repositories["bartowski/Qwen2.5-1.5B-Instruct-GGUF"] = {
        "Qwen2.5-1.5B-Instruct-Q4_K_M.gguf": weights,
        "Qwen2.5-1.5B-Instruct-Q8_0.gguf": weights[:-1] + b"\0",
    }
    with pytest.raises(UsageError, match=r"models pull qwen2\.5-1\.5b-instruct"):
        find_llm("qwen2.5-1.5b-instruct")
    path = hub.pull("qwen2.5-1.5b-instruct")
    assert path.name == "Qwen2.5-1.5B-Instruct-Q4_K_M.gguf"
    assert find_llm("qwen2.5-1.5b-instruct").path == path
