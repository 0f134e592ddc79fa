"""Stage 3 with the real small language model: what it learns from, and its adapter."""

from __future__ import annotations

import copy
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from ophglm_core.assets import embedded_gguf, sample_path
from ophglm_core.conditions import default_labels
from ophglm_core.data.build_instructions import build_instructions
from ophglm_core.export.adapter_gguf import adapter_layout, to_llama_order, write_adapter_gguf
from ophglm_core.export.parity import adapter_parity
from ophglm_core.networks.language_model import TorchLanguageModel
from ophglm_core.networks.lora import add_adapter, write_peft
from ophglm_core.prompts import IMAGE_PLACEHOLDER
from ophglm_core.training.batches import encode_turns
from ophglm_core.training.config import Callbacks, SftConfig
from ophglm_core.training.sft import AdapterModule, SftStage, with_picture, without_picture
from ophglm_core.training.trainer import make_accelerator

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tuned(llm: TorchLanguageModel) -> TorchLanguageModel:
    """The embedded language model with an adapter that is not zero, as after some training."""
    llm = copy.deepcopy(llm)
    torch.manual_seed(0)
    llm.model = add_adapter(llm.model, rank=4, alpha=8)
    for name, parameter in llm.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.08)
    return llm


@pytest.mark.slow
def test_loss_is_on_the_assistants_words_only(tuned: TorchLanguageModel) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": IMAGE_PLACEHOLDER + "Is it normal?"},
        {"role": "assistant", "content": "Yes, it is."},
        {"role": "user", "content": "And now?"},
        {"role": "assistant", "content": "Wait."},
    ]
    ids, targets, places = encode_turns(tuned, messages, soft_tokens=16)
    assert len(ids) == len(targets) == len(places)
    assert sum(places) == 16
    learned = [t for t in targets if t != -100]
    said = tuned.tokenizer.decode(learned)
    assert said == "Yes, it is.<|im_end|>Wait.<|im_end|>"
    shown = tuned.tokenizer.decode([i for i, p in zip(ids, places, strict=True) if not p])
    whole = tuned.render(
        [{**m, "content": m["content"].replace(IMAGE_PLACEHOLDER, "")} for m in messages],
        add_generation_prompt=False,
    )
    assert shown == whole.rstrip("\n")


def test_samples_are_asked_as_a_conversation_asks() -> None:
    texts = [t for t in build_instructions() if t.language == "en"]
    treatment = next(t for t in texts if t.label == "dr" and t.topic == "treatment")
    forms = [
        with_picture(treatment, "a.jpg", ("dr",), default_labels(), random.Random(s))
        for s in range(20)
    ]
    for form in forms:
        assert form.messages[0]["content"].count("diabetic retinopathy") == 1
        shown = IMAGE_PLACEHOLDER if form.image else ""
        assert form.messages[1]["content"].startswith(shown + treatment.messages[0]["content"])
    assert 10 < sum(form.image == "a.jpg" for form in forms) < 20
    with_facts = [f for f in forms if "\nFacts: " in f.messages[1]["content"]]
    assert 5 < len(with_facts) < 18
    assert all(f.messages[2]["content"] == treatment.plain for f in with_facts)
    assert (
        IMAGE_PLACEHOLDER not in without_picture(treatment, random.Random(0)).messages[1]["content"]
    )


