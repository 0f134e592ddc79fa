"""Questions that were given beforehand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ophglm_cli.script import answer_all
from ophglm_cli.sitting import Sitting
from ophglm_core.chat.conversation import Chat
from ophglm_core.conditions import default_labels
from ophglm_core.errors import UsageError
from ophglm_core.knowledge.retrieval import Library

from ..silent import Silent


def test_after_a_question_that_fails_the_next_is_asked(
    library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    chat = Chat([], default_labels(), Silent(), library=library)
    ask = chat.ask

    def sometimes(text: str) -> Iterator[Any]:
        if "fail" in text:
            raise UsageError("It cannot be loaded.")
        yield from ask(text)

    chat.ask = sometimes  # type: ignore[assignment, method-assign]
    sitting = Sitting(SimpleNamespace(), chat)  # type: ignore[arg-type]
    assert answer_all(sitting, ["Does it fail?", "What is glaucoma?"], as_json=True) == 2
    said = capsys.readouterr()
    assert said.err == "ophglm: question 1: It cannot be loaded.\n"
    failed, answered = map(json.loads, said.out.splitlines())
    assert failed == {"question": "Does it fail?", "error": "It cannot be loaded."}
    assert "optic" in answered["answer"]
