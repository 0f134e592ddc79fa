"""Questions and answers about fundus photographs: what one is, how they are read and parted."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..conditions import CONDITIONS, NORMAL
from ..errors import InputError
from ..files import read_text

if TYPE_CHECKING:  # a conversation needs this module and not what makes splits
    from .splits import Split

#: Kinds of questions whose answer is one of a few; 'which', 'compare' and 'unanswerable' are open.
CLOSED = ("presence", "normal", "severity", "eye", "quality")
NOT_NORMAL = {
    "en": "none of the conditions that it looks for, but it is not normal",
    "zh": "未见所筛查的疾病，但并非完全正常",
}
_WORDS = {"是": "yes", "否": "no", "左眼": "left", "右眼": "right"}
_FIXED = {
    "the left eye",
    "the right eye",
    "no sign of disease",
    "none of the five conditions, but it is not normal",
    "未见异常",
    "未见所筛查的五种疾病，但并非完全正常",
    *NOT_NORMAL.values(),
}


def _english() -> dict[str, str]:
    """Chinese closed answers, and their English forms."""
    return _WORDS | {g.zh: g.en for c in CONDITIONS.values() for g in c.grades}


@dataclass(frozen=True)
class VqaPair:
    """A question about one photograph (or, to compare, the left and the right of a patient).

    labels: the conditions that the pictures show, as keys. kind: see CLOSED. complete: whether all
    labels of the pictures are known, or their grade: an encoder is measured on such, too.
    """

    image: tuple[str, ...]
    question: str
    answer: str
    kind: str
    labels: tuple[str, ...]
    language: str
    patient: str
    complete: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the pair as a JSON line's values; a single image is a string."""
        values = asdict(self)
        values["image"] = self.image[0] if len(self.image) == 1 else list(self.image)
        values["labels"] = list(self.labels)
        return values


def read_vqa(path: Path) -> list[VqaPair]:
    """Read what `ophglm build-vqa` wrote, or what has the same keys.

    patient and labels may be absent: each picture then counts as a patient of its own. Raises
    InputError, with the line, if a record cannot be used.
    """
    lines = read_text(path).splitlines()
    pairs = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            image = values["image"]
            images = (image,) if isinstance(image, str) else tuple(image)
            pairs.append(
                VqaPair(
                    images,
                    values["question"],
                    values["answer"],
                    values["kind"],
                    tuple(values.get("labels", ())),
                    values["language"],
                    values.get("patient") or images[0],
                    values.get("complete", True),
                )
            )
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(f"{path}, line {number} is not a JSON record ({error}).") from None
        except (KeyError, IndexError) as error:
            raise InputError(f"{path}, line {number} lacks {error}.") from None
    if not pairs:
        raise InputError(f"{path} holds no question.")
    return pairs


def vqa_parts(pairs: list[VqaPair], split: Split) -> dict[str, list[VqaPair]]:
    """Part questions by patient as the model's encoder was: train, validation, test.

    Questions about pictures of which neither all labels nor the grade are known train only, as
    those pictures did.
    """
    judge_all = not any(p.complete for p in pairs)
    parts: dict[str, list[VqaPair]] = {"train": [], "validation": [], "test": []}
    for pair in pairs:
        parts[split.part(pair.patient) if pair.complete or judge_all else "train"].append(pair)
    return parts


def closed_answer(pair: VqaPair) -> str | None:
    """Return a closed answer in its English short form ('yes', 'left', 'dry'), else None."""
    if pair.kind not in CLOSED:
        return None
    text = pair.answer.strip(" .。").lower()
    text = text.removeprefix("the ").removesuffix(" eye")
    return _english().get(text, text)


def is_answer(text: str) -> bool:
    """Whether a text is an answer of the kind that these questions have, and no free talk.

    A small language model that does not see what is asked falls into free talk.
    """
    names = {
        name.lower()
        for condition in CONDITIONS.values()
        if condition.key != NORMAL
        for name in (condition.name, condition.name_zh)
    }
    plain = text.strip(" .。").lower()
    closed = _english()
    if plain in closed.values() or plain in closed or plain in _FIXED:
        return True
    parts = re.split(r", | and |、", plain)
    return all(part in names for part in parts) or "cannot show the" in plain
