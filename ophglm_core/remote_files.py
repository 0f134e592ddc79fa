"""Files on object stores and web servers, each named by its address: `s3://bucket/a.jpg`.

fsspec reaches them: S3, Google Cloud, Azure, HTTP and whatever else it has a package for. Pictures
are read into memory, and nothing is kept on the disk.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from .errors import InputError, OphglmError, UsageError
from .file_names import printable

if sys.platform == "win32":
    from pathlib import WindowsPath as LocalPath
else:
    from pathlib import PosixPath as LocalPath

#: A drive of Windows has one letter.
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
#: The largest file that is read, in bytes: no photograph's file is larger.
MOST_BYTES = 1 << 30
#: The largest that is read of a server that does not say beforehand how large a file is.
MOST_UNSAID = 64 << 20
#: By what stores tell one content from another, the best first: checksums, then times of change.
_MARKS = (
    *("ETag", "etag", "md5Hash", "md5", "Content-MD5", "Digest", "content_md5", "checksum"),
    *("generation", "LastModified", "last_modified", "Last-Modified", "mtime", "updated"),
    "created",
)
#: Requests that are under way at the same time where only sizes and checksums are asked for.
_AT_ONCE = 32


class RemotePath(LocalPath):
    """An address that goes wherever a path does: `str()` is the address as it was written, `name`
    and `suffix` are those of its last part. Only this module can open it; the folders of the
    machine never hold it.

    known: what the store says of the file, once it was asked.
    """

    address: str
    known: dict[str, Any] | None

    def __new__(cls, address: str, known: dict[str, Any] | None = None) -> RemotePath:
        path = super().__new__(cls, address)
        path.address, path.known = address, known
        return path

    def __init__(self, address: str, known: dict[str, Any] | None = None):
        if sys.version_info >= (3, 12):  # before, `__new__` alone takes the path apart
            super().__init__(address)

    def __str__(self) -> str:
        return self.address

    def __reduce__(self) -> tuple[Any, ...]:
        return RemotePath, (self.address, self.known)

    @property
    def name(self) -> str:
        """The last part, without what is asked of a web server (`?size=full`)."""
        text = re.split("[?#]", self.address)[0] if self.is_web else self.address
        return PurePosixPath(text).name

    @property
    def parent(self) -> Path:  # type: ignore[override]
        """The folder, good for its name alone."""
        return Path(self.address).parent

    @property
    def is_web(self) -> bool:
        """Whether a web server has it, which has no folders."""
        return self.address.lower().startswith(("http://", "https://"))


def path_of(text: str | Path) -> Path:
    """Return what a person has named, a RemotePath for an address (`s3://bucket/a.jpg`)."""
    if isinstance(text, Path):
        return text
    found = _ADDRESS.match(text)
    if found is None:
        return Path(text)
    if found[1].lower() == "file":
        return Path(url2pathname(urlsplit(text).path))
    return RemotePath(text)


def is_folder(path: RemotePath) -> bool:
    """Whether an address names a folder. Raises as `size_of` does."""
    return not path.is_web and _known(path).get("type") == "directory"


def files_below(folder: RemotePath) -> list[RemotePath]:
    """Return the files below a folder, recursively and sorted. Raises as `size_of` does."""
    base = folder.address if folder.address.endswith("/") else f"{folder.address}/"
    with _complaints(folder):
        system, root = _reached(folder)
        start = len(root.rstrip("/")) + 1
        found = system.find(root, detail=True)
        return [RemotePath(base + name[start:], found[name]) for name in sorted(found)]


def size_of(path: RemotePath) -> int | None:
    """Return how large a file is in bytes, or None where its server does not say.

    Raises InputError, of one sentence, if it is not there, cannot be reached or is larger than
    MOST_BYTES; UsageError if a package is missing.
    """
    size = _known(path).get("size")
    if size is not None and size > MOST_BYTES:
        raise InputError(f"{path} is larger than {MOST_BYTES >> 30} GB.")
    return size


def read_remote(path: RemotePath) -> bytes:
    """Return a file's content. Raises as `size_of` does; see MOST_UNSAID."""
    size = size_of(path)
    if size is not None:
        return read_start(path, size)
    content = read_start(path, MOST_UNSAID + 1)
    if len(content) > MOST_UNSAID:
        raise InputError(
            f"{path} is larger than {MOST_UNSAID >> 20} MB, and its server does not say how large."
        )
    return content


