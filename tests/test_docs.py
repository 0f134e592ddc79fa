"""What docs/ says of the program is what the program says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_help_texts_are_not_stale() -> None:
    spec = importlib.util.spec_from_file_location("make", ROOT / "docs" / "make.py")
    assert spec is not None
    assert spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    held = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert make.commands() == held, "run python docs/make.py"
    assert held.count("## `ophglm ") >= 11
    coverage = (ROOT / "docs" / "coverage.md").read_text(encoding="utf-8")
    assert make.coverage() == coverage, "run python docs/make.py"


def test_links_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    assert len(pages) >= 8
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), (page.name, target)


def test_options_in_the_pages_exist() -> None:
    held = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for line in re.findall(r"^ophglm [^\n]+", page.read_text(encoding="utf-8"), re.M):
            for option in re.findall(r"(--[a-z0-9-]+)", line.split("#")[0]):
                assert f"`{option}`" in held, (page.name, line)
