"""Language models of the Hugging Face hub: fetched into its own cache, found there, removed.

Where the hub and the cache are is told by huggingface_hub's variables: HF_ENDPOINT, HF_HOME,
HF_TOKEN, HF_HUB_OFFLINE.
"""

from __future__ import annotations

import errno
import fnmatch
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .errors import InputError, UsageError
from .files import file_sha256
from .gguf_parts import PART, all_parts, is_first
from .llm_source import model_in
from .recommended import recommended

_NAME = re.compile(r"([\w.-]+/[\w.-]+)(?:/(.+\.gguf))?")
#: What a model in Hugging Face's form needs. Weights are safetensors and never pickle.
_NEEDED = ("*.safetensors", "*.json", "*.model", "*.jinja", "*.txt", "*.tiktoken", "README.md")
#: Parts of repositories that hold the weights once more in another form.
_OTHER_FORMS = ("original/*", "onnx/*", "openvino/*", "consolidated*")


@dataclass(frozen=True)
class Cached:
    """A language model in the hub's cache. name: what `--llm` takes. path: its GGUF file, or its
    folder in Hugging Face's form. size: in bytes, of its weights."""

    name: str
    path: Path
    size: int


def pulled(name: str) -> Path:
    """Return the GGUF file or the folder of a model that was fetched; nothing is downloaded.

    name: of a recommended one, a hub id, or OWNER/NAME/FILE.gguf. Raises UsageError, which says
    how to get it, if it is not on this disk.
    """
    repository, pattern = _parse(name)
    folder = _snapshot(repository)
    weights = ("*.gguf", "*.safetensors")
    if folder is None or not any(True for kind in weights for _ in folder.rglob(kind)):
        raise UsageError(f"{name} is not on this disk; run ophglm models pull {name}.")
    if pattern is None:
        return model_in(folder)
    found = sorted(p for p in folder.rglob("*.gguf") if _matches(p, folder, pattern))
    if not found:
        raise UsageError(
            f"{pattern} of {repository} is not on this disk; run ophglm models pull {repository} "
            f"--file '{pattern}'."
        )
    return found[0]


def cached() -> list[Cached]:
    """Return the language models in the hub's cache, by name. Raises UsageError."""
    models = []
    for repository in _models(_scan()):
        folder = _newest(repository)
        if folder is None:
            continue
        name, ggufs = repository.repo_id, [p for p in folder.rglob("*.gguf") if is_first(p)]
        for path in ggufs:
            inside = path.relative_to(folder).as_posix()
            full = name if len(ggufs) == 1 else f"{name}/{inside}"
            models.append(Cached(full, path, sum(p.stat().st_size for p in all_parts(path))))
        weights = list(folder.glob("*.safetensors"))
        if weights and (folder / "config.json").is_file():
            models.append(Cached(name, folder, sum(p.stat().st_size for p in weights)))
    return sorted(models, key=lambda model: model.name.lower())


