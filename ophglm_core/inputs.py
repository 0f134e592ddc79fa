"""What is to be classified: photographs named one by one, in lists, folders and zip files, on this
machine or by their addresses."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath, PurePosixPath

from . import archives, picture_lists
from .assets import SAMPLE, sample_path
from .errors import InputError, UsageError
from .files import FileKeys
from .findings import Findings
from .images import Picture
from .picture_files import looks_like_picture
from .remote_files import RemotePath, files_below, is_folder, path_of


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
        yield from _pictures((Path(place, name) for name in sorted(files)), left_out)


def _pictures(files: Iterable[Path], left_out: PassedOver) -> Iterator[Path]:
    for path in files:
        if path.name.startswith("."):
            left_out.kinds["hidden"] += 1
        elif looks_like_picture(path):
            yield path
        else:
            left_out.kinds[path.suffix.lower() or "without a suffix"] += 1


def find_archived(archive: Path, passed_over: PassedOver) -> Iterator[Path]:
    """Yield the pictures in a zip file, sorted; hidden files and what macOS adds are passed over.

    passed_over: is told what was left out. Raises InputError if it cannot be read.
    """
    names = ((path, path.relative_to(archive)) for path in archives.members(archive))
    yield from _shown_pictures(names, passed_over)


def find_remote(folder: RemotePath, passed_over: PassedOver) -> Iterator[Path]:
    """Yield the pictures below a folder of an object store as `find_archived` does."""
    start = len(folder.address)
    names = ((path, PurePosixPath(path.address[start:])) for path in files_below(folder))
    yield from _shown_pictures(names, passed_over)


def _shown_pictures(
    files: Iterable[tuple[Path, PurePath]], passed_over: PassedOver
) -> Iterator[Path]:
    """files: each with its path below what was named."""
    shown = []
    for path, below in files:
        folders = below.parts[:-1]
        if any(name.startswith(".") or name == "__MACOSX" for name in folders):
            passed_over.kinds["hidden"] += 1
        else:
            shown.append(path)
    yield from _pictures(shown, passed_over)


@dataclass(frozen=True)
class Shard:
    """A part of a run that is split into `count` parts, numbered from 1.

    A picture belongs to a part by its path below the folder, list or archive that was named, or as
    it was named itself, so that each machine finds its part alone, and none is lost or done twice
    where pictures are added meanwhile.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Return the part that is written as 3/16. Raises UsageError if it is none."""
        number, slash, count = text.partition("/")
        if not (slash and number.isdecimal() and count.isdecimal()):
            raise UsageError(f"'{text}' is no part of a run; write 3/16 for the third of sixteen.")
        if not 1 <= int(number) <= int(count):
            raise UsageError(f"There is no part {number} of {count}; they are numbered from 1.")
        return cls(int(number), int(count))

    def holds(self, path: Path, named: Path) -> bool:
        """Whether a picture, found under what was named, belongs to this part."""
        alone = path == named or isinstance(path, RemotePath)  # which has the address everywhere
        below = str(path) if alone else os.path.relpath(path, named)
        name = os.fsencode(below.replace(os.sep, "/"))
        # A checksum would do, but those of like names are like, too.
        place = int.from_bytes(hashlib.sha256(name).digest()[:8], "big")
        return place % self.count == self.number - 1


@dataclass
class Inputs:
    """What was named. pictures: files, and pictures in memory as they are. unusable: with status
    'error', the paths that name nothing. passed_over: what was left out of folders. listed: what
    a list says of its pictures, by their paths."""

    pictures: list[Picture] = field(default_factory=list)
    unusable: list[Findings] = field(default_factory=list)
    passed_over: PassedOver = field(default_factory=PassedOver)
    listed: dict[str, picture_lists.Listed] = field(default_factory=dict)

    def completed(self, findings: Findings) -> Findings:
        """Return findings with the patient and the eye that a list gives, where the file's own tags
        give none."""
        listed = self.listed.get(findings.image)
        if listed is None:
            return findings
        if listed.eye and not findings.eye_given:
            findings = replace(findings, laterality=listed.eye, eye_given=True)
        return replace(findings, patient=findings.patient or listed.patient)


def collect(items: Iterable[Picture | str], shard: Shard | None = None) -> Inputs:
    """Gather the photographs that are named: files and pictures in memory as they are, folders
    recursively, what a list names and what a zip file holds, each file once, however it is named.

    shard: the part that is wanted; what is unusable belongs to the first.
    """
    inputs = Inputs()
    seen: set[str] = set()
    keys = FileKeys()
    for item in items:
        if not isinstance(item, str | Path):
            inputs.pictures.append(item)
            continue
        path = path_of(item)
        try:
            found = _found(path, inputs)
        except InputError as error:
            inputs.unusable.append(_unusable(path, str(error)))
            continue
        for file in found:
            key = keys.of(file)
            if key not in seen:
                seen.add(key)
                if shard is None or shard.holds(file, path):
                    inputs.pictures.append(file)
    for folder in inputs.passed_over.unreadable:
        sentence = f"{folder} is a folder that cannot be read; check its permissions."
        inputs.unusable.append(_unusable(folder, sentence))
    if shard is not None and shard.number > 1:
        inputs.unusable.clear()
    return inputs


def _found(path: Path, inputs: Inputs) -> list[Path]:
    """Return the pictures that one path names. Raises InputError if it names none."""
    if isinstance(path, RemotePath):
        return _found_remote(path, inputs)
    if os.path.isdir(path):
        unreadable = len(inputs.passed_over.unreadable)
        found = list(find_images(path, inputs.passed_over))
        if not found and unreadable == len(inputs.passed_over.unreadable):
            raise InputError(f"{path} holds no photographs.")
        return found
    if archives.is_archive(path):
        found = list(find_archived(path, inputs.passed_over))
        if not found:
            raise InputError(f"{path} holds no photographs.")
        return found
    if picture_lists.is_list(path):
        listed = list(picture_lists.read_list(path))
        inputs.listed |= {str(entry.path): entry for entry in listed}
        return [entry.path for entry in listed]
    if os.path.lexists(path) or archives.archive_of(path) is not None:
        return [path]
    if str(path) == SAMPLE:
        return [sample_path()]
    if _is_closed(path):
        return [path]
    raise InputError(f"No such file or folder: {path}.")


def _found_remote(path: RemotePath, inputs: Inputs) -> list[Path]:
    if path.suffix.lower() in (*picture_lists.SUFFIXES, archives.SUFFIX):
        raise InputError(f"{path} is no photograph; fetch it and name it as a file.")
    if not is_folder(path):
        return [path]
    found = list(find_remote(path, inputs.passed_over))
    if not found:
        raise InputError(f"{path} holds no photographs.")
    return found


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