def read_start(path: RemotePath, at_most: int) -> bytes:
    """Return the first bytes of a file. Raises as `size_of` does."""
    with _complaints(path):
        system, name = _reached(path)
        if not path.is_web:
            content: bytes = system.cat_file(name, start=0, end=at_most)
            return content
        # A server that knows no ranges would send all of it, however large.
        with system.open(name, "rb", block_size=0, size=_known(path).get("size")) as stream:
            content = stream.read(at_most)
        return content


def state_of(path: RemotePath) -> list[Any]:
    """Return by what a file is known to be the same: its size in bytes and the store's checksum,
    else its time of change. Raises as `size_of` does."""
    known = _known(path)
    mark = next((known[key] for key in _MARKS if known.get(key)), None)
    return [known.get("size"), None if mark is None else str(mark)]


def ask_ahead(paths: Iterable[Path]) -> None:
    """Ask for what the stores say of those of many files that are remote, several at a time."""

    def ask(path: RemotePath) -> None:
        with suppress(InputError):  # which is said where it is needed
            _known(path)

    unknown = [p for p in paths if isinstance(p, RemotePath) and p.known is None]
    if unknown:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(ask, unknown))


def is_there(path: RemotePath) -> bool:
    """Whether a file is there. Raises InputError if that cannot be found out."""
    with _complaints(path):
        system, name = _reached(path)
        try:
            system.info(name)
        except FileNotFoundError as error:
            if not _is_missing(error):
                raise
            return False
        return True


def upload(content: Path | bytes, to: RemotePath) -> None:
    """Write a file's content, or bytes, to an address, at which nothing is seen of it until it is
    whole. Raises InputError if it cannot be written."""
    with _complaints(to, "written"):
        system, name = _reached(to)
        with system.transaction, system.open(name, "wb") as stream:
            if isinstance(content, bytes):
                stream.write(content)
            else:
                with content.open("rb") as local:
                    shutil.copyfileobj(local, stream, 1 << 20)


def _reached(path: RemotePath) -> tuple[Any, str]:
    """Return fsspec's file system for an address, and what the file is called there."""
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise UsageError(
            f"{path} needs fsspec, which is not installed; run pip install 'ophglm[cloud]'."
        ) from None
    try:
        system, name = url_to_fs(path.address)
    except ImportError as error:  # 'Install s3fs to access S3'
        raise UsageError(f"{path} needs a package: {_reason(error)}.") from None
    return system, name


def _known(path: RemotePath) -> dict[str, Any]:
    if path.known is None:
        with _complaints(path):
            system, name = _reached(path)
            path.known = dict(system.info(name))
    return path.known


@contextmanager
def _complaints(path: RemotePath, done: str = "read") -> Iterator[None]:
    """Turn what a store's client raises, which is of many kinds, into a sentence."""
    try:
        yield
    except OphglmError:
        raise
    except Exception as error:
        if isinstance(error, FileNotFoundError) and _is_missing(error) and done == "read":
            raise InputError(f"No such file: {path}.") from None
        raise InputError(f"{path} cannot be {done} ({_reason(error)}).") from None


def _is_missing(error: FileNotFoundError) -> bool:
    """Whether a file is not there; fsspec's web client says so of a server, too."""
    cause = error.__cause__
    return cause is None or isinstance(cause, FileNotFoundError | KeyError) or "404" in str(cause)


def _reason(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, TimeoutError):
        return "no answer"
    status, message = getattr(error, "status", None), getattr(error, "message", None)
    # The whole text of an answer of a web server repeats the address.
    text = f"{status} {message}" if status and message else str(error)
    return printable(" ".join(text.split()))[:200].rstrip(".") or type(error).__name__
