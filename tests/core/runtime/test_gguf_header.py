"""A GGUF's header is read as the format's own package reads it."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest

from ophglm_core.errors import UsageError
from ophglm_core.runtime.gguf_header import read_header


def test_a_header_says_what_the_package_says(tiny_gguf: Path) -> None:
    header, theirs = read_header(tiny_gguf), gguf.GGUFReader(tiny_gguf)
    assert header.parameters == sum(int(tensor.n_elements) for tensor in theirs.tensors)
    assert header.metadata["general.languages"] == ["en"]
    assert "tokenizer.ggml.tokens" not in header.metadata
    for key, value in header.metadata.items():
        assert theirs.fields[key].contents() == value, key
    short = {k for k, f in theirs.fields.items() if len(f.data) < 64 and not k.startswith("GGUF.")}
    assert set(header.metadata) == short


@pytest.mark.parametrize("length", [0, 3, 20, 1000, 30_000])
def test_one_that_was_cut_off_is_said_to_be(length: int, tiny_gguf: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(tiny_gguf.read_bytes()[:length])
    with pytest.raises(UsageError, match="cut off"):
        read_header(path)
    path.write_bytes(b"GGUF\x03\x00\x00\x00" + b"\xff" * length)
    with pytest.raises(UsageError, match="cut off"):
        read_header(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_header(tmp_path / "nowhere.gguf")
