"""Questions and answers about real fundus photographs, made from their labels.

What is asked in closed form is balanced within each language: as many pictures of which yes is
true as of which no is, left eyes as right ones, each grade as often as the others. A model that
does not look at the picture then scores at chance. Yes and no are balanced within each source of
pictures, too, so that it does not help to tell the sources apart.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import read_text
from ..images import sample_path
from ..labels import BY_KEY, DISEASES, LABELS
from .keywords import split_keywords
from .records import Record
from .split import Split

LANGUAGES = ("en", "zh")
CLOSED = ("presence", "normal", "severity", "eye", "quality")

# Part of a keyword -> (condition, English grade, Chinese grade); the first that fits is taken.
_GRADES: tuple[tuple[str, str, str, str], ...] = (
    ("mild non", "dr", "mild non-proliferative", "轻度非增生型"),
    ("moderate non", "dr", "moderate non-proliferative", "中度非增生型"),
    ("severe non", "dr", "severe non-proliferative", "重度非增生型"),
    ("proliferative diabetic", "dr", "proliferative", "增生型"),
    ("dry age", "amd", "dry", "干性"),
    ("wet age", "amd", "wet", "湿性"),
)
_YES = {"en": "Yes", "zh": "是"}
_NO = {"en": "No", "zh": "否"}
_STOP = {"en": ".", "zh": "。"}
_ENGLISH = {"是": "yes", "否": "no", "左眼": "left", "右眼": "right"} | {
    g[3]: g[2] for g in _GRADES
}
_FIXED = {
    "the left eye",
    "the right eye",
    "no sign of disease",
    "none of the five conditions, but it is not normal",
    "未见异常",
    "未见所筛查的五种疾病，但并非完全正常",
}


@dataclass(frozen=True)
class VqaPair:
    """A question about one photograph (or, to compare, the left and the right of a patient).

    labels: the conditions that the pictures show, as keys. kind: see CLOSED; 'which', 'compare'
    and 'unanswerable' are open. complete: whether all labels of the pictures are known.
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

    Questions about pictures of which not every label is known train only, as those pictures did.
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
    return _ENGLISH.get(text, text)


def is_answer(text: str) -> bool:
    """Whether a text is an answer of the kind that these questions have, and no free talk.

    A small language model that does not see what is asked falls into free talk.
    """
    names = {n.lower() for c in BY_KEY.values() for n in (c.name, c.name_zh) if c.key != "normal"}
    plain = text.strip(" .。").lower()
    if plain in _ENGLISH.values() or plain in _ENGLISH or plain in _FIXED:
        return True
    parts = re.split(r", | and |、", plain)
    return all(part in names for part in parts) or "cannot show the" in plain


@cache
def _wordings() -> dict[str, dict[str, list[str]]]:
    text = (resources.files(__package__) / "vqa_wordings.json").read_text(encoding="utf-8")
    wordings: dict[str, dict[str, list[str]]] = json.loads(text)
    return wordings


def build_vqa(records: Iterable[Record], seed: int = 0) -> list[VqaPair]:
    """Make question-answer pairs in English and Chinese, in random order, the same for one seed.

    Pictures of which a label is unknown are not asked about that label.
    """
    records = sorted(records, key=lambda r: str(r.image))
    pairs: list[VqaPair] = []
    for language in LANGUAGES:
        maker = _Maker(language, random.Random(f"{seed}:{language}"))
        pairs += maker.presence(records)
        pairs += maker.normal(records)
        pairs += maker.which(records)
        pairs += maker.severity(records)
        pairs += maker.eye(records)
        pairs += maker.quality(records)
        pairs += maker.compare(records)
        pairs += maker.unanswerable(records)
    random.Random(seed).shuffle(pairs)
    return pairs


def example_prompts(count: int) -> list[tuple[tuple[str, ...], str, str]]:
    """Return prompts (photographs, question, language) about the sample photograph."""
    sample = (str(sample_path()),)
    wordings = _wordings()
    closed = [wording for kind in CLOSED for wording in wordings[kind]["en"]]
    questions = [
        w.format(name=BY_KEY[d].name) for d in DISEASES for w in wordings["presence"]["en"]
    ]
    questions += [w.format(name=BY_KEY["dr"].name) for w in closed] + wordings["which"]["en"]
    questions = list(dict.fromkeys(questions))
    return [(sample, questions[i % len(questions)], "en") for i in range(count)]