@pytest.mark.slow
def test_a_few_steps_lower_the_loss_and_move_the_adapter_alone(
    tiny_model: Path, tiny_gguf: Path, tmp_path: Path
) -> None:
    texts = [t for t in build_instructions() if len(t.messages) == 2]
    data = tmp_path / "texts.jsonl"
    data.write_text("\n".join(json.dumps(t.to_json(), ensure_ascii=False) for t in texts))
    photographs = tmp_path / "photographs"
    (photographs / "dr").mkdir(parents=True)
    shutil.copy(sample_path(), photographs / "dr" / "a.jpg")
    config = SftConfig(
        model=tiny_model,
        data=data,
        llm=str(tiny_gguf),
        photographs=(photographs,),
        out=tmp_path / "out",
        rank=4,
        alpha=8,
        text_share=0.5,
        samples=12,
        max_length=256,
        precision="no",
    )
    stage = SftStage(config)
    stage.judged = stage.judged[:8]
    stage.prepare(make_accelerator(config), Callbacks())
    tuned, fusion = stage.llm, stage.fusion
    assert fusion is not None
    drawn = stage.epoch_samples(0)
    assert 0 < sum(s.image is not None for s in drawn) < 12
    assert drawn != stage.epoch_samples(1)
    assert drawn == stage.epoch_samples(0)
    order = stage.order(0, 0, 3)
    assert sorted(order) == list(range(12))
    assert order == stage.order(0, 0, 3)
    lengths = [drawn[i].length for i in order]
    spread = sum(max(lengths[i : i + 3]) - min(lengths[i : i + 3]) for i in range(0, 12, 3))
    by_chance = [s.length for s in drawn]
    unsorted = sum(max(by_chance[i : i + 3]) - min(by_chance[i : i + 3]) for i in range(0, 12, 3))
    assert spread < unsorted
    frozen = {k: v.clone() for k, v in tuned.model.named_parameters() if "lora_" not in k}
    module = stage.module
    assert isinstance(module, AdapterModule)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2)
    losses = []
    for _ in range(6):
        loss = stage.loss(module, [0, 1, 2, 3], 0, torch.Generator())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.85 * losses[0]
    assert all(torch.equal(v, frozen[k]) for k, v in tuned.model.named_parameters() if k in frozen)
    assert all(p.grad is None for p in fusion.parameters())
    live = [p.clone() for p in module.parameters()]
    metrics = stage.evaluate(module, 0)
    assert metrics["perplexity"] == pytest.approx(np.exp(metrics["held_out_loss"]))
    assert all(torch.equal(a, b) for a, b in zip(live, module.parameters(), strict=True))


@pytest.mark.slow
def test_both_runtimes_say_the_same_with_the_adapter_on(
    llm: TorchLanguageModel, tmp_path: Path
) -> None:
    llm = copy.deepcopy(llm)
    torch.manual_seed(0)
    llm.model = add_adapter(llm.model, rank=4, alpha=8)
    for name, parameter in llm.model.named_parameters():
        if "lora_B" in name:
            # Much of q and k, or their rows could stand in the wrong order and hardly be missed.
            torch.nn.init.normal_(
                parameter, std=0.3 if "q_proj" in name or "k_proj" in name else 0.02
            )
    write_peft(llm.model, tmp_path)
    write_adapter_gguf(tmp_path, adapter_layout(llm.model, embedded_gguf()))
    parity = adapter_parity(tmp_path, None)
    assert parity["correlation"] > 0.9999
    assert parity["top1_agreement"] == 1
    assert parity["with_and_without"] < 0.99  # the adapter does change what is said


def test_the_order_of_the_rotary_halves() -> None:
    """Row i of the first half and row i of the second come to stand beside each other."""
    weight = torch.arange(16.0)[:, None].repeat(1, 3)
    turned = to_llama_order(weight, heads=2)[:, 0].tolist()
    assert turned == [0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15]


@pytest.mark.slow
def test_what_all_samples_begin_with_is_computed_once_and_changes_nothing(
    llm: TorchLanguageModel,
) -> None:
    from ophglm_core.prompts import vqa_messages
    from ophglm_core.training.batches import pad, token_losses

    pairs = (("Is it normal?", "Yes."), ("Which diseases does this eye show?", "Glaucoma."))
    said = [[*vqa_messages(q), {"role": "assistant", "content": a}] for q, a in pairs]
    batch = pad([encode_turns(llm, s, soft_tokens=3) for s in said])
    torch.manual_seed(0)
    rows = torch.randn(2, 3, llm.width) * llm.scale
    rows.requires_grad_(True)
    gradients = []
    for frozen in (False, True):
        losses, owners = token_losses(llm, batch, rows, frozen)
        rows.grad = None
        losses.sum().backward()
        assert rows.grad is not None
        gradients.append((losses.detach(), owners, rows.grad.clone()))
    assert torch.allclose(gradients[0][0], gradients[1][0], atol=1e-3)
    assert torch.equal(gradients[0][1], gradients[1][1])
    whole, shared = (g[2].flatten() for g in gradients)
    assert torch.cosine_similarity(whole, shared, dim=0) > 0.9999
    assert llm._prefixes


