"""What people type is put into the library's words before it is looked for."""

from __future__ import annotations

import pytest

from ophglm_core.knowledge.everyday import plain
from ophglm_core.knowledge.library import subjects_named


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("trab op: can u swim after?", "trabeculectomy surgery: can you swim after?"),
        ("2 jabs w/o pain, 6yrs ago", "2 injections without pain, 6 years ago"),
        ("R eye r2, pics r dark", "right eye r2, photos are dark"),
        ("letter says R1M1", "letter says r1 m1"),
        ("diabetic retinopthy", "diabetic retinopathy"),
        ("ISNT rule, uk/us, worried screener", "isnt rule, uk/us, worried screener"),
    ],
)
def test_shorthand_everyday_words_and_slips(typed: str, meant: str) -> None:
    assert plain(typed, "en") == meant


def test_everyday_chinese() -> None:
    assert plain("网脱为啥会瞎", "zh") == "视网膜脱离为什么会失明"
    assert plain("这个会遗传给孩子吗", "zh") == "这个会遗传给孩子吗"


def test_an_abbreviation_between_chinese_characters_is_a_name() -> None:
    assert subjects_named("缺血型CRVO前几个月怎么随访") == ["vein_occlusion"]
