from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ophglm_core.conditions import DEFAULT_LABELS
from ophglm_core.errors import UsageError
from ophglm_core.export.onnx import TOLERANCE, write_encoder
from ophglm_core.manifest import EncoderInfo, Head, Manifest
from ophglm_core.model_folder import ModelFolder
from ophglm_core.networks.encoder import ImageEncoder, join_encoders, load_encoder
from ophglm_core.networks.pretrained import load_imagenet_weights, load_weights_file
from ophglm_core.runtime.onnx import EncoderSession
from ophglm_core.training.augmentation import augment, draws_of, resize, to_pixels
from ophglm_core.training.encoder import masked_loss


@pytest.mark.parametrize("architecture", ["convnext_atto", "tf_efficientnet_lite0", "test_vit"])
@pytest.mark.slow
def test_both_runtimes_agree_and_maps_add_up_to_logits(architecture: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = ImageEncoder(architecture, len(DEFAULT_LABELS), 96)
    torch.nn.init.normal_(encoder.classifier.weight, std=0.5)
    difference = write_encoder(encoder, 96, tmp_path)
    assert difference <= TOLERANCE
    info = EncoderInfo(architecture, 96, encoder.features)
    head = Head("conditions", "multi_label", list(DEFAULT_LABELS))
    loaded = load_encoder(ModelFolder(tmp_path, Manifest("m", info, [head])))
    pixels = torch.rand(3, 3, 96, 96)
    with torch.no_grad():
        expected = loaded(pixels).numpy()
    output = EncoderSession(tmp_path / "encoder.onnx").run(pixels.numpy())
    assert np.abs(output.logits - expected).max() < TOLERANCE
    bias = loaded.classifier.bias.detach().numpy()
    assert np.abs(output.cams.mean(axis=(2, 3)) + bias - expected).max() < TOLERANCE
    patches = 6 if architecture == "test_vit" else 3
    assert output.cams.shape == (3, len(DEFAULT_LABELS), patches, patches)
    assert output.features.shape[1] == encoder.features
    # fp16 on disk
    parameters = sum(p.numel() for p in encoder.parameters())
    assert (tmp_path / "encoder.safetensors").stat().st_size < 2.1 * parameters + 100_000


def test_grain_in_the_surround_says_nothing(tmp_path: Path) -> None:
    """Neither in torch nor in the exported file; within the retina it is seen."""
    from ...conftest import draw_fundus

    torch.manual_seed(0)
    encoder = ImageEncoder("test_efficientnet", 3, 96).eval()
    torch.nn.init.normal_(encoder.classifier.weight, std=0.5)
    write_encoder(encoder, 96, tmp_path)
    plain = torch.from_numpy(np.asarray(draw_fundus((96, 96))).copy()).permute(2, 0, 1)[None] / 255
    outside = plain.amax(dim=1, keepdim=True) == 0
    grain = torch.rand(plain.shape) * 15 / 255
    session = EncoderSession(tmp_path / "encoder.onnx")

    def seen(pixels: torch.Tensor) -> np.ndarray:
        with torch.no_grad():
            return np.stack([encoder(pixels).numpy(), session.run(pixels.numpy()).logits])

    assert (seen(plain + grain * outside) == seen(plain)).all()
    assert (seen(plain + grain * ~outside) != seen(plain)).all()


def test_encoders_beside_each_other_say_the_mean_and_compute_what_is_alike_once(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    first = ImageEncoder("test_efficientnet", 3, 64).eval()
    second = ImageEncoder("test_efficientnet", 3, 64).eval()
    for encoder in (first, second):
        torch.nn.init.normal_(encoder.classifier.weight, std=0.5)
        torch.nn.init.normal_(encoder.norm.weight)
        torch.nn.init.normal_(encoder.norm.bias)
    joined = join_encoders(first, second)
    pixels = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(joined(pixels), (first(pixels) + second(pixels)) / 2, atol=1e-5)
        # A third: each backbone is normed for itself.
        assert torch.isfinite(join_encoders(joined, first)(pixels)).all()
    sizes = []
    for one in (joined, join_encoders(first, first)):
        assert write_encoder(one, 64, tmp_path) <= TOLERANCE
        sizes.append((tmp_path / "encoder.onnx").stat().st_size)
        output = EncoderSession(tmp_path / "encoder.onnx").run(pixels.numpy())
        with torch.no_grad():
            expected, features = one(pixels).numpy(), first.feature_map(pixels).numpy()
        bias = one.classifier.bias.detach().numpy()
        assert np.abs(output.cams.mean(axis=(2, 3)) + bias - expected).max() < TOLERANCE
        # Its fusion module goes on reading the first one's map; up to fp16.
        assert output.features.shape == features.shape
        assert np.abs(output.features - features).max() < 0.01 * np.abs(features).max()
    assert sizes[1] < 0.7 * sizes[0]
    with pytest.raises(UsageError, match="cannot stand beside"):
        join_encoders(first, ImageEncoder("test_vit", 3, 64))


def test_frozen_stages_keep_weights_and_statistics() -> None:
    encoder = ImageEncoder("test_efficientnet", 2)
    encoder.freeze(2)
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    encoder.train()
    optimizer = torch.optim.SGD([p for p in encoder.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        encoder(torch.rand(4, 3, 64, 64)).square().mean().backward()
        optimizer.step()
    after = encoder.state_dict()
    changed = {k for k, v in before.items() if not torch.equal(v, after[k])}
    assert not any(k.startswith(("backbone.conv_stem", "backbone.bn1")) for k in changed)
    assert not any(k.startswith("backbone.blocks.0") for k in changed)
    assert any(k.startswith("backbone.blocks.1") for k in changed)
    with pytest.raises(UsageError, match="stages that can be frozen, not 99"):
        encoder.freeze(99)


def test_weights_from_a_file(tmp_path: Path) -> None:
    """As trainings leave them: with settings beside them and a prefix before the names; a vision
    transformer's position embeddings fit another input size."""
    donor = ImageEncoder("test_vit", 2, 64)
    names = {f"module.{k}": v for k, v in donor.backbone.state_dict().items()}
    torch.save({"model": names, "args": Namespace(lr=1), "epoch": 3}, tmp_path / "a.pth")
    encoder = ImageEncoder("test_vit", 2, 96)
    assert load_weights_file(encoder, tmp_path / "a.pth") == "a.pth"
    for name, value in donor.backbone.state_dict().items():
        if name != "pos_embed":
            assert torch.equal(encoder.backbone.state_dict()[name], value), name
    assert encoder.backbone.pos_embed.shape[1] == 37
    save_file(donor.backbone.state_dict(), tmp_path / "b.safetensors")
    same = ImageEncoder("test_vit", 2, 64)
    load_weights_file(same, tmp_path / "b.safetensors")
    assert torch.equal(same.backbone.pos_embed, donor.backbone.pos_embed)
    with pytest.raises(UsageError, match="does not hold a test_efficientnet: 0 of its"):
        load_weights_file(ImageEncoder("test_efficientnet", 2), tmp_path / "a.pth")
    (tmp_path / "c.pth").write_bytes(b"no weights")
    with pytest.raises(UsageError, match="cannot be read as weights"):
        load_weights_file(encoder, tmp_path / "c.pth")
    torch.save({"model": {"weight": Path("x")}}, tmp_path / "code.pth")
    with pytest.raises(UsageError, match="cannot be read as weights"):  # it would run code
        load_weights_file(encoder, tmp_path / "code.pth")


def test_imagenet_weights_come_from_the_package_and_fit(tmp_path: Path) -> None:
    encoder = ImageEncoder("tf_efficientnet_lite0", 6)
    before = encoder.backbone.conv_stem.weight.clone()
    assert "efficientnet-lite0" in load_imagenet_weights(encoder)
    assert not torch.equal(before, encoder.backbone.conv_stem.weight)
    # The weights make sense in timm's network: two photographs of one thing are closer in
    # feature space than photographs of two things. With shuffled layers they are not.
    from skimage import data

    encoder.eval()
    crops = [data.astronaut(), data.chelsea(), data.coffee()]
    with torch.no_grad():
        features = []
        for image in crops:
            pixels = resize(to_pixels(torch.from_numpy(image[None].copy())), 224)
            for view in (pixels, pixels.flip(3)):
                features.append(encoder.feature_map(view).mean(dim=(2, 3)))
    table = torch.nn.functional.normalize(torch.cat(features), dim=1)
    similarity = table @ table.T
    for index in range(3):
        same = similarity[2 * index, 2 * index + 1]
        others = [similarity[2 * index, j] for j in range(6) if j // 2 != index]
        assert same > max(others) + 0.1


def test_no_weights_anywhere_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    # The variable of this name is read at import; online it would try again for a minute.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match=r"No ImageNet weights of convnext_atto"):
        load_imagenet_weights(ImageEncoder("convnext_atto", 6))


def test_gradient_checkpointing_changes_no_gradient() -> None:
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        encoder = ImageEncoder("convnext_atto", 6)
        if checkpointing:
            encoder.backbone.set_grad_checkpointing()
        encoder.dropout.p = 0.0
        encoder(torch.ones(2, 3, 64, 64) * 0.3).square().mean().backward()
        gradients.append(encoder.backbone.stem[0].weight.grad)
    assert torch.allclose(gradients[0], gradients[1], atol=1e-6)


def test_masked_loss_takes_no_account_of_unknown_labels() -> None:
    truth = torch.tensor([[1.0, float("nan"), 0.0]])
    weight = torch.ones(3)
    base = masked_loss(torch.tensor([[2.0, -5.0, -1.0]]), truth, weight)
    other = masked_loss(torch.tensor([[2.0, 7.0, -1.0]]), truth, weight)
    worse = masked_loss(torch.tensor([[-2.0, -5.0, -1.0]]), truth, weight)
    assert torch.equal(base, other)
    assert worse > base


def test_augmentation_keeps_range_surround_and_repeats_from_its_seed() -> None:
    from ...conftest import draw_fundus

    crop = torch.from_numpy(np.asarray(draw_fundus((128, 128))).copy())[None].repeat(6, 1, 1, 1)
    first = augment(crop, 112, draws_of(range(6)))
    again = augment(crop, 112, draws_of(range(6)))
    other = augment(crop, 112, draws_of(range(6, 12)))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (6, 3, 112, 112)
    assert first.min() >= 0
    assert first.max() <= 1
    assert first[:, :, 0, 0].max() == 0  # the surround stays black
    spread = first.std(dim=0).mean()
    assert spread > 0.02  # the six copies differ


def test_the_photographs_are_noisy() -> None:
    """Up to five grey levels; the same whichever photographs stand beside one in a batch."""
    plain = torch.full((64, 64, 64, 3), 128, dtype=torch.uint8)
    drawn = augment(plain, 64, draws_of(range(64)))
    assert torch.equal(drawn[5:7], augment(plain[5:7], 64, draws_of([5, 6])))
    middle = drawn[:, :, 24:40, 24:40]  # which no edge reaches
    fine = (middle - middle.mean(dim=(2, 3), keepdim=True)).std(dim=(1, 2, 3)) * 255
    assert int((fine > 0.2).sum()) >= 56
    assert 2 < fine.mean() < 3
    assert fine.max() < 6


def test_a_student_nears_its_teacher_without_any_label() -> None:
    """Answers and features: on pictures alone, the student comes to say what the teacher says."""
    from ophglm_core.training.distillation import Student, Teacher, distillation_loss

    from ...conftest import draw_fundus

    torch.manual_seed(0)
    given = ImageEncoder("tf_efficientnet_lite0", 6)
    load_imagenet_weights(given)
    torch.nn.init.normal_(given.classifier.weight, std=0.2)
    teacher = Teacher(given, 96, torch.device("cpu"))
    student = Student(ImageEncoder("convnext_atto", 6), teacher.widths)
    crops = np.stack([np.asarray(draw_fundus((64, 64), seed)) for seed in range(16)])
    pixels = to_pixels(torch.from_numpy(crops))
    answer = teacher.answer(pixels)
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-3)
    losses = []
    for _ in range(25):
        loss = distillation_loss(*student(pixels), answer)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    best = torch.nn.functional.binary_cross_entropy(answer.probabilities, answer.probabilities)
    assert losses[-1] - float(best) < 0.65 * (losses[0] - float(best))
    assert teacher.encoder.classifier.weight.grad is None


def test_a_teacher_is_asked_once_about_a_view_and_remembers_over_a_restart(tmp_path: Path) -> None:
    from ophglm_core.training.distillation import StoredAnswers, Teacher

    torch.manual_seed(0)
    teacher = Teacher(ImageEncoder("convnext_atto", 6), 64, torch.device("cpu"))
    pictures = torch.rand(5, 3, 64, 64)
    asked: list[int] = []

    def pixels(some: Sequence[int]) -> torch.Tensor:
        asked.extend(some)
        return pictures[list(some)]

    answers = StoredAnswers(tmp_path, teacher, samples=5, size=64, views=2)
    first = answers.answer([3, 1], 0, pixels)
    assert asked == [3, 1]
    again = StoredAnswers(tmp_path, teacher, samples=5, size=64, views=2)
    second = again.answer([1, 4, 3], 0, pixels)
    assert asked == [3, 1, 4]
    expected = teacher.answer(pictures[[3, 1]])
    assert torch.allclose(first.probabilities, expected.probabilities, atol=1e-6)
    assert torch.equal(second.probabilities[[2, 0]], first.probabilities)
    for held, fine in zip(second.maps, expected.maps, strict=True):
        assert torch.allclose(held[[2, 0]], fine, atol=2e-2, rtol=1e-2)
    again.answer([3], 1, pixels)
    assert asked == [3, 1, 4, 3]
