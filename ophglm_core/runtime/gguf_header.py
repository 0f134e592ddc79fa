"""What a GGUF file says of itself, read without its weights.

The format is ggml's (github.com/ggml-org/ggml/blob/master/docs/gguf.md). llama.cpp gives no lists,
such as the languages, and logs all it reads; the package gguf takes seconds over a vocabulary.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import UsageError

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
_SCALARS[12] = "d"
_STRING, _ARRAY = 8, 9
#: Types of tensors that are not quantised.
F32, F16 = 0, 1
_ALIGNMENT = 32
#: Longer lists are vocabularies, which nobody asks for here.
_LONGEST = 64


@dataclass(frozen=True)
class GgufTensor:
    """count: of its numbers. kind: ggml's number of its type. offset: in bytes, from where the
    tensors' data begins."""

    count: int
    kind: int
    offset: int


@dataclass(frozen=True)
class GgufHeader:
    """metadata: numbers, texts and short lists by their key. tensors: by their names. data: where
    in the file the tensors' data begins."""

    metadata: dict[str, Any]
    tensors: dict[str, GgufTensor]
    data: int

    @property
    def parameters(self) -> int:
        """How many numbers the tensors have."""
        return sum(tensor.count for tensor in self.tensors.values())


def read_header(path: Path) -> GgufHeader:
    """Read a GGUF file's header. Raises UsageError if it is none, or cut off."""
    try:
        with path.open("rb") as stream:
            return _read(stream)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}).") from None
    except (struct.error, ValueError, UnicodeDecodeError, OverflowError, MemoryError):
        raise UsageError(f"{path} is not a GGUF file, or one that was cut off.") from None


def _read(stream: BinaryIO) -> GgufHeader:
    if stream.read(4) != b"GGUF" or _scalar(stream, "I") not in (2, 3):
        raise ValueError
    tensors, pairs = _scalar(stream, "Q"), _scalar(stream, "Q")
    metadata = {}
    for _ in range(pairs):
        key = _string(stream)
        metadata[key] = _value(stream, _scalar(stream, "I"))
    found = {}
    for _ in range(tensors):
        name = _string(stream)
        count = prod(_scalar(stream, "Q") for _ in range(_scalar(stream, "I")))
        found[name] = GgufTensor(count, _scalar(stream, "I"), _scalar(stream, "Q"))
    kept = {key: value for key, value in metadata.items() if value is not None}
    alignment = int(kept.get("general.alignment", _ALIGNMENT))
    data = -(-stream.tell() // alignment) * alignment
    return GgufHeader(kept, found, data)


def _scalar(stream: BinaryIO, code: str) -> Any:
    size = struct.calcsize(f"<{code}")
    return struct.unpack(f"<{code}", stream.read(size))[0]


def _string(stream: BinaryIO) -> str:
    length = _scalar(stream, "Q")
    content = stream.read(length)
    if len(content) < length:
        raise ValueError
    return content.decode("utf-8", "replace")


def _value(stream: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(stream)
    if kind != _ARRAY:
        if kind not in _SCALARS:
            raise ValueError
        return _scalar(stream, _SCALARS[kind])
    inner, count = _scalar(stream, "I"), _scalar(stream, "Q")
    if count <= _LONGEST:
        return [_value(stream, inner) for _ in range(count)]
    if inner in _SCALARS:
        stream.seek(count * struct.calcsize(f"<{_SCALARS[inner]}"), 1)
        return None
    for _ in range(count):
        _value(stream, inner)
    return None
