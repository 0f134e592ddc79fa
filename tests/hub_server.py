"""A small Hugging Face hub on the loopback: what its client asks when it fetches a model."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

#: Files of weights are large ones, kept apart and known by their SHA-256.
_LARGE = (".gguf", ".safetensors")


@dataclass
class SmallHub:
    """repositories: the files of each by their name. gated: those that need an account. cut: break
    the line once after so many bytes of a large file. wrong: send other bytes than were promised.
    asked: method, path and Range of each request."""

    repositories: dict[str, dict[str, bytes]]
    gated: set[str] = field(default_factory=set)
    cut: int | None = None
    wrong: bool = False
    endpoint: str = ""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)


@contextmanager
def serving(hub: SmallHub) -> Iterator[SmallHub]:
    """Serve a hub while the block runs."""

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def commit_of(files: dict[str, bytes]) -> str:
    return hashlib.sha1(b"".join(files[name] for name in sorted(files))).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: SmallHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/[^/]+)?", path):
            self._describe(found[1])
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
            self._file(found[1], found[2], body)
        else:
            self._refuse(404, "EntryNotFound")

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _describe(self, repository: str) -> None:
        files = self.hub.repositories.get(repository)
        if files is None:
            self._refuse(404, "RepoNotFound")
            return
        siblings = []
        for name, content in files.items():
            sibling: dict[str, object] = {
                "rfilename": name,
                "size": len(content),
                "blobId": hashlib.sha1(content).hexdigest(),
            }
            if name.endswith(_LARGE):
                sha256 = hashlib.sha256(content).hexdigest()
                sibling["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 130}
            siblings.append(sibling)
        said = {"id": repository, "modelId": repository, "sha": commit_of(files), "tags": []}
        content = json.dumps({**said, "private": False, "siblings": siblings}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _file(self, repository: str, name: str, body: bool) -> None:
        hub = self.hub
        files = hub.repositories.get(repository, {})
        if repository in hub.gated:
            self._refuse(403, "GatedRepo")
            return
        if name not in files:
            self._refuse(404, "EntryNotFound")
            return
        content, large = files[name], name.endswith(_LARGE)
        etag = (hashlib.sha256 if large else hashlib.sha1)(content).hexdigest()
        if large and hub.wrong:
            content = content[::-1]
        start = 0
        if wanted := re.match(r"bytes=(\d+)-", self.headers.get("Range") or ""):
            start = int(wanted[1])
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", commit_of(files))
        if large:
            self.send_header("X-Linked-ETag", f'"{etag}"')
            self.send_header("X-Linked-Size", str(len(content)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if not body:
            return
        rest = content[start:]
        if large and hub.cut is not None and len(rest) > hub.cut:
            self.wfile.write(rest[: hub.cut])
            self.wfile.flush()
            hub.cut = None
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.wfile.write(rest)
