"""Where a long text is cut, with words as tokens."""

from __future__ import annotations

import pytest

from ophglm_core.chat.conversation import Chat
from ophglm_core.chat.length import beginning, only_read_to
from ophglm_core.conditions import default_labels
from ophglm_core.knowledge.retrieval import Library
from ophglm_core.runtime.profile import EMBEDDED, ModelProfile

from ...silent import Silent


def words(text: str) -> int:
    return len(text.split())


@pytest.mark.parametrize(
    ("text", "most", "kept"),
    [
        ("One two. Three four. Five.", 4, "One two. Three four."),
        ("One two. Three four. Five.", 5, "One two. Three four. Five."),
        ("He said: “Go.” And then he left.", 5, "He said: “Go.”"),
        ("First line\nsecond line\nthird", 4, "First line\nsecond line"),
        ("Short. " + "and " * 40, 20, "Short." + " and" * 19),  # a sentence would lose it all
        ("Vision is 0.5 in both. And more.", 5, "Vision is 0.5 in both."),
    ],
)
def test_a_text_is_cut_at_a_sentence(text: str, most: int, kept: str) -> None:
    assert beginning(text, most, words) == kept


def test_chinese_is_cut_at_its_own_marks_and_at_a_character_where_there_is_none() -> None:
    assert beginning("视力下降。眼睛红。" * 9, 14, len) == "视力下降。眼睛红。视力下降。"
    assert beginning("视" * 50, 20, len) == "视" * 20
    assert beginning("x" * 50, 20, len) == "x" * 20


def test_a_short_text_is_not_counted_and_a_huge_one_not_whole() -> None:
    def never(text: str) -> int:
        raise AssertionError

    assert beginning("One. Two.", 20, never) == "One. Two."
    counted: list[int] = []

    def count(text: str) -> int:
        counted.append(len(text))
        return words(text)

    assert words(beginning("A word. " * 10**5, 50, count)) == 50
    assert max(counted) <= 50 * 16


def test_the_remark_quotes_the_last_whole_words_in_one_line() -> None:
    said = only_read_to("It is a long\ntext and its last words are quoted here.", "en")
    assert "up to “…and its last words are quoted here.”," in said
    assert "\n" not in said
    assert "“短。”" in only_read_to("短。", "zh")


@pytest.mark.parametrize(
    ("profile", "most"),
    [(EMBEDDED, 984), (ModelProfile(1_500_000_000, True, ("en",)), 1848)],
)
def test_of_a_text_that_does_not_fit_the_beginning_is_answered(
    library: Library, profile: ModelProfile, most: int
) -> None:
    talk = Chat([], default_labels(), Silent(), profile, library=library)
    letter = "What causes glaucoma? " + "Is there more to say of the eye? " * 250
    remark, *parts = talk.ask(letter)
    assert remark.kind == "remark"
    assert "read up to “…" in remark.text
    assert any("pressure" in part.text for part in parts if part.kind == "knowledge")
    (exchange,) = talk.exchanges
    assert letter.startswith(exchange.text)
    assert exchange.text.endswith("of the eye?")
    assert exchange.whole_text == letter
    assert most - 10 < talk.model.count(exchange.text) <= most
    # Warning signs also count beyond it, and are all that is said.
    urgent = list(talk.ask(letter + "I suddenly lost the sight of my left eye this morning."))
    assert [part.kind for part in urgent] == ["red_flag"]
    remark, *parts = talk.ask("什么是青光眼？" * 1200)
    assert "只读到" in remark.text
    assert any("青光眼" in part.text for part in parts)
    assert "remark" not in [part.kind for part in talk.ask("What is glaucoma?")]
