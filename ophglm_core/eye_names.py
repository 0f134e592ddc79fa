"""Which eye, and whose, a photograph's file name says it is: the words for the two eyes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePath

#: Every word for an eye that names and tables use, in lower case.
EYES = {
    **dict.fromkeys(("left", "l", "os", "左", "左眼", "left eye"), "left"),
    **dict.fromkeys(("right", "r", "od", "右", "右眼", "right eye"), "right"),
}
# Words stand apart from letters. A letter also stands apart from numbers behind it, as R001 is a
# number of a record more often than a right eye, and from a full stop, as in a person's name.
_IN_NAME = re.compile(
    r"(?<![a-z])(?:left|right|os|od)(?![a-z])|左眼|右眼|(?<![a-z])[lr](?![a-z0-9.])",
    re.IGNORECASE,
)
_EDGES = " _-.,()[]"


@dataclass(frozen=True)
class EyeName:
    """What a path says. eye: 'left', 'right', or None where it says none or both. rest: the path
    without that word and without its suffix, the same for both eyes of one patient; None where it
    says no eye."""

    eye: str | None
    rest: str | None


def read_eye_name(path: PurePath) -> EyeName:
    """Read the eye from a file's name, else from the folder that it lies in.

    `12_left.jpg` and `12_OD.jpg` have the rest `12`, `OD 12.jpg` has `* 12`, `a/left.jpg` has `a/`,
    and `right/12.jpg` has `*/12`: the star stands where the eye's word stood. Names that say both
    eyes, or another eye than their folder, say none.
    """
    stem, folder = path.stem, path.parent
    words = list(_IN_NAME.finditer(stem))
    eyes = {EYES[word.group().lower()] for word in words}
    beside = EYES.get(folder.name.lower().replace("_", " "))
    if len(eyes | ({beside} if beside else set())) != 1:
        return EyeName(None, None)
    if not eyes:
        return EyeName(beside, (folder.parent / "*" / stem).as_posix())
    if beside:
        folder = folder.parent / "*"
    before, after = stem[: words[0].start()], stem[words[0].end() :]
    if after.strip(_EDGES):
        name = (folder / f"{before}*{after}").as_posix()
    elif name := before.rstrip(_EDGES):
        name = (folder / name).as_posix()
    else:
        name = f"{folder.as_posix()}/"
    return EyeName(eyes.pop(), name)


def laterality_from_name(path: Path) -> str | None:
    """Return 'left' or 'right' if a file's name, or its folder's, says exactly one of them."""
    return read_eye_name(path).eye
