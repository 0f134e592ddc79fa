"""A capable language model's answer: what of it is shown, with which source."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ophglm_core.chat.conversation import Chat
from ophglm_core.chat.own_words import checked_sentences, without_thinking
from ophglm_core.chat.parts import AnswerPart
from ophglm_core.conditions import DEFAULT_LABELS, default_labels
from ophglm_core.findings import Findings
from ophglm_core.knowledge.retrieval import Library
from ophglm_core.runtime.profile import EMBEDDED, ModelProfile, profile_of
from ophglm_core.runtime.session import GREEDY, Decoding
from ophglm_core.safety.citations import check_citations
from ophglm_core.safety.guard import Guard

from ...silent import Silent

LOW = dict.fromkeys(DEFAULT_LABELS, 0.02)
GLAUCOMA = Findings("a.jpg", "ok", "m", {**LOW, "glaucoma": 0.91}, ["glaucoma"])
CAPABLE = ModelProfile(1_500_000_000, True, ("en", "zh"))
PASSAGES = [
    "First-degree relatives of people with open-angle glaucoma have a higher risk of it.",
    "Relatives should have their eyes examined from the age of 40, every two years.",
]


class Scripted(Silent):
    """Says what it was given, a few letters at a time."""

    def __init__(self, text: str):
        super().__init__()
        self.text = text
        self.asked: list[str] = []
        self.decoded: list[Decoding] = []

    def append_prompt(self, prompt: str, soft_tokens: object = None) -> None:
        self.asked.append(prompt)
        super().append_prompt(prompt)

    def generate(self, limit: int, decoding: Decoding = GREEDY) -> Iterator[str]:
        self.decoded.append(decoding)
        for start in range(0, len(self.text), 5):
            yield self.text[start : start + 5]


@pytest.mark.parametrize(
    ("sentence", "shown", "numbers"),
    [
        ("Relatives have a higher risk of open-angle glaucoma [1].", "[1]", (1,)),
        ("Relatives have a higher risk of open-angle glaucoma [2].", "[1]", (1,)),
        ("Relatives should be examined from the age of 40.", "[2]", (2,)),
        ("Relatives should be examined from the age of 30 [2].", "[no source]", ()),
        ("Timolol lowers the pressure within weeks [7].", "[no source]", ()),
    ],
)
def test_a_citation_is_what_bears_the_sentence_out(
    sentence: str, shown: str, numbers: tuple[int, ...]
) -> None:
    text, found = check_citations(sentence, PASSAGES, "en")
    assert text.endswith(shown)
    assert text.count("[") == 1
    assert found == numbers


def test_a_citation_in_chinese() -> None:
    passages = ["青光眼患者的一级亲属患病风险较高。", "建议亲属从40岁起定期检查。"]
    assert check_citations("一级亲属患青光眼的风险较高［2］。", passages, "zh")[1] == (1,)
    assert check_citations("亲属建议从40岁起定期检查。", passages, "zh")[1] == (2,)
    assert check_citations("亲属建议从20岁起定期检查。", passages, "zh")[0].endswith("［无出处］")


def sentences(text: str, found: set[str] | None = None) -> list[str]:
    guard = Guard(
        frozenset(found or {"glaucoma"}), frozenset(), " ".join(PASSAGES), own_figures=True
    )
    pieces = (text[i : i + 3] for i in range(0, len(text), 3))
    return [sentence for sentence, _ in checked_sentences(pieces, PASSAGES, guard, "en")]


def test_what_must_not_be_said_is_replaced_by_what_can_be() -> None:
    said = sentences(
        "Relatives have a higher risk of open-angle glaucoma [1]. You definitely have glaucoma. "
        "Take 5 mg of timolol. The photograph is free of glaucoma. This eye shows a cataract. "
        "Relatives should be examined from the age of 40 [2]. And then"
    )
    assert said[0].endswith("[1]")
    assert said[1] == "A photograph can suggest a disease and not confirm one."
    assert any("gives no doses" in s for s in said)
    assert not any("5 mg" in s for s in said)
    assert not any("definitely" in s for s in said)
    assert not any("cataract" in s for s in said)  # never named as if the picture had given it
    assert said[-1].endswith("[2]")
    assert "And then" not in " ".join(said)  # cut off by the limit


def test_a_contradiction_is_shown() -> None:
    said = sentences("This photograph does not suggest glaucoma.")
    assert said == [
        "The language model contradicts the reading of the photograph here (“This photograph does "
        "not suggest glaucoma.”); let a clinician compare them."
    ]


def test_lists_and_tables_keep_their_lines_and_what_is_bold_its_marks() -> None:
    said = sentences(
        "**Relatives** have a higher risk of open-angle glaucoma [1].\n"
        "# Advice\n"
        "- Relatives should be examined from the age of 40 [2].\n"
        "1. Relatives have a higher risk. 0.5 of relatives have it.\n\n"
        "| who | when |\n|---|---|\n| Relatives examined | age of 40 years |\n"
    )
    assert said[0].startswith("**Relatives** have")
    assert said[1].startswith("Advice")
    assert said[2] == "- Relatives should be examined from the age of 40. [2]"
    assert said[3].startswith("- Relatives have a higher risk.")
    assert said[4].startswith("0.5 of")
    assert [line[:5] for line in said[5:]] == ["| who", "| Rel"]


def test_thinking_is_not_shown() -> None:
    text = "<think>The user has glaucoma. Hm.</think>Relatives have a higher risk."
    for step in (1, 4, 100):
        pieces = (text[i : i + step] for i in range(0, len(text), step))
        assert "".join(without_thinking(pieces)) == "Relatives have a higher risk."
    assert "".join(without_thinking(["a < b", " and <th", "ree"])) == "a < b and <three"


def test_a_capable_model_answers_from_numbered_passages(library: Library) -> None:
    model = Scripted("Having a relative with glaucoma raises the risk of glaucoma [1].")
    talk = Chat([GLAUCOMA], default_labels(), model, CAPABLE, library=library)
    parts = list(talk.ask("Does glaucoma run in families?"))
    kinds = [p.kind for p in parts]
    assert "knowledge" not in kinds  # what it cites is not said twice
    assert kinds.index("explanation") < kinds.index("source")
    said = next(p for p in parts if p.kind == "explanation")
    source = next(p for p in parts if p.kind == "source")
    assert source.text in said.text
    assert source.source
    assert "[1] " in model.asked[0]
    assert "Question: Does glaucoma run in families?" in model.asked[0]


def test_each_answer_is_drawn_with_a_seed_of_its_own(library: Library) -> None:
    drawn = []
    for _ in range(2):
        model = Scripted("Having a relative with glaucoma raises the risk of glaucoma [1].")
        talk = Chat([GLAUCOMA], default_labels(), model, CAPABLE, library=library)
        list(talk.ask("Does glaucoma run in families?"))
        talk.decoding = Decoding(0.7, 2**32 - 1)
        list(talk.ask("Does glaucoma run in families?"))
        talk.undo()
        list(talk.ask("Does glaucoma run in families?"))
        drawn.append(model.decoded)
    assert drawn[0] == drawn[1]
    assert [d.temperature for d in drawn[0]] == [0, 0.7, 0.7]
    assert drawn[0][1].seed != drawn[0][2].seed  # asked again, another answer


def test_what_rests_on_nothing_is_followed_by_what_is_known(library: Library) -> None:
    model = Scripted("Bananas ripen faster beside apples.")
    talk = Chat([GLAUCOMA], default_labels(), model, CAPABLE, library=library)
    parts = list(talk.ask("Does glaucoma run in families?"))
    assert next(p.text for p in parts if p.kind == "explanation").endswith("[no source]")
    assert [p for p in parts if p.kind == "knowledge" and p.source]


def test_a_language_that_it_does_not_speak_is_not_asked_of_it(library: Library) -> None:
    model = Scripted("Yes.")
    english = ModelProfile(1_500_000_000, True, ("en",))
    talk = Chat([GLAUCOMA], default_labels(), model, english, library=library)
    parts: list[AnswerPart] = list(talk.ask("青光眼会遗传吗？"))
    assert {p.kind for p in parts} >= {"knowledge"}
    assert not model.asked


def test_profiles() -> None:
    metadata = {"general.languages": '["en", "zh"]', "tokenizer.chat_template": "{{ x }}"}
    profile = profile_of(metadata, 1_540_000_000)
    assert profile == ModelProfile(1_540_000_000, True, ("en", "zh"))
    assert profile.capable
    assert profile.speaks("zh")
    assert not profile.speaks("de")
    base = profile_of({}, 7_000_000_000)
    assert not base.capable  # a base model continues text and answers nothing
    assert base.speaks("zh")
    assert not EMBEDDED.capable
