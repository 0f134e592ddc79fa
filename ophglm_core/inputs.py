"""What is to be classified: photographs named one by one, and those that lie in folders."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .assets import SAMPLE, sample_path
from .files import FileKeys
from .findings import Findings
from .images import Picture
from .picture_files import looks_like_picture


@dataclass
class PassedOver:
    """What a search left out. kinds: how many files of each kind, which is the suffix, 'without a
    suffix', 'hidden' or 'hidden folder'. unreadable: the folders that could not be read."""

    kinds: Counter[str] = field(default_factory=Counter)
    unreadable: list[Path] = field(default_factory=list)


def find_images(folder: Path, passed_over: PassedOver | None = None) -> Iterator[Path]:
    """Yield the pictures below `folder`, recursively and sorted.

    Links to folders are followed, each folder once; hidden files and folders are passed over.
    passed_over: is told what was left out.
    """
    left_out = passed_over if passed_over is not None else PassedOver()

    def unreadable(error: OSError) -> None:
        left_out.unreadable.append(Path(error.filename or folder))

    seen: set[str] = set()
    for place, folders, files in os.walk(folder, onerror=unreadable, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        left_out.kinds["hidden folder"] += sum(name.startswith(".") for name in folders)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(place, name)
            if name.startswith("."):
                left_out.kinds["hidden"] += 1
            elif looks_like_picture(path):
                yield path
            else:
                left_out.kinds[path.suffix.lower() or "without a suffix"] += 1


@dataclass
class Inputs:
    """What was named. pictures: files, and pictures in memory as they are. unusable: with status
    'error', the paths that name nothing. passed_over: what was left out of folders."""

    pictures: list[Picture] = field(default_factory=list)
    unusable: list[Findings] = field(default_factory=list)
    passed_over: PassedOver = field(default_factory=PassedOver)


def collect(items: Iterable[Picture | str]) -> Inputs:
    """Gather the photographs that are named: files and pictures in memory as they are, folders
    recursively, each file once, however it is named."""
    inputs = Inputs()
    seen: set[str] = set()
    keys = FileKeys()
    for item in items:
        if not isinstance(item, str | Path):
            inputs.pictures.append(item)
            continue
        path = Path(item)
        found: Iterable[Path] = [path]
        if os.path.isdir(path):
            unreadable = len(inputs.passed_over.unreadable)
            found = list(find_images(path, inputs.passed_over))
            if not found and unreadable == len(inputs.passed_over.unreadable):
                inputs.unusable.append(_unusable(path, f"{path} holds no photographs."))
        elif not os.path.lexists(path):
            if str(path) == SAMPLE:
                found = [sample_path()]
            elif not _is_closed(path):
                inputs.unusable.append(_unusable(path, f"No such file or folder: {path}."))
                continue
        for file in found:
            key = keys.of(file)
            if key not in seen:
                seen.add(key)
                inputs.pictures.append(file)
    for folder in inputs.passed_over.unreadable:
        sentence = f"{folder} is a folder that cannot be read; check its permissions."
        inputs.unusable.append(_unusable(folder, sentence))
    return inputs


def _is_closed(path: Path) -> bool:
    """Whether a folder on the way to a path may not be entered, so that nobody knows what is
    there."""
    try:
        os.lstat(path)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


def _unusable(path: Path, message: str) -> Findings:
    return Findings(image=str(path), status="error", model="", message=message)