def pull(
    name: str,
    file: str | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Path:
    """Fetch a model into the hub's cache and return its GGUF file or its folder.

    name: of a recommended one, or a hub id. file: which GGUF of a repository, as a pattern;
    without one, the repository's weights in Hugging Face's form, or its one GGUF. progress: called
    with the bytes that are there and those of all. What was fetched is kept when it is stopped,
    and goes on from there; each file of weights is checked by its SHA-256.

    Raises UsageError if there is no such model or it needs an account, and InputError if the hub
    cannot be reached, the disk is full or a file is broken.
    """
    repository, pattern = _parse(name)
    pattern = file or pattern
    try:
        with _explained(name):
            return _pull(repository, pattern, progress)
    except InputError:
        # What is there already serves without the hub.
        try:
            return pulled(f"{repository}/{pattern}" if pattern else repository)
        except UsageError:
            pass
        raise


def remove(name: str) -> int:
    """Remove a model from the hub's cache and return the bytes that are free now.

    Raises UsageError if it is not there.
    """
    strategy = _removal(name)
    strategy.execute()
    return int(strategy.expected_freed_size)


def removable(name: str) -> int:
    """Return how many bytes `remove` would free. Raises UsageError if it is not there."""
    return int(_removal(name).expected_freed_size)


def _removal(name: str) -> Any:
    repository, _ = _parse(name)
    scan = _scan()
    for held in _models(scan):
        if held.repo_id == repository:
            return scan.delete_revisions(*(revision.commit_hash for revision in held.revisions))
    raise UsageError(f"{name} is not in the hub's cache; ophglm models list shows what is.")


def _parse(name: str) -> tuple[str, str | None]:
    """Return the repository that a name means, and which GGUF of it."""
    known = recommended(name)
    if known is not None:
        return known.repository, known.pattern
    found = _NAME.fullmatch(name)
    if found is None:
        raise UsageError(
            f"No such language model: {name}; name a GGUF file, a folder in Hugging Face's form, a "
            "hub id such as Qwen/Qwen2.5-1.5B-Instruct, or one of ophglm models list."
        )
    return found[1], found[2]


def _hub() -> Any:
    try:
        import huggingface_hub
        from huggingface_hub import constants, errors, file_download, utils  # noqa: F401
    except ImportError:
        raise UsageError(
            "Models of the hub need huggingface_hub; run pip install huggingface_hub."
        ) from None
    return huggingface_hub


def _scan() -> Any:
    """Return what the cache holds, as huggingface_hub describes it; None where there is none."""
    hub = _hub()
    try:
        return hub.scan_cache_dir(hub.constants.HF_HUB_CACHE)
    except hub.errors.CacheNotFound:
        return None


def _models(scan: Any) -> list[Any]:
    """Return the model repositories of what `_scan` gave."""
    return [held for held in scan.repos if held.repo_type == "model"] if scan is not None else []


def _snapshot(repository: str) -> Path | None:
    """Return the folder of a repository's newest revision in the cache, or None."""
    for held in _models(_scan()):
        if held.repo_id == repository:
            return _newest(held)
    return None


def _newest(held: Any) -> Path | None:
    """Return the folder of the newest revision of a repository in the cache, or None."""
    revisions = sorted(held.revisions, key=lambda r: ("main" in r.refs, r.last_modified))
    return Path(revisions[-1].snapshot_path) if revisions else None


def _matches(path: Path, folder: Path, pattern: str) -> bool:
    inside = path.relative_to(folder).as_posix()
    return is_first(path) and fnmatch.fnmatch(inside.lower(), pattern.lower())


def _pull(repository: str, pattern: str | None, progress: Callable[[int, int], None]) -> Path:
    hub = _hub()
    hub.utils.disable_progress_bars()
    hub.utils.logging.set_verbosity_error()
    info = hub.HfApi().model_info(repository, files_metadata=True)
    chosen = _choose(repository, {s.rfilename: s for s in info.siblings or []}, pattern)
    total = sum(sibling.size or 0 for sibling in chosen)
    cache = Path(hub.constants.HF_HUB_CACHE)
    store = cache / hub.file_download.repo_folder_name(repo_id=repository, repo_type="model")
    cache.mkdir(parents=True, exist_ok=True)
    blobs = store / "blobs"
    held = sum(s.size or 0 for s in chosen if s.lfs and (blobs / s.lfs.sha256).is_file())
    free = shutil.disk_usage(cache).free
    if total - held > free:
        raise InputError(
            f"{repository} needs {(total - held) / 1e9:.1f} GB, and {cache} has "
            f"{free / 1e9:.1f} GB free; set HF_HOME to a larger disk."
        )
    done = 0
    for sibling in chosen:
        if sibling.lfs:
            url = hub.hf_hub_url(repository, sibling.rfilename, revision=info.sha)
            _fetch(url, blobs, sibling, _added_to(done, total, progress))
        path = Path(hub.hf_hub_download(repository, sibling.rfilename, revision=info.sha))
        done += sibling.size or 0
        progress(done, total)
    # The cache's own note of what is newest; a download of a named commit does not write it.
    (store / "refs").mkdir(exist_ok=True)
    (store / "refs" / "main").write_text(info.sha, encoding="utf-8")
    folder = path
    for _ in Path(chosen[-1].rfilename).parts:
        folder = folder.parent
    if pattern is None:
        return model_in(folder)
    ggufs = [s.rfilename for s in chosen if s.rfilename.lower().endswith(".gguf")]
    return folder / next(name for name in ggufs if is_first(Path(name)))


def _added_to(done: int, total: int, progress: Callable[[int, int], None]) -> Callable[[int], None]:
    return lambda size: progress(done + size, total)


def _choose(repository: str, files: dict[str, Any], pattern: str | None) -> list[Any]:
    """Return the files of a repository that are wanted, the weights last."""
    ggufs = [name for name in files if name.lower().endswith(".gguf")]
    whole = [name for name in ggufs if is_first(Path(name))]
    if pattern is None:
        names = [n for n in files if any(fnmatch.fnmatch(n, p) for p in _NEEDED)]
        names = [n for n in names if not any(fnmatch.fnmatch(n, p) for p in _OTHER_FORMS)]
        if "config.json" in names and any(n.endswith(".safetensors") for n in names):
            return [files[n] for n in sorted(names, key=lambda n: n.endswith(".safetensors"))]
        if not ggufs:
            raise UsageError(
                f"{repository} holds no language model that can be used: neither .safetensors with "
                "config.json, nor a GGUF file."
            )
        pattern = whole[0] if len(whole) == 1 else ""
    wanted = [n for n in whole if fnmatch.fnmatch(n.lower(), pattern.lower())]
    if len(wanted) != 1:
        listed = ", ".join(f"{n} ({(files[n].size or 0) / 1e9:.1f} GB)" for n in wanted or whole)
        several = "holds several" if wanted or not pattern else f"has no {pattern}; it holds"
        raise UsageError(f"{repository} {several}, name one with --file: {listed}.")
    stem = PART.sub("", wanted[0])
    parts = [n for n in ggufs if n == wanted[0] or (PART.search(n) and PART.sub("", n) == stem)]
    card = [files["README.md"]] if "README.md" in files else []
    return card + [files[name] for name in sorted(parts)]


class _Counted:
    """A file that says how many bytes it holds, as they come."""

    def __init__(self, stream: IO[bytes], told: Callable[[int], None]):
        self._stream, self._told = stream, told

    def write(self, content: bytes) -> int:
        written = self._stream.write(content)
        self._told(self._stream.tell())
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _fetch(url: str, blobs: Path, sibling: Any, told: Callable[[int], None]) -> None:
    """Fetch a large file to where the cache keeps it, from where an earlier attempt stopped.

    huggingface_hub throws a part away when it is stopped, which a slow line cannot afford.
    """
    hub = _hub()
    target = blobs / sibling.lfs.sha256
    if target.is_file():
        return
    blobs.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.ophglm.incomplete")
    with partial.open("ab") as stream:
        have = stream.tell()
        if have > sibling.size:
            stream.truncate(0)
            have = 0
        hub.file_download.http_get(
            url,
            _Counted(stream, told),
            resume_size=have,
            headers=hub.utils.build_hf_headers(),
            expected_size=sibling.size,
        )
    if file_sha256(partial) != sibling.lfs.sha256:
        partial.unlink()
        raise InputError(
            f"{sibling.rfilename} arrived broken (its SHA-256 is another) and was removed; pull it "
            "again."
        )
    partial.replace(target)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what the hub or the line to it raises into a sentence."""
    errors = _hub().errors
    endpoint = _hub().constants.ENDPOINT
    try:
        yield
    except errors.GatedRepoError:
        raise UsageError(
            f"{name} is gated: accept its terms at {endpoint}/{name}, then set HF_TOKEN to a token "
            "of yours."
        ) from None
    except (errors.RepositoryNotFoundError, errors.HFValidationError):
        raise UsageError(f"{endpoint} has no model {name}, or it is private.") from None
    except errors.OfflineModeIsEnabled:
        raise InputError(f"{name} is not on this disk, and HF_HUB_OFFLINE is set.") from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise InputError(
                f"The disk is full; what came of {name} is kept. Make room, or set HF_HOME to a "
                "larger disk, and pull again."
            ) from None
        raise InputError(_unreachable(name, endpoint, error)) from None
    except Exception as error:
        # httpx's own errors, whose module has another name in every version of the hub's client.
        if not type(error).__module__.startswith(("httpx", "httpcore", "requests")):
            raise
        raise InputError(_unreachable(name, endpoint, error)) from None


def _unreachable(name: str, endpoint: str, error: Exception) -> str:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return (
        f"{name} cannot be fetched from {endpoint} ({first}); what came is kept. Try again, or set "
        "HF_ENDPOINT to a mirror."
    )
