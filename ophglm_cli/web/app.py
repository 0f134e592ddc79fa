"""What the page asks for: an ASGI application over the consultations."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from ophglm_core.assistant import Assistant
from ophglm_core.chat.report import report, report_page
from ophglm_core.errors import OphglmError

from .consultations import MOST_BYTES, Consultation, ConsultingRoom, crop, heat
from .guarding import guarded
from .texts import page_texts

_FILES = {"": "index.html", "page.css": "page.css", "page.js": "page.js", "answer.js": "answer.js"}
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_REPORTS = {"html": "text/html", "md": "text/markdown", "json": "application/json"}
#: A report has its own style sheet and its pictures inside, and runs nothing.
_REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)
_MOST_QUESTION = 1 << 20


def make_app(assistant: Assistant, token: str, lang: str = "auto") -> ASGIApp:
    """Return the page as an application that answers below `/token/`.

    lang: of the page at first: 'en', 'zh' or 'auto', which is the browser's. Photographs that are
    uploaded lie in a folder that only this user can read, and that is removed at the end.
    """
    return guarded(_Page(assistant, lang).app, token)


class _Page:
    def __init__(self, assistant: Assistant, lang: str):
        self._assistant, self._lang = assistant, lang
        # llama.cpp's context is one, and so is the thread that computes.
        self._worker = ThreadPoolExecutor(1, "ophglm")
        one = "/consultations/{consultation}"
        self.app = Starlette(
            routes=[
                *(Route(f"/{name}", partial(_file, name=file)) for name, file in _FILES.items()),
                Route("/texts", self.texts),
                Route("/consultations", self.open, methods=["POST"]),
                Route(one, self.show),
                Route(one, self.close, methods=["DELETE"]),
                Route(f"{one}/photographs", self.upload, methods=["POST"]),
                Route(f"{one}/photographs/{{key}}", self.picture),
                Route(f"{one}/photographs/{{key}}/heat/{{label}}", self.heat_map),
                Route(f"{one}/photographs/{{key}}/eye", self.name_eye, methods=["POST"]),
                Route(f"{one}/answers", self.answer, methods=["POST"]),
                Route(f"{one}/stop", self.stop, methods=["POST"]),
                Route(f"{one}/clear", self.clear, methods=["POST"]),
                Route(f"{one}/report.{{format}}", self.report),
            ],
            lifespan=self._lifespan,
            exception_handlers={OphglmError: _sentence, HTTPException: _sentence},
        )

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        with TemporaryDirectory(prefix="ophglm-", ignore_cleanup_errors=True) as folder:
            self._room = await self._compute(ConsultingRoom, self._assistant, Path(folder))
            self._worker.submit(self._room.load)
            try:
                yield
            finally:
                self._room.close_all()
                self._worker.shutdown(wait=False, cancel_futures=True)

    async def _compute(self, work: Callable[..., Any], *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker, work, *arguments)

    def _consultation(self, request: Request) -> Consultation:
        found = self._room.get(request.path_params["consultation"])
        if found is None:
            raise HTTPException(404, "This conversation is over; load the page again.")
        return found

    async def texts(self, request: Request) -> Response:
        """What the page says, in all its languages."""
        return JSONResponse({"language": self._lang, "most_bytes": MOST_BYTES, **page_texts()})

    async def open(self, request: Request) -> Response:
        """Open a consultation."""
        return JSONResponse({"key": self._room.open()}, 201)

    async def show(self, request: Request) -> Response:
        """All that a consultation shows."""
        return JSONResponse(self._consultation(request).values(_language(request)))

    async def close(self, request: Request) -> Response:
        """Forget a consultation and remove its photographs."""
        self._room.close(request.path_params["consultation"])
        return Response(status_code=204)

    async def upload(self, request: Request) -> Response:
        """Take a photograph, the request's body, and talk about it."""
        consultation = self._consultation(request)
        too_large = HTTPException(
            413,
            f"A photograph may have {MOST_BYTES >> 20} MB at most; export it smaller.",
            {"connection": "close"},
        )
        if int(request.headers.get("content-length") or 0) > MOST_BYTES:
            raise too_large
        path = consultation.place(request.query_params.get("name", ""))
        written = await _written(request, path)
        if not 0 < written <= MOST_BYTES:
            path.unlink(missing_ok=True)
            path.parent.rmdir()
            raise too_large if written else HTTPException(400, "The file is empty.")
        beside = request.query_params.get("beside") == "1"
        await self._compute(self._room.look, consultation, path, beside)
        return JSONResponse(consultation.values(_language(request)))

    async def picture(self, request: Request) -> Response:
        """The square around a photograph's disc."""
        finding = self._finding(request)
        return Response(await run_in_threadpool(crop, finding), media_type="image/jpeg")

    async def heat_map(self, request: Request) -> Response:
        """A heat map, to be laid over the photograph."""
        finding, label = self._finding(request), request.path_params["label"]
        labels = self._assistant.labels
        return Response(
            await run_in_threadpool(heat, finding, labels, label), media_type="image/png"
        )

    def _finding(self, request: Request) -> Any:
        finding = self._consultation(request).finding(request.path_params["key"])
        if finding is None:
            raise HTTPException(404, "There is no such photograph.")
        return finding

    async def name_eye(self, request: Request) -> Response:
        """Take a photograph for that of an eye."""
        consultation, key = self._consultation(request), request.path_params["key"]
        eye = (await _values(request)).get("eye")
        if eye not in ("left", "right") or consultation.finding(key) is None:
            raise HTTPException(400, "Name the left or the right eye.")
        index = consultation.keys.index(key)
        await self._compute(consultation.chat.name_eye, index, eye)
        return JSONResponse(consultation.values(_language(request)))

    async def answer(self, request: Request) -> Response:
        """Answer a question: a JSON object a line, as they are ready."""
        consultation = self._consultation(request)
        question = str((await _values(request)).get("question", "")).strip()
        if not question:
            raise HTTPException(400, "The question is empty.")
        if consultation.running is not None:
            raise HTTPException(409, "An answer is being given; stop it, or wait for its end.")
        consultation.running = Event()
        lines = self._lines(request, consultation, question, consultation.running)
        return StreamingResponse(lines, media_type="application/x-ndjson")

    async def _lines(
        self, request: Request, consultation: Consultation, question: str, stop: Event
    ) -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

        def tell(values: dict[str, Any]) -> None:
            loop.call_soon_threadsafe(told.put_nowait, values)

        work = asyncio.ensure_future(
            self._compute(self._room.answer, consultation, question, stop, tell)
        )
        work.add_done_callback(lambda _: told.put_nowait({}))
        try:
            yield _line({"step": "wait"})
            while values := await _next(told, request, stop):
                yield _line(values)
            await work
        finally:  # also where the page was closed in mid-answer
            stop.set()
            if consultation.running is stop:
                consultation.running = None

    async def stop(self, request: Request) -> Response:
        """Stop the answer that is being given."""
        self._consultation(request).stop()
        return Response(status_code=204)

    async def clear(self, request: Request) -> Response:
        """Forget what was said; the photographs stay."""
        consultation = self._consultation(request)
        consultation.stop()
        await self._compute(consultation.chat.clear)
        return JSONResponse(consultation.values(_language(request)))

    async def report(self, request: Request) -> Response:
        """Findings and conversation as a document; with `save=1` as a file."""
        consultation, format = self._consultation(request), request.path_params["format"]
        if format not in _REPORTS:
            raise HTTPException(404, "A report is .html, .md or .json.")
        arguments = _language(request), datetime.now()
        if format == "html":
            text = await self._compute(report_page, consultation.chat, *arguments)
        else:
            text = await self._compute(report, consultation.chat, format, *arguments)
        headers = {"content-security-policy": _REPORT_POLICY}
        if request.query_params.get("save") == "1":
            name = f"ophglm-report-{arguments[1]:%Y%m%d-%H%M%S}.{format}"
            headers["content-disposition"] = f'attachment; filename="{name}"'
        return Response(text, media_type=_REPORTS[format], headers=headers)


