"""Language models that are worth pulling: open licences, nothing that asks for an account.

Names and licences were read in November 2026 in stored copies of the pages that `read_at` names.
None of these models was run by us: this project is built where the hub cannot be reached.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recommended:
    """A language model on the hub, as a GGUF for llama.cpp.

    name: what `--llm` and `ophglm models` take. repository, pattern: where its GGUF is, and which
    file there. base: the same model in Hugging Face's form, for torch and for training.
    parameters, size: how many, and bytes of the file. languages: of those that are spoken here.
    """

    name: str
    repository: str
    pattern: str
    base: str
    parameters: int
    size: int
    languages: tuple[str, ...]
    licence: str
    about: str
    read_at: tuple[str, ...]

    @property
    def memory(self) -> int:
        """Bytes that a conversation takes, about: the file and the keys and values."""
        return self.size + 500_000_000


RECOMMENDED = (
    Recommended(
        name="qwen2.5-1.5b-instruct",
        repository="bartowski/Qwen2.5-1.5B-Instruct-GGUF",
        pattern="*Q4_K_M.gguf",
        base="Qwen/Qwen2.5-1.5B-Instruct",
        parameters=1_540_000_000,
        size=986_000_000,
        languages=("en", "zh"),
        licence="apache-2.0",
        about="the smallest that answers in its own words, for a laptop",
        read_at=("https://huggingface.co/bartowski/Qwen2.5-1.5B-Instruct-GGUF",),
    ),
    Recommended(
        name="qwen3-4b-instruct",
        repository="unsloth/Qwen3-4B-Instruct-2507-GGUF",
        pattern="*-Q4_K_M.gguf",
        base="Qwen/Qwen3-4B-Instruct-2507",
        parameters=4_020_000_000,
        size=2_500_000_000,
        languages=("en", "zh"),
        licence="apache-2.0",
        about="better, and slower; this edition does not think aloud",
        read_at=("https://huggingface.co/mlx-community/Qwen3-4B-Instruct-2507-DDWQ",),
    ),
    Recommended(
        name="apollo2-7b",
        repository="cgus/Apollo2-7B-iMat-GGUF",
        pattern="*Q4_K_M.gguf",
        base="FreedomIntelligence/Apollo2-7B",
        parameters=7_620_000_000,
        size=4_700_000_000,
        languages=("en", "zh"),
        licence="apache-2.0",
        about="medical: trained on medical texts of many languages (arXiv 2410.10626)",
        read_at=(
            "https://huggingface.co/FreedomIntelligence/Apollo2-7B",
            "https://huggingface.co/cgus/Apollo2-7B-iMat-GGUF",
        ),
    ),
)


def recommended(name: str) -> Recommended | None:
    """Return the recommended model of a name, or None."""
    return next((model for model in RECOMMENDED if model.name == name.lower()), None)
