from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from ophglm_cli.main import app

from .conftest import OPHGLM, Run

_HEAVY = ("torch", "transformers", "timm", "peft", "torchvision", "accelerate", "sklearn")
#: Runs the console script's entry point and then says which heavy modules were imported.
_WATCH = f"""
import sys
sys.argv = ["ophglm", *sys.argv[1:]]
from ophglm_cli.main import main
try:
    main()
except SystemExit as leave:
    code = leave.code
print("HEAVY", sorted(set(sys.modules) & set({_HEAVY!r})), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.alone
def test_help_is_quick(ophglm: Run) -> None:
    ophglm("--help")
    times = []
    for _ in range(5):
        began = time.perf_counter()
        result = ophglm("--help")
        times.append(time.perf_counter() - began)
        assert result.returncode == 0
    for command in ("train-encoder", "classify", "chat"):
        assert command in result.stdout
    assert min(times) < 0.5, times


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["classify", "sample"],
        ["chat", "--image", "sample", "--prompt", "What do you see?"],
    ],
)
def test_nothing_on_the_way_imports_torch(arguments: list[str], tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", _WATCH, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert result.returncode == 0, result.stderr
    assert "HEAVY []" in result.stderr


@pytest.mark.alone
def test_first_word_comes_within_three_seconds() -> None:
    times = []
    for _ in range(3):
        began = time.perf_counter()
        with subprocess.Popen(
            [str(OPHGLM), "chat", "--image", "sample", "--prompt", "What do you see?"],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("From the photograph"):
                    times.append(time.perf_counter() - began)
                    break
            process.stdout.read()
        assert process.returncode == 0
    assert min(times) < 3.0, times


def test_the_summary_of_each_command_is_its_help() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        whole = command.load()
        assert command.help == whole.help.split("\n\n")[0], name
        assert whole.name == name


def test_nothing_is_told_to_anybody(ophglm: Run, tmp_path: Path) -> None:
    """ONNX Runtime's telemetry begins with a file of its own beside the temporary ones."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    told = ophglm("classify", "sample", env={"TMPDIR": str(temporary)})
    assert told.returncode == 0
    assert list(temporary.iterdir()) == []


def test_help_imports_no_command() -> None:
    watch = _WATCH.replace("set(sys.modules) &", "{n for n in sys.modules if 'ophglm_cli.' in n} -")
    watch = watch.replace(repr(_HEAVY), "('ophglm_cli.main', 'ophglm_cli.lazy')")
    result = subprocess.run(
        [sys.executable, "-c", watch, "--help"], capture_output=True, text=True, timeout=60
    )
    assert "HEAVY []" in result.stderr


def test_unknown_command_is_wrong_usage(ophglm: Run) -> None:
    assert ophglm("clasify", "x").returncode == 2
    assert ophglm("classify").returncode == 2
    assert ophglm("--version").stdout.startswith("ophglm ")
