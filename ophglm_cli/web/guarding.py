"""Who may ask the page for anything: whoever has its address, from this machine, as this page."""

from __future__ import annotations

import hmac
from urllib.parse import quote

from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: The loopback's names: another one is that of a foreign page whose name was bound to it anew.
HOSTS = ("127.0.0.1", "localhost")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def guarded(app: ASGIApp, token: str) -> ASGIApp:
    """Return an application that answers only below `/token/`, and only to the loopback's names.

    Else it answers 403, and 400 to another name. All answers forbid what the page does not need.
    """
    return _WithHeaders(TrustedHostMiddleware(_Gate(app, token), HOSTS, www_redirect=False))


class _Gate:
    def __init__(self, app: ASGIApp, token: str):
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        given, slash, _ = scope["path"].lstrip("/").partition("/")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            answer = PlainTextResponse(
                "Open the page by the whole address that ophglm serve has printed.", 403
            )
            await answer(scope, receive, send)
        elif not slash:  # addresses in the page are relative to it
            await RedirectResponse(f"/{quote(self._token)}/")(scope, receive, send)
        else:
            await self._app({**scope, "root_path": f"/{self._token}"}, receive, send)


class _WithHeaders:
    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                had = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.encode(), value.encode())
                        for name, value in _HEADERS.items()
                        if name.encode() not in had
                    ),
                ]
            await send(message)

        await self._app(scope, receive, send_with_headers)
