"""Runs `ophglm serve` and asks it as a browser would, without one."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from .conftest import OPHGLM


class Served:
    """A running `ophglm serve`: its address and its process."""

    def __init__(self, process: subprocess.Popen[str], address: str):
        self.process, self.address = process, address
        parts = urlsplit(address)
        self.port, self.path = parts.port or 0, parts.path

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        root: str | None = None,
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Ask for what lies at a path below the token (or another root)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=240)
        sent = json.dumps(body).encode() if isinstance(body, dict) else body
        place = (self.path if root is None else root) + path
        connection.request(method, place, sent, headers or {})
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response, content

    def values(self, path: str, *arguments: Any, **named: Any) -> Any:
        """Return the JSON that lies at a path."""
        response, content = self.ask(path, *arguments, **named)
        assert response.status < 300, content
        return json.loads(content)

    def open(self) -> str:
        """Open a consultation and return its path."""
        return f"consultations/{self.values('consultations', 'POST')['key']}"

    def upload(self, at: str, photograph: Path, name: str, beside: bool = False) -> Any:
        """Upload a photograph and return what is then shown."""
        query = f"?name={quote(name)}&beside={int(beside)}"
        return self.values(f"{at}/photographs{query}", "POST", photograph.read_bytes())

    def answer(self, at: str, question: str) -> Iterator[dict[str, Any]]:
        """Yield the lines of an answer as they come."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=240)
        body = json.dumps({"question": question})
        connection.request("POST", f"{self.path}{at}/answers", body)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        try:
            while line := response.readline():
                yield json.loads(line)
        finally:
            response.close()
            connection.close()


@contextmanager
def serving(folder: Path, *options: str, end: int = signal.SIGTERM) -> Iterator[Served]:
    """Run `ophglm serve` on a free port, with a folder for what is temporary, and end it."""
    process = subprocess.Popen(
        [str(OPHGLM), "serve", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TMPDIR": str(folder), "PYTHONWARNINGS": "ignore"},
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), process.communicate()
        yield Served(process, address)
    finally:
        process.send_signal(end)
        process.communicate(timeout=30)
