"""A classifier that opens pictures and makes up what they show, and `ophglm classify` with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from ophglm_cli.main import app
from ophglm_core.conditions import DEFAULT_LABELS, default_labels
from ophglm_core.errors import InputError
from ophglm_core.findings import Findings
from ophglm_core.images import load_disc

from ..conftest import draw_fundus

Run = Callable[..., Result]


class MadeUp:
    """Finds diabetic retinopathy in every picture that can be opened. seen: what it was given.
    stop_after: so many pictures."""

    model: SimpleNamespace
    views = 1
    thresholds: ClassVar = dict.fromkeys(DEFAULT_LABELS, 0.5)
    rule_out = None
    referable = 0.5
    device = "CPU"

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.stop_after = 10**9

    def classify(
        self, pictures: Iterable[Path], keep_outputs: bool = False, fine: bool = False
    ) -> Iterator[Findings]:
        for number, picture in enumerate(pictures):
            if number == self.stop_after:
                raise KeyboardInterrupt
            self.seen.append(picture.name)
            try:
                side = load_disc(picture, 64).side
            except InputError as error:
                yield Findings(str(picture), "error", "m", message=str(error))
                continue
            probabilities = dict.fromkeys(DEFAULT_LABELS, 0.0) | {"dr": side / 10_000}
            cams = np.ones((len(DEFAULT_LABELS), 4, 4), np.float32) if keep_outputs else None
            yield Findings(
                str(picture), "ok", "m", probabilities, ["dr"], 2, referable=True, cams=cams
            )


def answers_instead(classifier: MadeUp, monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    """Have a classifier take the place of the bundled model's."""
    encoder = SimpleNamespace(sha256="e" * 64, input_size=64)
    classifier.model = SimpleNamespace(identity="m", manifest=SimpleNamespace(encoder=encoder))
    assistant = SimpleNamespace(
        classifier=classifier, labels=default_labels(), model=classifier.model
    )
    monkeypatch.setattr("ophglm_core.load", lambda model, **_: assistant)
    return classifier


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    return answers_instead(MadeUp(), monkeypatch)


@pytest.fixture
def run(made_up: MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def call(*arguments: str | Path | bytes, given: bytes = b"") -> Result:
        words = [os.fsdecode(argument) for argument in arguments]
        result = CliRunner().invoke(app, ["classify", *words], input=given)
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four drawn photographs."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(4):
        draw_fundus((150, 140), seed=number).save(folder / f"{number}.png")
    return folder
