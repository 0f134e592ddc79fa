"""What is trained on, by the templates of ten families of language models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ophglm_core.errors import UsageError
from ophglm_core.networks.language_model import TorchLanguageModel
from ophglm_core.prompts import IMAGE_PLACEHOLDER
from ophglm_core.training.batches import encode_turns
from ophglm_core.training.turns import check_template, supervised_parts

from ...families import FAMILIES, SENTENCEPIECE, write_family

SYSTEM, ANSWERS = "You help eye doctors.", ("Yes, it is: 1 of 2.", "等一下。")
MESSAGES = [
    {"role": "system", "content": SYSTEM},
    {"role": "user", "content": IMAGE_PLACEHOLDER + "Is it normal?"},
    {"role": "assistant", "content": ANSWERS[0]},
    {"role": "user", "content": "And now?"},
    {"role": "assistant", "content": ANSWERS[1]},
]
#: What a family says before each answer, after its prompt.
GAPS = {"Mistral v0.3": " ", "SentencePiece": " ", "GLM-4": "\n"}


@pytest.fixture(scope="module", params=[*FAMILIES, SENTENCEPIECE.name])
def loaded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, TorchLanguageModel]:
    folder = write_family(request.param, tmp_path_factory.mktemp("family"))
    return request.param, TorchLanguageModel(str(folder), torch.device("cpu"))


def test_each_answer_and_its_stop_mark_is_learned_and_nothing_else(
    loaded: tuple[str, TorchLanguageModel],
) -> None:
    name, llm = loaded
    check_template(llm)
    family, gap = FAMILIES.get(name, SENTENCEPIECE), GAPS.get(name, "")
    parts = supervised_parts(llm, MESSAGES)
    assert [text for text, learned in parts if learned] == [
        gap + answer + family.end for answer in ANSWERS
    ]
    _, targets, soft = encode_turns(llm, MESSAGES, soft_tokens=3)
    assert sum(soft) == 3
    learned = [t for t in targets if t != -100]
    ends = llm.tokenizer.convert_tokens_to_ids(family.end)
    assert learned.count(ends) == 2
    assert learned[-1] == ends
    said = llm.tokenizer.decode(learned[: learned.index(ends)])
    assert said.strip() == ANSWERS[0]


def test_the_answer_stands_behind_the_prompt_that_a_conversation_gives(
    loaded: tuple[str, TorchLanguageModel],
) -> None:
    _, llm = loaded
    parts = supervised_parts(llm, MESSAGES)
    assert parts[0][0] == llm.render(MESSAGES[:2], True)
    whole = "".join(text for text, _ in parts)
    assert whole.count(SYSTEM) == 1
    assert whole.index(SYSTEM) < whole.index("Is it normal?")
    assert whole.count("And now?") == 1
    # The second question is whole, and the second prompt ends as the first does.
    assert parts[2][0].endswith(parts[0][0][parts[0][0].index("Is it normal?") + 13 :])


def test_the_tokens_are_those_of_the_prompt_and_then_of_the_answer(
    loaded: tuple[str, TorchLanguageModel],
) -> None:
    _, llm = loaded
    messages = [{**m, "content": m["content"].removeprefix(IMAGE_PLACEHOLDER)} for m in MESSAGES]
    ids, targets, _ = encode_turns(llm, messages, soft_tokens=0)
    prompt = llm.tokenize(llm.render(messages[:2], True))
    assert ids[: len(prompt)] == prompt
    assert targets[: len(prompt)] == [-100] * len(prompt)
    assert targets[len(prompt)] == ids[len(prompt)]


def test_a_thinking_model_is_told_not_to_think(tmp_path: Path) -> None:
    llm = TorchLanguageModel(str(write_family("Qwen3", tmp_path)), torch.device("cpu"))
    assert llm.render(MESSAGES[:2], True).endswith("assistant\n<think>\n\n</think>\n\n")
    learned = "".join(text for text, on in supervised_parts(llm, MESSAGES) if on)
    assert "think" not in learned


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (None, "is a base "),
        ("{{ messages[0]['content'] }}", "drops what the assistant says"),
        ("{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}", "not open an answer"),
        ("{% for m in messages %}- {{ m.content }}{% endfor %}- ", "no special token"),
        ("{% for m in messages %}<|im_start|>{{ m.content }}{% endfor %}<|im_start|>",
         "no special token"),
        ("{% for m in messages %}<|im_end|>{{ messages|length }}{{ m.content }}{% endfor %}",
         "changes what stands before"),
        ("{% for m in messages %}{{ m.content|upper }}<|im_end|>{% endfor %}", "changes what the"),
        ("{% for m in messages %}", "Unexpected end"),
        ("{{ raise_exception('not today') }}", "not today"),
        ("{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}"
         "{% if false %}{% generation %}{% endgeneration %}{% endif %}", "marks no turn"),
    ],
)  # fmt: skip
def test_a_template_that_cannot_be_used_is_refused_in_one_sentence(
    template: str | None, reason: str, tmp_path: Path
) -> None:
    llm = TorchLanguageModel(str(write_family("Qwen2.5", tmp_path)), torch.device("cpu"))
    llm.tokenizer.chat_template = template
    if template is None:  # a base model's tokenizer lacks ChatML's tokens, too
        llm.special_tokens = ["<|endoftext|>"]
    with pytest.raises(UsageError, match=reason) as refused:
        check_template(llm)
    assert str(refused.value).count(". ") == 0
    assert llm.name in str(refused.value)