@pytest.mark.slow
def test_a_frozen_model_in_bfloat16_teaches_the_same(llm: TorchLanguageModel, plain: Path) -> None:
    from ophglm_core.prompts import vqa_messages
    from ophglm_core.training.batches import pad, token_losses

    said = [*vqa_messages("Is it normal?"), {"role": "assistant", "content": "No sign of disease."}]
    rows, losses, gradients = torch.randn(1, 3, 576), [], []
    for half in (False, True):
        llm = TorchLanguageModel(str(plain), CPU, half=True) if half else llm
        assert llm.model.get_decoder().layers[0].mlp.up_proj.weight.dtype == (
            torch.bfloat16 if half else torch.float32
        )
        given = (rows * llm.scale).requires_grad_(True)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = token_losses(llm, pad([encode_turns(llm, said, soft_tokens=3)]), given, True)[0]
        loss.sum().backward()
        assert given.grad is not None
        losses.append(loss.mean().item())
        gradients.append(given.grad.flatten())
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    assert torch.cosine_similarity(*gradients, dim=0) > 0.95


@pytest.mark.slow
def test_a_merged_file_says_what_model_and_adapter_say(
    tuned: TorchLanguageModel, tmp_path: Path
) -> None:
    from ophglm_core.errors import UsageError
    from ophglm_core.export.gguf import merge_adapter
    from ophglm_core.runtime.llama import LlamaSession

    write_peft(tuned.model, tmp_path)
    write_adapter_gguf(tmp_path, adapter_layout(tuned.model, embedded_gguf()))
    adapter, base = tmp_path / "adapter.gguf", embedded_gguf()

    def logits(path: Path, lora: Path | None) -> np.ndarray:
        session = LlamaSession(path, 256, lora)
        session.append_text("Glaucoma is a disease of the")
        result = session.next_logits()
        session.close()
        return result

    expected, plain = logits(base, adapter), logits(base, None)
    merged = tmp_path / "merged.gguf"
    merge_adapter(base, adapter, merged, "F16")
    got = logits(merged, None)
    assert np.corrcoef(got, expected)[0, 1] > 0.999
    assert np.corrcoef(got, plain)[0, 1] < 0.995
    merge_adapter(base, adapter, merged, "Q4_K_M")
    assert merged.stat().st_size < 120e6
    assert np.corrcoef(logits(merged, None), expected)[0, 1] > 0.97
    with pytest.raises(UsageError, match="is not one of"):
        merge_adapter(base, adapter, merged, "Q1")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["adapter", "adapter.gguf", "merged.gguf"]


@pytest.mark.slow
def test_an_adapter_on_a_language_model_in_four_bits(llm: TorchLanguageModel, plain: Path) -> None:
    """QLoRA, on this machine's CPU: the weights are 4-bit, and the adapter's gradient is there."""
    pytest.importorskip("bitsandbytes")
    from ophglm_core.errors import UsageError
    from ophglm_core.training.batches import pad, token_losses

    with pytest.raises(UsageError, match="quantised already"):
        TorchLanguageModel(None, CPU, four_bit=True)
    packed = TorchLanguageModel(str(plain), CPU, four_bit=True)
    packed.model.train()
    said = [
        {"role": "user", "content": "Is it normal?"},
        {"role": "assistant", "content": "Yes, it is."},
    ]
    batch = pad([encode_turns(packed, said, soft_tokens=0)])
    with torch.no_grad():
        rounded, _ = token_losses(packed, batch, None)
        exact, _ = token_losses(llm, batch, None)
    assert rounded.mean() == pytest.approx(exact.mean(), rel=0.25)
    kept = packed.model.get_decoder().layers[0].self_attn.q_proj.weight
    assert kept.dtype == torch.uint8
    packed.model = add_adapter(packed.model, rank=4, alpha=8)
    losses, _ = token_losses(packed, batch, None)
    losses.mean().backward()
    gradients = [p.grad for n, p in packed.model.named_parameters() if "lora_B" in n]
    assert all(g is not None and g.abs().max() > 0 for g in gradients)
