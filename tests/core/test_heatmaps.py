from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ophglm_core.conditions import DEFAULT_LABELS, default_labels
from ophglm_core.findings import Findings
from ophglm_core.heatmaps import OPACITY, heat, heat_layer, overlay
from ophglm_core.images import crop_disc, open_photograph

from ..conftest import draw_fundus


def test_heat_shows_what_speaks_for_a_label_and_where(tmp_path: Path) -> None:
    draw_fundus((256, 256)).save(tmp_path / "a.png")
    maps = np.zeros((len(DEFAULT_LABELS), 7, 7), dtype=np.float32)
    maps[1, 1, 5] = 9.0
    maps[1, 5, 1] = -9.0
    finding = Findings("x", "ok", "m", cams=maps)
    warmth = heat(maps[1], 70)
    assert warmth[15, 55] > 0.9
    assert warmth[55, 15] < 0.05
    finding = Findings(str(tmp_path / "a.png"), "ok", "m", cams=maps)
    plain = np.asarray(overlay(finding, default_labels(), "amd", 70)).astype(int)
    hot = np.asarray(overlay(finding, default_labels(), "dr", 70)).astype(int)
    difference = np.abs(hot - plain).sum(axis=2)
    assert difference[15, 55] > 60
    assert difference[55, 15] < 10


def test_a_faint_map_stays_pale() -> None:
    assert heat(np.full((7, 7), 0.4)).max() < 0.15


def test_without_maps_there_is_no_overlay(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without class activation maps"):
        overlay(Findings("x", "ok", "m"), default_labels(), "dr")


def test_a_layer_over_the_photograph_is_the_overlay(tmp_path: Path) -> None:
    draw_fundus((256, 256)).save(tmp_path / "a.png")
    maps = np.zeros((len(DEFAULT_LABELS), 7, 7), dtype=np.float32)
    maps[1, 1, 5] = 9.0
    finding = Findings(str(tmp_path / "a.png"), "ok", "m", cams=maps)
    photograph = np.asarray(crop_disc(open_photograph(tmp_path / "a.png"), 70), dtype=float)
    layer = np.asarray(heat_layer(finding, default_labels(), "dr", 70), dtype=float)
    share = OPACITY * layer[..., 3:] / 255
    laid = photograph * (1 - share) + layer[..., :3] * share
    expected = np.asarray(overlay(finding, default_labels(), "dr", 70), dtype=float)
    assert np.abs(laid - expected).max() <= 2
    assert np.abs(laid - photograph).max() > 60
