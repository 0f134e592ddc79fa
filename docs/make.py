"""Makes the parts of docs/ that come from the program: `python docs/make.py`.

commands.md holds the help of every command, coverage.md what the library has on each subject,
session.svg a conversation about the public-domain
sample photograph, heatmap.jpg where the classifier looked in it.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from ophglm_cli.lazy import LazyCommand
from ophglm_cli.main import app

DOCS = Path(__file__).parent
OPHGLM = Path(sys.executable).with_name("ophglm")
QUESTION = "How often do the eyes have to be examined?"
_STANDARD = ("help", "install_completion", "show_completion")


def commands() -> str:
    """Return the help of all commands as Markdown, the same on every version of typer."""
    import typer

    lines = ["# Commands", "", "Made by `python docs/make.py` from the program's own help."]
    for name, command in walk("ophglm", typer.main.get_command(app)):
        lines += ["", f"## `{name}`", "", " ".join((command.help or "").split())]
        options = [p for p in command.params if p.name not in _STANDARD]
        if options:
            lines += ["", "| option | default | what it is |", "| --- | --- | --- |"]
        for option in options:
            flags = ", ".join(f"`{flag}`" for flag in option.opts)
            if option.param_type_name == "argument":
                flags = f"`{option.name.upper()}`"
            plain = option.default is None or callable(option.default) or option.default is False
            default = "" if plain or option.required else f"`{option.default}`"
            text = " ".join((getattr(option, "help", "") or "").split()).replace("|", "\\|")
            lines.append(f"| {flags} | {default} | {text} |")
    return "\n".join(lines) + "\n"


def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    command = command.load() if isinstance(command, LazyCommand) else command
    yield name, command
    for part, below in sorted(getattr(command, "commands", {}).items()):
        yield from walk(f"{name} {part}", below)


def coverage() -> str:
    """Return how many entries the library has on each subject and topic, as Markdown."""
    from collections import Counter

    from ophglm_core.conditions import DEFAULT_LABELS
    from ophglm_core.knowledge.library import TOPICS, entries, subjects

    library = entries()
    cells = Counter((e.subject, e.topic) for e in library)
    verified = Counter(e.subject for e in library if e.verified)
    total = Counter(e.subject for e in library)
    labels = [label for label in DEFAULT_LABELS if total[label]]  # "other" has no entries
    lines = [
        "# What the library covers",
        "",
        "Made by `python docs/make.py` from `ophglm_core/knowledge/entries`.",
        "[Knowledge](knowledge.md) says what verified means.",
        "",
        f"{len(library)} entries, {sum(verified.values())} verified "
        f"({sum(verified.values()) / len(library):.0%}).",
        "",
        "| topic | " + " | ".join(labels) + " |",
        "| --- " * (len(labels) + 1) + "|",
    ]
    for topic in TOPICS:
        counts = [cells[label, topic] or "-" for label in labels]
        lines.append(f"| {topic.replace('_', ' ')} | " + " | ".join(map(str, counts)) + " |")
    lines += ["", "| subject | entries | verified | topics |", "| --- | --- | --- | --- |"]
    for key in sorted(total, key=lambda k: -total[k]):
        topics = ", ".join(
            f"{topic.replace('_', ' ')} {cells[key, topic]}"
            for topic in TOPICS
            if cells[key, topic]
        )
        lines.append(f"| {subjects()[key].name} | {total[key]} | {verified[key]} | {topics} |")
    return "\n".join(lines) + "\n"


def session() -> str:
    """Return a picture of a conversation, as SVG."""
    from rich.console import Console
    from rich.text import Text

    command = f'ophglm chat --image sample --prompt "{QUESTION}"'
    told = subprocess.run(
        [OPHGLM, "chat", "--image", "sample", "--prompt", QUESTION], capture_output=True, text=True
    )
    told.check_returncode()
    console = Console(record=True, width=88, file=io.StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "green"), (command, "bold")))
    console.print(Text(told.stdout.strip()))
    return console.export_svg(title="ophglm", unique_id="ophglm")


def heatmap() -> Image.Image:
    """Return the sample photograph, and beside it where the classifier looked."""
    from ophglm_core.assets import sample_path

    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [OPHGLM, "classify", "sample", "--heatmaps", folder], check=True, capture_output=True
        )
        overlay = Image.open(next(Path(folder).rglob("*.jpg"))).convert("RGB")
    side = overlay.width  # below it is its legend
    picture = Image.open(sample_path()).convert("RGB").resize((side, side))
    both = Image.new("RGB", (2 * side, overlay.height))
    both.paste(picture, (0, 0))
    both.paste(overlay, (side, 0))
    return both


if __name__ == "__main__":
    (DOCS / "commands.md").write_text(commands(), encoding="utf-8")
    (DOCS / "coverage.md").write_text(coverage(), encoding="utf-8")
    (DOCS / "session.svg").write_text(session(), encoding="utf-8")
    heatmap().save(DOCS / "heatmap.jpg", quality=85)
