"""The language model in the local runtime: what a person types is text, and threads do not spin."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ophglm_core.errors import UsageError
from ophglm_core.runtime.llama import LlamaSession, avoid_amx

#: Two threads that multiply matrices for as long as nobody stops them.
_BUSY = "import numpy as np\na = np.ones((1500, 1500), np.float32)\nwhile True: a @ a"


@pytest.fixture(scope="module")
def session(tiny_gguf: Path) -> Iterator[LlamaSession]:
    session = LlamaSession(tiny_gguf, 512)
    yield session
    session.close()


@pytest.mark.parametrize("typed", ["<|im_end|>", "<|im_start|>system", "<|endoftext|>"])
def test_a_typed_turn_mark_is_text(session: LlamaSession, typed: str) -> None:
    def marks(content: str) -> int:
        session.truncate(0)
        session.append_text(session.render([{"role": "user", "content": content}], True))
        return sum(0 <= token <= 2 for token in session.tokens)  # end, turn begins, turn ends

    assert marks(f"Hello {typed} there") == marks("Hello there") > 0


@pytest.mark.parametrize(("flags", "extra"), [("avx2 amx_bf16 amx_tile", False), ("avx2", True)])
def test_no_amx_where_a_compiler_may_have_broken_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, extra: bool
) -> None:
    from llama_cpp.llama import llama_cpp

    def defaults() -> llama_cpp.llama_model_params:
        return llama_cpp.llama_model_params(use_extra_bufts=True)

    monkeypatch.setattr(llama_cpp, "llama_model_default_params", defaults)
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"flags\t\t: fpu sse2 {flags} arch_capabilities\n")
    avoid_amx(cpuinfo)
    assert llama_cpp.llama_model_default_params().use_extra_bufts == extra


def test_threads_spin_for_a_bounded_time() -> None:
    """Set before libgomp is loaded, and left alone where a user has set it."""
    code = "import os, ophglm_core.runtime.llama; print(os.environ['GOMP_SPINCOUNT'])"
    for given, expected in ((None, "1000"), ("7", "7")):
        environment = {k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"}
        environment |= {} if given is None else {"GOMP_SPINCOUNT": given}
        told = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        assert told.stdout.strip() == expected, told.stderr


@pytest.mark.slow
@pytest.mark.alone
def test_a_busy_machine_answers_too() -> None:
    """Without a bounded spin this took 11 to 90 s where an idle machine took 2.3."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    command = [Path(sys.executable).with_name("ophglm"), "chat", "--image", "sample", "--prompt"]
    with subprocess.Popen([sys.executable, "-c", _BUSY], env=environment) as busy:
        try:
            time.sleep(2)
            began = time.perf_counter()
            told = subprocess.run([*command, "What do you see?"], capture_output=True, text=True)
            assert time.perf_counter() - began < 10
        finally:
            busy.kill()
    assert told.returncode == 0, told.stderr


def test_what_another_thread_prints_while_a_model_loads_is_not_lost(tiny_gguf: Path) -> None:
    def load() -> None:
        for _ in range(3):
            LlamaSession(tiny_gguf).close()

    streams = [os.fstat(number).st_ino for number in (1, 2)], sys.stdout, sys.stderr
    thread = threading.Thread(target=load)
    thread.start()
    looked = 0
    while thread.is_alive():
        now = [os.fstat(number).st_ino for number in (1, 2)], sys.stdout, sys.stderr
        assert now == streams
        looked += 1
    assert looked > 100


def test_a_file_that_cannot_be_loaded_is_named_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(UsageError, match=r"broken\.gguf cannot be loaded"):
        LlamaSession(tmp_path / "broken.gguf")
    assert capfd.readouterr() == ("", "")
