from __future__ import annotations

from pathlib import Path

import pytest

from ophglm_core.eye_names import laterality_from_name, read_eye_name


@pytest.mark.parametrize(
    ("name", "eye", "rest"),
    [
        ("12_left.jpg", "left", "12"),
        ("12_right.jpg", "right", "12"),
        ("a/12-OD.png", "right", "a/12"),
        ("12_L.jpg", "left", "12"),
        ("12R.tif", "right", "12"),
        ("张三 左眼.jpg", "left", "张三"),
        ("张三右眼.jpg", "right", "张三"),
        ("patient OD 3.jpg", "right", "patient * 3"),
        ("a-os.png", "left", "a"),
        ("OS 12.jpg", "left", "* 12"),
        ("a/left.jpg", "left", "a/"),
        ("a/right/12.jpg", "right", "a/*/12"),
        ("a/OS/12.jpg", "left", "a/*/12"),
        ("a/右眼/12.jpg", "right", "a/*/12"),
        ("a/right/12_right.jpg", "right", "a/*/12"),
        # None of these says which eye it is.
        ("a/right/12_left.jpg", None, None),
        ("left_right.jpg", None, None),
        ("leftover.jpg", None, None),
        ("photo.jpg", None, None),
        ("R001.jpg", None, None),
        ("L. Smith.jpg", None, None),
        ("oscar/12.jpg", None, None),
    ],
)
def test_the_eye_comes_from_the_name(name: str, eye: str | None, rest: str | None) -> None:
    found = read_eye_name(Path(name))
    assert (found.eye, found.rest) == (eye, rest)
    assert laterality_from_name(Path(name)) == eye


def test_names_of_different_patients_keep_different_rests() -> None:
    names = ["1_2_left", "1_left_2", "12_left", "left_12", "1/left", "1_left", "a_OD_12", "a_OD_13"]
    assert len({read_eye_name(Path(f"{name}.jpg")).rest for name in names}) == len(names)
