"""A GGUF file in another storage: smaller for use, or unpacked to fp32 to compare by."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UsageError

#: What a merged file can be stored as, by llama.cpp's names.
QUANTIZATIONS = ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_1", "Q4_0")


def quantize(source: Path, target: Path, quantization: str) -> None:
    """Write a GGUF file anew as one of QUANTIZATIONS, or as 'F32'. Raises UsageError if llama.cpp
    cannot."""
    import llama_cpp

    parameters = llama_cpp.llama_model_quantize_default_params()
    name = {"F32": "ALL_F32"}.get(quantization, f"MOSTLY_{quantization}")
    parameters.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_{name}")
    parameters.allow_requantize = quantization == "F32"
    with llama_cpp._utils.suppress_stdout_stderr(disable=False):
        failed = llama_cpp.llama_model_quantize(
            str(source).encode(), str(target).encode(), ctypes.byref(parameters)
        )
    if failed:
        raise UsageError(f"llama.cpp could not write {quantization} of {source.name}.")


@contextmanager
def unpacked(gguf: Path) -> Iterator[Path]:
    """Give a copy with the same weights in fp32 for as long as the block lasts.

    llama.cpp then computes in fp32. With quantised weights it rounds what enters each matrix to 8
    bits, by which alone a small model's logits change as much as by a fault in one of the runtimes.
    """
    with tempfile.TemporaryDirectory(prefix="ophglm-") as folder:
        copy = Path(folder) / "fp32.gguf"
        quantize(gguf, copy, "F32")
        yield copy
