"""What a language model can be asked to do, by what its file says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: From about this many parameters on a model that was taught to follow instructions answers from
#: passages, and says which, rather than from what it remembers.
_CAPABLE = 1.2e9


@dataclass(frozen=True)
class ModelProfile:
    """parameters: how many. instructs: whether it has a chat template, which a base model lacks.
    languages: codes such as 'en' and 'zh', as the file lists them; None where it lists none."""

    parameters: int
    instructs: bool
    languages: tuple[str, ...] | None = None

    @property
    def capable(self) -> bool:
        """Whether it can write an answer of its own from numbered passages."""
        return self.instructs and self.parameters >= _CAPABLE

    def speaks(self, language: str) -> bool:
        """Whether it can be asked in a language; unknown counts as yes."""
        return self.languages is None or language in self.languages


#: The embedded language model's, which is not loaded to be asked.
EMBEDDED = ModelProfile(parameters=135_000_000, instructs=True, languages=("en",))


def profile_of(metadata: Mapping[str, str], parameters: int) -> ModelProfile:
    """Return the profile of a GGUF file: its metadata as llama.cpp gives them, as text."""
    listed = metadata.get("general.languages", "").strip("[] ")
    languages = tuple(code.strip(" \"'") for code in listed.split(",") if code.strip(" \"'"))
    return ModelProfile(
        parameters, bool(metadata.get("tokenizer.chat_template")), languages or None
    )
