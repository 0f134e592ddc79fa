"""What answers need is loaded when it is first needed, or before that in a thread."""

from __future__ import annotations

from threading import Thread

import pytest

from ophglm_core.chat.conversation import Chat
from ophglm_core.conditions import default_labels
from ophglm_core.errors import UsageError
from ophglm_core.knowledge.retrieval import Library
from ophglm_core.runtime.session import LazySession

from ...silent import Silent


def test_what_answers_need_is_loaded_once(library: Library) -> None:
    loaded: list[Silent] = []

    def load() -> Silent:
        loaded.append(Silent())
        return loaded[-1]

    model = LazySession(load)  # type: ignore[arg-type]
    chat = Chat([], default_labels(), model, library=library)
    assert model.tokens == []
    assert not loaded  # the status bar asks for them and waits for nothing
    threads = [Thread(target=chat.load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(chat.ask("What is glaucoma?"))
    assert len(loaded) == 1


def test_what_cannot_be_loaded_is_said_by_the_answer_that_needs_it(library: Library) -> None:
    def load() -> Silent:
        raise UsageError("x.gguf cannot be loaded.")

    chat = Chat([], default_labels(), LazySession(load), library=library)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="cannot be loaded"):
        chat.load()
    said = []
    with pytest.raises(UsageError, match="cannot be loaded"):
        said += chat.ask("What is glaucoma? " * 400)  # which has to be counted
    assert chat.exchanges == []
    assert [p.kind for p in chat.ask("Sudden loss of vision")] == ["red_flag"]