class _Maker:
    """Makes the pairs of one language."""

    def __init__(self, language: str, draw: random.Random):
        self.language, self.draw = language, draw

    def _name(self, label: str) -> str:
        condition = BY_KEY[label]
        return condition.name_zh if self.language == "zh" else condition.name

    def _pair(
        self, records: list[Record], kind: str, answer: str, wording: str = "", **values: str
    ) -> VqaPair:
        question = self.draw.choice(_wordings()[wording or kind][self.language]).format(**values)
        shown = {k for r in records for k, v in r.labels.items() if v}
        return VqaPair(
            tuple(str(r.image) for r in records),
            question,
            answer,
            kind,
            tuple(label for label in LABELS if label in shown),
            self.language,
            records[0].patient,
            all(r.complete for r in records),
        )

    def _yes_no(
        self, yes: list[Record], no: list[Record], kind: str, **values: str
    ) -> Iterator[VqaPair]:
        """As many pairs with yes as with no of each source; of the larger group, some are drawn."""
        for source in sorted({r.source for r in yes}):
            groups = [[r for r in group if r.source == source] for group in (yes, no)]
            count = min(len(group) for group in groups)
            for group, word in zip(groups, (_YES, _NO), strict=True):
                for record in self.draw.sample(group, count):
                    answer = word[self.language] + _STOP[self.language]
                    yield self._pair([record], kind, answer, **values)

    def presence(self, records: list[Record]) -> Iterator[VqaPair]:
        for label in DISEASES:
            known = [r for r in records if label in r.labels]
            yes = [r for r in known if r.labels[label]]
            no = [r for r in known if not r.labels[label]]
            yield from self._yes_no(yes, no, "presence", name=self._name(label))

    def normal(self, records: list[Record]) -> Iterator[VqaPair]:
        known = [r for r in records if "normal" in r.labels]
        yes = [r for r in known if r.labels["normal"]]
        no = [r for r in known if not r.labels["normal"]]
        yield from self._yes_no(yes, no, "normal")

    def which(self, records: list[Record]) -> Iterator[VqaPair]:
        joint, stop = ("、", "。") if self.language == "zh" else (", ", ".")
        for record in records:
            if not record.complete:
                continue
            found = [self._name(d) for d in DISEASES if record.labels[d]]
            if found:
                answer = joint.join(found)
            elif record.labels["normal"]:
                answer = "未见异常" if self.language == "zh" else "No sign of disease"
            else:
                answer = (
                    "未见所筛查的五种疾病，但并非完全正常"
                    if self.language == "zh"
                    else "None of the five conditions, but it is not normal"
                )
            yield self._pair([record], "which", answer[:1].upper() + answer[1:] + stop)

    def severity(self, records: list[Record]) -> Iterator[VqaPair]:
        groups: dict[str, dict[str, list[Record]]] = {}
        for record in records:
            for label, grade in _grades(record, self.language):
                groups.setdefault(label, {}).setdefault(grade, []).append(record)
        for label, grades in groups.items():
            # Rare grades set the number; one of a handful would leave nothing to learn.
            usable = {g: rows for g, rows in grades.items() if len(rows) >= 10} or grades
            if len(usable) < 2:
                continue
            count = min(len(rows) for rows in usable.values())
            for grade, rows in usable.items():
                answer = grade[:1].upper() + grade[1:] + _STOP[self.language]
                for record in self.draw.sample(rows, count):
                    yield self._pair([record], "severity", answer, name=self._name(label))

    def eye(self, records: list[Record]) -> Iterator[VqaPair]:
        words = {"left": "左眼。", "right": "右眼。"}
        if self.language == "en":
            words = {"left": "The left eye.", "right": "The right eye."}
        sides = {side: [r for r in records if r.eye == side] for side in words}
        count = min(len(rows) for rows in sides.values())
        for side, rows in sides.items():
            for record in self.draw.sample(rows, count):
                yield self._pair([record], "eye", words[side])

    def quality(self, records: list[Record]) -> Iterator[VqaPair]:
        known = [r for r in records if r.keywords]
        yes = [r for r in known if "lens dust" in (r.keywords or "").lower()]
        no = [r for r in known if "lens dust" not in (r.keywords or "").lower()]
        yield from self._yes_no(yes, no, "quality")

    def compare(self, records: list[Record]) -> Iterator[VqaPair]:
        eyes: dict[tuple[str, str], dict[str, Record]] = {}
        for record in records:
            if record.eye and record.complete:
                eyes.setdefault((record.source, record.patient), {})[record.eye] = record
        for pair in eyes.values():
            if len(pair) == 2:
                yield self._comparison(pair["left"], pair["right"])

    def _comparison(self, left: Record, right: Record) -> VqaPair:
        found = [
            [self._name(label) for label in LABELS if r.labels[label]] or [self._nothing()]
            for r in (left, right)
        ]
        zh = self.language == "zh"
        first, second = (("、" if zh else ", ").join(names) for names in found)
        if found[0] == found[1]:
            answer = f"双眼相同：{first}。" if zh else f"Both eyes show the same: {first}."
        elif zh:
            answer = f"双眼不同：左眼{first}；右眼{second}。"
        else:
            answer = f"They differ: the left eye shows {first}, the right eye {second}."
        return self._pair([left, right], "compare", answer)

    def _nothing(self) -> str:
        return "其他异常" if self.language == "zh" else "something other than the five conditions"

    def unanswerable(self, records: list[Record]) -> Iterator[VqaPair]:
        things = _wordings()["things"][self.language]
        for record in self.draw.sample(records, len(records) // 10):
            thing = self.draw.choice(things)
            if self.language == "zh":
                answer = f"眼底照片不能显示{thing}，需要另行检查。"
            else:
                answer = f"A fundus photograph cannot show the {thing}; it has to be examined."
            yield self._pair([record], "unanswerable", answer, thing=thing)


def _grades(record: Record, language: str) -> Iterator[tuple[str, str]]:
    """Yield (condition, grade) of a record whose keywords give exactly one grade of it."""
    found: dict[str, set[str]] = {}
    for keyword in split_keywords((record.keywords or "").lower()):
        if keyword.startswith("susp"):
            continue
        for part, label, english, chinese in _GRADES:
            if part in keyword:
                found.setdefault(label, set()).add(chinese if language == "zh" else english)
                break
    for label, grades in found.items():
        if len(grades) == 1:
            yield label, grades.pop()
