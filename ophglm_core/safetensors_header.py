"""What a safetensors file says of its tensors, read without them.

The format: github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from .errors import UsageError


@contextmanager
def opened_safetensors(path: Path) -> Iterator[tuple[dict[str, Any], int, BinaryIO]]:
    """Give a file's tensors by their names (dtype, shape, data_offsets), where their data begins,
    and the open file.

    Raises UsageError, in the block too, if it is no such file or was cut off.
    """
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(length))
            yield {n: t for n, t in header.items() if n != "__metadata__"}, 8 + length, stream
    except (OSError, ValueError, KeyError, TypeError, AttributeError, MemoryError, OverflowError):
        raise UsageError(f"{path} is not a safetensors file, or one that was cut off.") from None
