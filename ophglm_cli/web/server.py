"""The page's HTTP server: uvicorn on the loopback, with an address that cannot be guessed."""

from __future__ import annotations

import secrets
import signal
import socket
from contextlib import suppress

import uvicorn

from ophglm_core.assistant import Assistant
from ophglm_core.errors import UsageError

from .app import make_app

_HOST = "127.0.0.1"


class PageServer:
    """Holds the port, so that the address is known before the server runs.

    port: 0 takes a free one. lang: of the page at first. Raises UsageError if the port is taken.
    """

    def __init__(self, assistant: Assistant, port: int, lang: str):
        self._socket = socket.socket()
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((_HOST, port))
            self._socket.listen()  # a browser that is quicker than the model waits
        except OSError as error:
            self._socket.close()
            raise UsageError(
                f"Port {port} cannot be used ({error.strerror}); name another one with --port."
            ) from None
        token = secrets.token_urlsafe(24)
        #: What is to be opened in a browser.
        self.address = f"http://{_HOST}:{self._socket.getsockname()[1]}/{token}/"
        self._server = uvicorn.Server(
            uvicorn.Config(
                make_app(assistant, token, lang),
                log_level="critical",  # a line for each request would hold the token
                access_log=False,
                http="h11",
                ws="none",
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=2,
            )
        )

    def run(self) -> None:
        """Answer until Ctrl-C, SIGTERM, or the terminal is closed; what was uploaded is removed."""
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, lambda number, frame: signal.raise_signal(signal.SIGTERM))
        with suppress(KeyboardInterrupt):  # it is how one ends it
            self._server.run(sockets=[self._socket])

    def close(self) -> None:
        """Free the port."""
        self._socket.close()
