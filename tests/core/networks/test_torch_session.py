"""The torch runtime: the same conversation as llama.cpp's, computed by transformers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GenerationConfig

from ophglm_core.assets import embedded_gguf
from ophglm_core.errors import UsageError
from ophglm_core.export.gguf import unpacked
from ophglm_core.llm_source import find_llm
from ophglm_core.model_folder import open_model
from ophglm_core.networks.language_model import TorchLanguageModel
from ophglm_core.networks.torch_session import TorchSession
from ophglm_core.runtime.llama import LlamaSession
from ophglm_core.runtime.session import Decoding
from ophglm_core.runtime.vqa import VqaRuntime
from ophglm_core.runtimes import TorchRuntime, open_runtime, runtime_of

from ...tiny import write_tiny_adapter, write_tiny_family

#: Families whose decoders, templates or tokens' scale differ from Llama's.
_FAMILIES = ("qwen2", "qwen3", "glm4", "mistral", "phi3", "gemma2", "gemma3")


@pytest.fixture(scope="module")
def weights(tiny_gguf: Path) -> TorchLanguageModel:
    return TorchLanguageModel(str(tiny_gguf), torch.device("cpu"))


@pytest.fixture
def session(weights: TorchLanguageModel) -> TorchSession:
    return TorchSession(weights, 256)


@pytest.fixture(scope="module")
def local(tiny_gguf: Path) -> Iterator[LlamaSession]:
    with unpacked(tiny_gguf) as copy:
        session = LlamaSession(copy, 256)
        yield session
        session.close()


def turn(question: str, session: Any) -> str:
    prompt: str = session.render([{"role": "user", "content": question}], True)
    return prompt


def say(session: Any, prompt: str, soft_tokens: np.ndarray | None = None, limit: int = 12) -> str:
    session.truncate(0)
    session.append_prompt(prompt, soft_tokens)
    return "".join(session.generate(limit))


@pytest.mark.parametrize("runtime", ["torch", "local"])
def test_words_are_drawn_by_temperature_and_seed(
    runtime: str, session: TorchSession, local: LlamaSession
) -> None:
    drawing: TorchSession | LlamaSession = session if runtime == "torch" else local
    prompt = turn("Is it normal?", drawing)

    def drawn(temperature: float, seed: int) -> str:
        drawing.truncate(0)
        drawing.append_prompt(prompt)
        return "".join(drawing.generate(12, Decoding(temperature, seed)))

    plain = say(drawing, prompt)
    assert drawn(1.5, 7) == drawn(1.5, 7) != plain
    assert len({drawn(1.5, seed) for seed in range(4)}) > 1
    assert drawn(0, 8) == plain
    assert drawn(1e-6, 8) == plain  # next to nothing but the most probable


@pytest.mark.parametrize(("temperature", "seed"), [(-0.1, 0), (2.1, 0), (float("nan"), 0), (1, -1)])
def test_what_is_no_temperature_or_seed_is_refused(temperature: float, seed: int) -> None:
    with pytest.raises(UsageError):
        Decoding(temperature, seed)


@pytest.mark.parametrize("soft", [False, True])
def test_both_runtimes_say_the_same(soft: bool, session: TorchSession, local: LlamaSession) -> None:
    rows = np.random.default_rng(0).normal(size=(4, 128)).astype(np.float32)
    given = rows if soft else None
    prompt = turn("<image>Is it normal?", session)
    assert prompt == turn("<image>Is it normal?", local)
    assert say(session, prompt, given) == say(local, prompt, given) != ""
    assert session.tokens[-12:] == local.tokens[-12:]
    # llama.cpp keeps keys and values in fp16, hence no equality.
    assert np.corrcoef(session.next_logits(), local.next_logits())[0, 1] > 0.9999


def test_an_answer_ends_where_the_generation_config_alone_says_so(session: TorchSession) -> None:
    prompt = turn("Is it normal?", session)
    assert say(session, prompt)
    first = session.tokens[len(session.tokenize(prompt))]
    llm = copy(session._llm)
    llm.model = copy(llm.model)
    llm.model.generation_config = GenerationConfig(eos_token_id=[first])
    vars(llm).pop("end_tokens", None)
    assert say(TorchSession(llm, 256), prompt) == ""


def test_soft_tokens_are_read(session: TorchSession) -> None:
    prompt = turn("<image>Is it normal?", session)

    def logits(rows: np.ndarray | None) -> np.ndarray:
        session.truncate(0)
        session.append_prompt(prompt, rows)
        return session.next_logits()

    rows = np.random.default_rng(0).normal(size=(4, 128)).astype(np.float32)
    first = logits(rows)
    assert np.abs(logits(rows[::-1] * 2) - first).max() > 0.01
    assert np.abs(logits(None) - first).max() > 0.01
    assert np.allclose(logits(rows), first, atol=1e-4)


@pytest.mark.slow
def test_the_embedded_model_says_the_same(llm: TorchLanguageModel) -> None:
    """Whole answers, greedy: what parity asks of the first token only."""
    ours = TorchSession(llm, 512)
    rows = np.random.default_rng(0).normal(size=(4, 576)).astype(np.float32) * 0.1
    with unpacked(embedded_gguf()) as copy:
        theirs = LlamaSession(copy, 512)
        for question, given in (("What is glaucoma?", None), ("<image>Is it normal?", rows)):
            prompt = turn(question, ours)
            assert say(ours, prompt, given, 24) == say(theirs, prompt, given, 24)
            assert ours.tokens == theirs.tokens
        theirs.close()


def test_a_turn_reads_only_what_is_new(session: TorchSession) -> None:
    answer = say(session, turn("What is glaucoma?", session))
    before = session.computed
    addition = "<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n"
    session.append_text(addition)
    grown = "".join(session.generate(6))
    # The last token of an answer has not been read, being written.
    assert session.computed - before <= session.count(addition) + 1 + 6
    assert grown
    fresh = TorchSession(session._llm, 256)
    whole = turn("What is glaucoma?", session) + answer + addition
    # Taken back, and kept as far as it is the same.
    assert np.allclose(logits_after(fresh, whole), logits_after(session, whole), atol=1e-3)


def logits_after(session: TorchSession, text: str) -> np.ndarray:
    session.truncate(0)
    session.append_text(text)
    return session.next_logits()


@pytest.mark.parametrize("typed", ["<|im_end|>", "<|im_start|>system", "<|endoftext|>"])
def test_a_typed_turn_mark_is_text(session: TorchSession, typed: str) -> None:
    def marks(content: str) -> int:
        tokens = session.tokenize(turn(content, session))
        return sum(token <= 2 for token in tokens)

    assert marks(f"Hello {typed} there") == marks("Hello there") > 0


def test_an_interrupt_leaves_a_context_that_can_be_used(
    session: TorchSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = turn("What is glaucoma?", session)
    expected = logits_after(TorchSession(session._llm, 256), prompt)
    second = session._llm.model.get_decoder().layers[1]
    calls = 0

    def interrupted(*arguments: Any, **options: Any) -> None:
        nonlocal calls
        calls += 1
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(second, "forward", interrupted)
        with pytest.raises(KeyboardInterrupt):
            say(session, prompt)
    assert calls == 1
    assert np.allclose(logits_after(session, prompt), expected, atol=1e-4)


def test_stopping_an_answer_keeps_what_was_said(session: TorchSession) -> None:
    session.append_prompt(turn("What is glaucoma?", session))
    length = len(session.tokens)
    pieces = session.generate(12)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert len(session.tokens) > length
    assert "".join(session.generate(3)) != ""


def test_a_full_context_and_what_does_not_fit(session: TorchSession) -> None:
    session.append_text("one two three four " * 80)
    assert list(session.generate(5)) == []
    with pytest.raises(UsageError, match="do not fit a model of width 128"):
        session.append_embeddings(np.zeros((2, 64), np.float32))


def test_the_adapter_is_one_session_s_alone(tiny_gguf: Path, tmp_path: Path) -> None:
    adapter = write_tiny_adapter(tiny_gguf, tmp_path)
    runtime = TorchRuntime(find_llm(str(tiny_gguf)))
    bare, adapted = runtime.session(256), runtime.session(256, adapter)
    prompt = turn("What is glaucoma?", bare)
    plain = TorchSession(TorchLanguageModel(str(tiny_gguf), torch.device("cpu")), 256)
    expected = logits_after(plain, prompt)
    moved = logits_after(adapted, prompt)
    assert np.allclose(logits_after(bare, prompt), expected, atol=1e-4)
    assert np.abs(moved - expected).max() > 0.01
    assert np.allclose(logits_after(adapted, prompt), moved, atol=1e-4)


@pytest.mark.parametrize("family", _FAMILIES)
def test_other_families_chat(family: str, tmp_path: Path) -> None:
    folder = write_tiny_family(family, tmp_path / family)
    runtime = open_runtime(find_llm(str(folder)), "torch")
    session = runtime.session(128)
    assert session.profile.instructs
    assert not session.profile.capable
    prompt = turn("Is it <|im_end|> normal?", session)
    rows = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)
    first = say(session, prompt.replace("Is it", "<image>Is it"), rows, 8)
    before = session.computed
    session.append_text("What else? ")
    list(session.generate(4))
    assert session.computed - before <= session.count("What else? ") + 5
    # Cached in pieces, the context means what it means when it is computed at once.
    text = prompt + "and more of it"
    pieces = logits_after(session, text)
    assert np.allclose(pieces, logits_after(runtime.session(128), text), atol=1e-4)
    assert say(session, prompt.replace("Is it", "<image>Is it"), rows, 8) == first


def test_a_conversation_in_four_bits(tmp_path: Path) -> None:
    source = find_llm(str(write_tiny_family("qwen2", tmp_path / "qwen2")))
    runtime = open_runtime(source, "torch", four_bit=True)
    assert "4 bits" in runtime.description
    packed = runtime.session(256)
    prompt = turn("<image>Is it normal?", packed)
    rows = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)
    assert say(packed, prompt, rows, 8) != ""
    # Sixteen values a weight: near what the weights say, and not it.
    exact = logits_after(open_runtime(source, "torch").session(256), prompt)
    rounded = logits_after(packed, prompt)
    assert 0.9 < np.corrcoef(exact, rounded)[0, 1] < 0.99999


def test_photographs_are_read_through_torch(tiny_model: Path) -> None:
    model = open_model(tiny_model)
    assert model.manifest.fusion is not None
    fusion = model.manifest.fusion
    network = fusion.network
    side = round(network.patches**0.5)
    features = np.random.default_rng(0).normal(size=(network.image_width, side, side))
    reader = VqaRuntime(model, runtime_of(model, fusion, runtime="torch").session)
    for given in ([features.astype(np.float32)], None):
        assert reader.answer("Is it normal?", "en", given) != ""
        soft = sum(token < 0 for token in reader._session.get().tokens)
        assert soft == (network.soft_tokens if given else 0)


def test_what_cannot_be_run_is_said_in_a_sentence(
    tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(UsageError, match="holds no language model"):
        find_llm(str(folder))
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"nothing")
    source = find_llm(str(folder))
    with pytest.raises(UsageError, match="cannot be loaded"):
        open_runtime(source, "torch").session()
    with pytest.raises(UsageError, match="no CUDA card here"):
        open_runtime(source)
    with pytest.raises(UsageError, match=r"docs/runtimes\.md"):
        open_runtime(source, "local")
    with pytest.raises(UsageError, match="add --runtime torch"):
        open_runtime(source, four_bit=True)
    with pytest.raises(UsageError, match="is no runtime"):
        open_runtime(source, "mlx")
    gguf = find_llm(str(tiny_gguf))
    with pytest.raises(UsageError, match="--4bit is for the torch runtime"):
        open_runtime(gguf, "local", four_bit=True)
    with pytest.raises(UsageError, match="--gpu-layers is llama"):
        open_runtime(gguf, "torch", gpu_layers=3)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UsageError, match=r"ophglm\[train\]"):
        open_runtime(gguf, "torch")
    assert open_runtime(gguf).description == "llama.cpp"
