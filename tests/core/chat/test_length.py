"""Where a long text is cut, with words as tokens."""

from __future__ import annotations

import pytest

from ophglm_core.chat.length import beginning, only_read_to


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