async def _file(request: Request, name: str) -> Response:
    content = (resources.files(__package__) / "static" / name).read_bytes()
    return Response(content, media_type=_TYPES[Path(name).suffix])


async def _written(request: Request, path: Path) -> int:
    """Write a request's body to a file and return how many bytes came; 0 where it broke off.

    What is too large is not read to its end.
    """
    size = 0
    with path.open("xb") as file:
        try:
            async for chunk in request.stream():
                size += len(chunk)
                if size > MOST_BYTES:
                    break
                file.write(chunk)
        except ClientDisconnect:
            return 0
    return size


async def _next(
    told: asyncio.Queue[dict[str, Any]], request: Request, stop: Event
) -> dict[str, Any]:
    """Return what is told next; meanwhile stop the answer where nobody reads it any more."""
    while True:
        try:
            return await asyncio.wait_for(told.get(), 0.5)
        except TimeoutError:
            if await request.is_disconnected():
                stop.set()


async def _values(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request brings. Raises HTTPException if it brings none."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_QUESTION:
            raise HTTPException(413, "The question is too long; ask a shorter one.")
    try:
        values = json.loads(body)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise HTTPException(400, "A JSON object is needed.")
    return values


def _line(values: dict[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False) + "\n"


def _language(request: Request) -> str:
    return "zh" if request.query_params.get("lang") == "zh" else "en"


async def _sentence(request: Request, error: Exception) -> Response:
    """Answer with the sentence that an error is."""
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)
    return JSONResponse({"error": str(error)}, 422)
