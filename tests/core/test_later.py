"""What is made once, when it is first needed or in a thread before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from ophglm_core.later import Later


def test_it_is_made_once_and_others_wait_for_that() -> None:
    began, go_on, made = Event(), Event(), []

    def make() -> list[int]:
        began.set()
        assert go_on.wait(30)
        made.append(1)
        return made

    later = Later(make)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(later.get) for _ in range(4)]
        assert began.wait(30)
        assert not later.ready
        go_on.set()
        assert all(a.result(30) is made for a in asked)
    assert made == [1]
    assert later.ready


def test_an_error_is_met_by_each_who_asks_until_it_is_made() -> None:
    tries: list[int] = []

    def make() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("not yet")

    later = Later(make)
    for _ in range(2):
        with pytest.raises(ValueError, match="not yet"):
            later.get()
    assert later.get() is None
    assert later.get() is None  # a value like others
    assert len(tries) == 3
