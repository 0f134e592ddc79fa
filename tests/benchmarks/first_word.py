"""First word and decoding speed of `ophglm chat --prompt`, beside llama-cpp-python's own loop.

    python -m tests.benchmarks.first_word [RUNS] [QUESTION]

In one run, in turns, each in a process of its own, with the same GGUF, adapter, prompt and number
of threads:

- ophglm: `ophglm chat --prompt QUESTION`.
- loop: the tokens of the prompt that ophglm made, given to `Llama.generate` with all else as
  llama-cpp-python sets it, for as many tokens as ophglm took.
- with a photograph: `ophglm chat --image sample --prompt QUESTION`, which also reads it; its prompt
  holds the findings besides.

Printed are medians, in seconds from the start of the process to the first letter of the answer on
stdout and to the language model's first token, and the tokens a second from that to the last.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

QUESTION = "What is diabetic retinopathy?"
_ANSWER = b"\nKnown in general"


@dataclass(frozen=True)
class Measured:
    """One process: seconds to the first letter (None: not looked for) and to the first token, and
    tokens a second."""

    letter: float | None
    token: float
    rate: float


def run_ophglm(record: Path, arguments: list[str]) -> None:
    """Run `ophglm`, and write to `record` when the language model wrote, and from what."""
    from ophglm_cli.main import app
    from ophglm_core.runtime.llama import LlamaSession

    init, generate = LlamaSession.__init__, LlamaSession.generate

    def noted_init(self: Any, path: Path, context: int, adapter: Path | None, *rest: Any) -> None:
        init(self, path, context, adapter, *rest)
        self.opened = {"path": str(path), "adapter": adapter and str(adapter), "context": context}

    def noted(self: Any, limit: int, *decoding: Any) -> Iterator[str]:
        prompt, times = list(self.tokens), []
        try:
            for piece in generate(self, limit, *decoding):
                times.append((time.monotonic(), len(self.tokens) - len(prompt)))
                yield piece
        finally:
            if times and not record.exists():
                held = {"prompt": prompt, "times": times, "threads": self._llama.n_threads}
                record.write_text(json.dumps(self.opened | held))

    LlamaSession.__init__ = noted_init  # type: ignore[assignment, method-assign]
    LlamaSession.generate = noted  # type: ignore[method-assign]
    app(arguments)


def run_loop(asked: Path, record: Path) -> None:
    """Continue a prompt as llama-cpp-python's documentation does."""
    from llama_cpp import Llama

    from ophglm_core.runtime.llama import avoid_amx

    avoid_amx()
    values = json.loads(asked.read_text())
    threads = values["threads"]
    llama = Llama(
        values["path"],
        n_ctx=values["context"],
        n_threads=threads,
        n_threads_batch=threads,
        lora_path=values["adapter"],
        verbose=False,
    )
    times: list[tuple[float, int]] = []
    for number, token in enumerate(llama.generate(values["prompt"], temp=0.0, repeat_penalty=1.1)):
        sys.stdout.write(llama.detokenize([token]).decode("utf-8", "ignore"))
        sys.stdout.flush()
        times.append((time.monotonic(), number + 1))
        if number + 1 >= values["times"][-1][1]:
            break
    record.write_text(json.dumps({"times": times}))


def _measured(record: Path, *arguments: str) -> Measured:
    command = [sys.executable, "-m", "tests.benchmarks.first_word", *arguments]
    began, letter, said = time.monotonic(), None, b"\n"
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while piece := os.read(process.stdout.fileno(), 65536):
            said += piece
            if letter is None and _ANSWER in said:
                letter = time.monotonic() - began
    if process.returncode != 0 or not record.exists():
        raise SystemExit(f"{' '.join(arguments)} did not have the language model write.")
    times = json.loads(record.read_text())["times"]
    (first, before), (last, after) = times[0], times[-1]
    return Measured(letter, first - began, (after - before) / max(last - first, 1e-9))


def measure(runs: int, question: str = QUESTION) -> dict[str, list[Measured]]:
    """Return what each of the three took, run by run."""
    os.environ["PYTHONUNBUFFERED"] = "1"  # a pipe gets the first letter when it is written
    measured: dict[str, list[Measured]] = {"ophglm": [], "loop": [], "with a photograph": []}
    with tempfile.TemporaryDirectory() as folder:
        for run in range(runs):
            asked, plain, seen = (Path(folder) / f"{name}{run}" for name in ("a", "b", "c"))
            chat = ("chat", "--prompt", question)
            measured["ophglm"].append(_measured(asked, "ophglm", str(asked), *chat))
            measured["loop"].append(_measured(plain, "loop", str(asked), str(plain)))
            measured["with a photograph"].append(
                _measured(seen, "ophglm", str(seen), *chat, "--image", "sample")
            )
    return measured


def table(measured: dict[str, list[Measured]]) -> str:
    """Return the medians as Markdown, and their ratio to the loop's."""
    lines = ["| | first letter | first token | to loop | tokens/s | to loop |"]
    lines.append("| --- " * 6 + "|")
    loop = [statistics.median(getattr(m, k) for m in measured["loop"]) for k in ("token", "rate")]
    for name, all_runs in measured.items():
        letters = [m.letter for m in all_runs if m.letter is not None]
        letter = f"{statistics.median(letters):.2f}" if letters else ""
        token = statistics.median(m.token for m in all_runs)
        rate = statistics.median(m.rate for m in all_runs)
        lines.append(
            f"| {name} | {letter} | {token:.2f} | {token / loop[0]:.2f} | {rate:.1f} | "
            f"{rate / loop[1]:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    kind, *rest = sys.argv[1:] or ["5"]
    if kind == "ophglm":
        run_ophglm(Path(rest[0]), rest[1:])
    elif kind == "loop":
        run_loop(Path(rest[0]), Path(rest[1]))
    else:
        busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
        print(f"{kind} runs, load {busy:.1f} at the start, {os.cpu_count()} processors\n")
        print(table(measure(int(kind), *rest[:1])))


if __name__ == "__main__":
    main()
