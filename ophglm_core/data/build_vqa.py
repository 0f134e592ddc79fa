"""Questions and answers about real fundus photographs, made from their labels.

What is asked in closed form is balanced within each language: as many pictures of which yes is
true as of which no is, left eyes as right ones, each grade as often as the others. A model that
does not look at the picture then scores at chance. Yes and no and the grades are balanced within
each source of pictures, too, so that it does not help to tell the sources apart.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path

from ..assets import sample_path
from ..conditions import CONDITIONS, NORMAL, LabelSet, default_labels
from ..grading import GRADE_NAMES
from ..wording import sentence_case
from .keywords import split_keywords
from .records import Record, choose_labels
from .spoilt import spoilt_copy
from .vqa import CLOSED, NOT_NORMAL, VqaPair

LANGUAGES = ("en", "zh")
_YES = {"en": "Yes", "zh": "是"}
_NO = {"en": "No", "zh": "否"}
_STOP = {"en": ".", "zh": "。"}


@cache
def _wordings() -> dict[str, dict[str, list[str]]]:
    text = (resources.files(__package__) / "vqa_wordings.json").read_text(encoding="utf-8")
    wordings: dict[str, dict[str, list[str]]] = json.loads(text)
    return wordings


def build_vqa(
    records: Iterable[Record],
    labels: LabelSet | None = None,
    seed: int = 0,
    spoilt: Path | None = None,
) -> list[VqaPair]:
    """Make question-answer pairs in English and Chinese, in random order, the same for one seed.

    labels: the conditions to ask about; None is what an encoder would learn from these records.
    Pictures of which a label is unknown are not asked about that label. spoilt: the folder for
    copies that cannot be judged; without one, no question is about quality. Raises InputError for
    a photograph that cannot be read, and OSError for a folder that cannot be written.
    """
    records = sorted(records, key=lambda r: str(r.image))
    labels = labels or choose_labels(records)
    pairs: list[VqaPair] = []
    for language in LANGUAGES:
        maker = _Maker(labels, language, random.Random(f"{seed}:{language}"))
        pairs += maker.presence(records)
        pairs += maker.normal(records)
        pairs += maker.which(records)
        pairs += maker.severity(records)
        pairs += maker.eye(records)
        pairs += maker.quality(records, spoilt) if spoilt else ()
        pairs += maker.compare(records)
        pairs += maker.unanswerable(records)
    random.Random(seed).shuffle(pairs)
    return pairs


def example_prompts(count: int) -> list[tuple[tuple[str, ...], str, str]]:
    """Return prompts (photographs, question, language) about the sample photograph."""
    sample = (str(sample_path()),)
    wordings, labels = _wordings(), default_labels()
    closed = [wording for kind in CLOSED for wording in wordings[kind]["en"]]
    questions = [
        w.format(name=labels[d].name) for d in labels.diseases for w in wordings["presence"]["en"]
    ]
    questions += [w.format(name=labels["dr"].name) for w in closed] + wordings["which"]["en"]
    questions = list(dict.fromkeys(questions))
    return [(sample, questions[i % len(questions)], "en") for i in range(count)]


class _Maker:
    """Makes the pairs of one language."""

    def __init__(self, labels: LabelSet, language: str, rng: random.Random):
        self.labels, self.language, self.rng = labels, language, rng

    def _name(self, label: str) -> str:
        return self.labels[label].name_in(self.language)

    def _pair(
        self, records: list[Record], kind: str, answer: str, wording: str = "", **values: str
    ) -> VqaPair:
        question = self.rng.choice(_wordings()[wording or kind][self.language]).format(**values)
        shown = {k for r in records for k, v in r.labels.items() if v}
        return VqaPair(
            tuple(str(r.image.absolute()) for r in records),
            question,
            answer,
            kind,
            tuple(label for label in self.labels if label in shown),
            self.language,
            records[0].patient,
            all(r.can_judge(self.labels) for r in records),
        )

    def _yes_no(
        self, yes: list[Record], no: list[Record], kind: str, **values: str
    ) -> Iterator[VqaPair]:
        """As many pairs with yes as with no of each source; of the larger group, some are drawn."""
        for source in sorted({r.source for r in yes}):
            groups = [[r for r in group if r.source == source] for group in (yes, no)]
            count = min(len(group) for group in groups)
            for group, word in zip(groups, (_YES, _NO), strict=True):
                for record in self.rng.sample(group, count):
                    answer = word[self.language] + _STOP[self.language]
                    yield self._pair([record], kind, answer, **values)

    def presence(self, records: list[Record]) -> Iterator[VqaPair]:
        for label in self.labels.diseases:
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
            if not record.is_complete(self.labels):
                continue
            found = [self._name(d) for d in self.labels.diseases if record.labels[d]]
            if found:
                answer = joint.join(found)
            elif record.labels.get(NORMAL):
                answer = "未见异常" if self.language == "zh" else "No sign of disease"
            else:
                answer = NOT_NORMAL[self.language]
            yield self._pair([record], "which", sentence_case(answer) + stop)

    def severity(self, records: list[Record]) -> Iterator[VqaPair]:
        groups: dict[tuple[str, str], dict[str, list[Record]]] = {}
        for record in records:
            for label, grade in _grades(record, self.labels, self.language):
                groups.setdefault((label, record.source), {}).setdefault(grade, []).append(record)
        for (label, _), grades in groups.items():
            # Rare grades set the number; one of a handful would leave nothing to learn.
            usable = {g: rows for g, rows in grades.items() if len(rows) >= 10} or grades
            if len(usable) < 2:
                continue
            count = min(len(rows) for rows in usable.values())
            for grade, rows in usable.items():
                answer = sentence_case(grade) + _STOP[self.language]
                for record in self.rng.sample(rows, count):
                    yield self._pair([record], "severity", answer, name=self._name(label))

    def eye(self, records: list[Record]) -> Iterator[VqaPair]:
        words = {"left": "左眼。", "right": "右眼。"}
        if self.language == "en":
            words = {"left": "The left eye.", "right": "The right eye."}
        sides = {side: [r for r in records if r.laterality == side] for side in words}
        count = min(len(rows) for rows in sides.values())
        for side, rows in sides.items():
            for record in self.rng.sample(rows, count):
                yield self._pair([record], "eye", words[side])

    def quality(self, records: list[Record], spoilt: Path) -> Iterator[VqaPair]:
        # A cataract spoils photographs, too, and is to come out as one.
        clear = [r for r in records if not r.labels.get("cataract")]
        count = len(clear) // 20
        drawn = self.rng.sample(clear, 2 * count)
        stop = _STOP[self.language]
        for record in drawn[:count]:
            yield self._pair([record], "quality", _YES[self.language] + stop)
        for record in drawn[count:]:
            copy = replace(record, image=spoilt_copy(record.image, spoilt, self.rng))
            yield self._pair([copy], "quality", _NO[self.language] + stop)

    def compare(self, records: list[Record]) -> Iterator[VqaPair]:
        eyes: dict[tuple[str, str], dict[str, Record]] = {}
        for record in records:
            if record.laterality and record.is_complete(self.labels):
                eyes.setdefault((record.source, record.patient), {})[record.laterality] = record
        for pair in eyes.values():
            if len(pair) == 2:
                yield self._comparison(pair["left"], pair["right"])

    def _comparison(self, left: Record, right: Record) -> VqaPair:
        found = [
            [self._name(label) for label in self.labels if r.labels[label]] or [self._nothing()]
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
        return "其他异常" if self.language == "zh" else "something other than these conditions"

    def unanswerable(self, records: list[Record]) -> Iterator[VqaPair]:
        things = _wordings()["things"][self.language]
        for record in self.rng.sample(records, len(records) // 10):
            thing = self.rng.choice(things)
            if self.language == "zh":
                answer = f"眼底照片不能显示{thing}，需要另行检查。"
            else:
                answer = f"A fundus photograph cannot show the {thing}; it has to be examined."
            yield self._pair([record], "unanswerable", answer, thing=thing)


def _grades(record: Record, labels: LabelSet, language: str) -> Iterator[tuple[str, str]]:
    """Yield (condition, grade) of a record of which one grade is known."""
    if "dr" in labels and record.grade:
        yield "dr", GRADE_NAMES[language][record.grade]
    keywords = split_keywords((record.keywords or "").lower())
    sure = [keyword for keyword in keywords if not keyword.startswith("susp")]
    for label in labels:
        if label == "dr":
            continue
        grades = CONDITIONS[label].grades if label in CONDITIONS else ()
        found = {
            next((g.zh if language == "zh" else g.en for g in grades if g.keyword in keyword), None)
            for keyword in sure
        } - {None}
        if len(found) == 1:
            yield label, str(found.pop())
