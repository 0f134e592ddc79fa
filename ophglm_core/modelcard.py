"""The model card of a model folder, written from its manifest."""

from __future__ import annotations

from pathlib import Path

from .modelfolder import Manifest


def write_card(folder: Path, manifest: Manifest) -> None:
    """Write `README.md` into a model folder."""
    (folder / "README.md").write_text(f"# {manifest.name}\n", encoding="utf-8")
