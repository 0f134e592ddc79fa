from __future__ import annotations

import threading
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ophglm_core.classifier import Classifier, EncoderPredictor, Prediction
from ophglm_core.inputs import collect
from ophglm_core.model_folder import ModelFolder

from ..conftest import draw_fundus


def test_mirrored_pictures_get_one_answer_and_mirrored_maps(
    bundled: ModelFolder, sample: Path, tmp_path: Path
) -> None:
    from PIL import Image, ImageOps

    picture = Image.open(sample).convert("RGB").resize((512, 512))
    picture.save(tmp_path / "a.png")
    ImageOps.mirror(picture).save(tmp_path / "b.png")
    both_ways = replace(bundled.manifest.encoder, views=2)
    predictor = EncoderPredictor(bundled.encoder_onnx, both_ways)
    results = [r for _, r in predictor.stream(sorted(tmp_path.iterdir()))]
    plain, mirrored = results
    assert isinstance(plain, Prediction)
    assert isinstance(mirrored, Prediction)
    assert np.abs(plain.logits - mirrored.logits).max() < 0.25  # not nil: cropping rounds
    same = np.corrcoef(plain.cams.ravel(), mirrored.cams[..., ::-1].ravel())[0, 1]
    assert same > 0.97
    fine, other = [r.cams for _, r in predictor.stream(sorted(tmp_path.iterdir()), fine=True)]
    assert fine.shape[1:] == (2 * plain.cams.shape[1], 2 * plain.cams.shape[2])
    assert np.corrcoef(fine.ravel(), other[..., ::-1].ravel())[0, 1] > 0.85
    coarse = fine.reshape(len(fine), plain.cams.shape[1], 2, plain.cams.shape[2], 2).mean((2, 4))
    assert np.corrcoef(coarse.ravel(), plain.cams.ravel())[0, 1] > 0.9


def test_a_photograph_that_is_rather_normal_is_flagged_for_what_is_more_likely_than_not(
    bundled: ModelFolder, sample: Path
) -> None:
    seen = next(Classifier(bundled).classify([sample]))
    assert seen.diseases
    assert not seen.outweighed
    manifest = deepcopy(bundled.manifest)
    head = manifest.conditions_head
    normal = seen.probabilities["normal"]
    head.calibration["normal"].threshold = head.rule_out = normal - 0.01
    ruled_out = next(Classifier(ModelFolder(bundled.path, manifest)).classify([sample]))
    assert ruled_out.positive == ["normal"]
    assert sorted(ruled_out.outweighed) == sorted(seen.diseases)
    head.rule_out = normal + 0.01
    again = next(Classifier(ModelFolder(bundled.path, manifest)).classify([sample]))
    assert again.positive == seen.positive


def test_maps_that_are_made_later_are_the_same(
    bundled: ModelFolder, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "a.jpg"
    copy.write_bytes(sample.read_bytes())
    classifier = Classifier(bundled)
    (now,) = classifier.classify([copy], keep_outputs=True, fine=True)
    passes: list[np.ndarray] = []
    session = classifier._predictor.session
    run = session.run
    monkeypatch.setattr(session, "run", lambda pixels: passes.append(pixels) or run(pixels))
    (later,) = classifier.classify([copy], keep_outputs=True, fine=True, later=True)
    views = bundled.manifest.encoder.views
    assert len(passes) == views
    copy.unlink()  # the picture is held
    assert now.cams is not None
    assert later.cams is not None
    assert later.probabilities == now.probabilities
    for row in range(3):
        assert np.array_equal(later.cams[row], now.cams[row])
    assert np.asarray(later.cams).shape == np.asarray(now.cams).shape
    assert len(passes) == 5 * views


def test_order_is_kept_and_a_broken_picture_stops_no_batch(
    bundled: ModelFolder, tmp_path: Path
) -> None:
    paths = []
    for number in range(21):
        path = tmp_path / f"{20 - number}.png"
        if number % 5 == 3:
            path.write_bytes(b"broken")
        else:
            draw_fundus((120, 120), seed=number).save(path)
        paths.append(path)
    findings = list(Classifier(bundled).classify(paths))
    assert [f.image for f in findings] == [str(p) for p in paths]
    assert [f.status == "error" for f in findings] == [n % 5 == 3 for n in range(21)]
    threads: set[int] = set()
    one = Classifier(bundled, threads=1)
    run = one._predictor._run
    one._predictor._run = lambda *given: threads.add(threading.get_ident()) or run(*given)  # type: ignore[method-assign, func-returns-value]
    assert [f.to_json() for f in one.classify(paths)] == [f.to_json() for f in findings]
    assert len(threads) == 1


def test_one_picture_alone_and_in_a_batch_get_the_same_answer(
    bundled: ModelFolder, sample: Path, tmp_path: Path
) -> None:
    classifier = Classifier(bundled)
    (alone,) = classifier.classify([sample])
    draw_fundus().save(tmp_path / "other.png")
    _, batched = classifier.classify([tmp_path / "other.png", sample])
    for label, value in alone.probabilities.items():
        assert abs(batched.probabilities[label] - value) < 1e-4


def test_collect_takes_each_picture_once(photographs: Path) -> None:
    inputs = collect([photographs / "two.png", photographs, photographs / "two.png"])
    assert len(inputs.pictures) == len(set(map(str, inputs.pictures))) == 5
    assert inputs.unusable == []
