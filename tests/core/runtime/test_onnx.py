from __future__ import annotations

from typing import Any

import onnxruntime
import pytest

from ophglm_core.model_folder import ModelFolder
from ophglm_core.runtime.onnx import EncoderSession, TextEncoderSession


@pytest.mark.parametrize("card", [True, False])
def test_the_image_encoder_alone_goes_to_a_card(
    bundled: ModelFolder, monkeypatch: pytest.MonkeyPatch, card: bool
) -> None:
    there = ["CUDAExecutionProvider"] * card + ["CPUExecutionProvider"]
    asked: list[list[str]] = []
    load = onnxruntime.InferenceSession

    def session(path: str, options: Any, providers: list[tuple[str, dict[str, str]]]) -> Any:
        asked.append([name for name, _ in providers])
        return load(path, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: there)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    assert EncoderSession(bundled.encoder_onnx).device == "CPU"  # where it really is
    TextEncoderSession(bundled.path / "text_encoder.onnx", bundled.path / "tokenizer.json")
    assert asked == [there, ["CPUExecutionProvider"]]
