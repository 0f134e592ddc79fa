"""The diagnostic keywords of ODIR-5K, read per eye.

ODIR-5K (Peking University / Shanggong Medical Technology, ODIR-2019) labels patients; the doctors'
keywords beside each photograph tell which eye a label belongs to.
"""

from __future__ import annotations

import re

from ..labels import LABELS

# A part of a keyword -> the label it stands for. The first that fits is taken.
_PARTS: tuple[tuple[str, str], ...] = (
    ("normal fundus", "normal"),
    ("hypertensive", ""),
    ("proliferative", "dr"),
    ("diabetic", "dr"),
    ("age-related macular degeneration", "amd"),
    ("glaucoma", "glaucoma"),
    ("myopi", "myopia"),
    ("cataract", "cataract"),
)
# Words on how the picture was taken; they say nothing of the eye.
_QUALITY = (
    "lens dust",
    "low image quality",
    "optic disk photographically invisible",
    "image offset",
)


def split_keywords(keywords: str) -> list[str]:
    """Split ODIR's keywords, which are parted by full-width or plain commas."""
    return [part.strip() for part in re.split(r"[，,]", keywords) if part.strip()]


def labels_from_keywords(keywords: str) -> dict[str, int] | None:
    """Return the six labels of one eye, or None if the keywords only describe the picture."""
    parts = [p.lower() for p in split_keywords(keywords)]
    parts = [p for p in parts if p not in _QUALITY]
    if not parts:
        return None
    found = set()
    for part in parts:
        label = next((label for text, label in _PARTS if text in part), "")
        if label:
            found.add(label)
    if found - {"normal"} or any("normal" not in part for part in parts):
        found.discard("normal")
    return {key: int(key in found) for key in LABELS}
