"""What the page's forms are answered with: what they ask for is done, and the browser shown what became of it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from ..errors import ChatterboxCachedError, NotCachedError, in_short
from ..library import voices
from .edits import Edits, Said, Upload
from .rows import Row
from .speaker import LONGEST_TEXT

if TYPE_CHECKING:
    from .app import Page

DONE = {
    "renamed": "It has that name now.",
    "described": "What is said of it was kept.",
    "chosen": "Which voice is the default was kept.",
    "forgotten": "It is forgotten.",
}
_MOST_FILES, _MOST_FIELDS = 100, 10
_LONGEST_FIELD = 4000
_READ_ONLY = "This page is read-only. Start it with --edit to change anything."


class Forms:
    """The forms of one page."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.edits = Edits(page.shelf, page.speaker)

    def routes(self) -> list[Route]:
        """The addresses that forms are sent to."""
        of_row = {"rename": self._rename, "describe": self._describe, "default": self._choose, "forget": self._forget}
        edits = [
            Route(f"{kind}/{action}", _if(self._page.edit, self._of_row(do)), methods=["POST"])
            for kind in ("/named/{name}", "/cached/{digest}")
            for action, do in of_row.items()
        ]
        return [
            Route("/add", _if(self._page.edit, self._add), methods=["POST"]),
            Route("/export", _if(self._page.edit, self._export)),
            Route("/named/{name}/say", self._say, methods=["POST"]),
            *edits,
        ]

    def _of_row(self, do: Callable[[Row, FormData], str]) -> Callable[[Request], Awaitable[Response]]:
        """What answers a form about one voice; ``do`` gives the address to go on to."""

        async def answer(request: Request) -> Response:
            row = await run_in_threadpool(self._page.row, request)
            form = await _form(request)
            return RedirectResponse(await run_in_threadpool(do, row, form), 303)

        return answer

    def _rename(self, row: Row, form: FormData) -> str:
        name = self.edits.rename(row, _text(form, "name"))
        return _done(self._page.shelf.of_name(name).path, "renamed")

    def _describe(self, row: Row, form: FormData) -> str:
        aliases = [alias for alias in map(str.strip, _text(form, "aliases").split(",")) if alias]
        self.edits.describe(row, _text(form, "description"), _text(form, "consent"), aliases)
        return _done(row.path, "described")

    def _choose(self, row: Row, form: FormData) -> str:
        self.edits.choose(row)
        return _done(row.path, "chosen")

    def _forget(self, row: Row, form: FormData) -> str:
        self.edits.forget(row, entirely=row.named is None or "entirely" in form)
        return _done("/", "forgotten")

    async def _add(self, request: Request) -> Response:
        form = await _form(request)
        files = [each for each in form.getlist("files") if isinstance(each, UploadFile) and each.filename]
        if not files:
            raise ChatterboxCachedError("No file was given.")
        name = _text(form, "name") if len(files) == 1 else ""
        said = Said(_text(form, "description"), _text(form, "consent"), "keep_audio" in form)
        outcomes, went_well = [], True
        for file in files:
            upload = Upload(file.filename or "", await file.read())
            try:
                outcomes.append(await self.edits.add(upload, name, said))
            except (ChatterboxCachedError, OSError) as error:
                went_well = False
                outcomes.append(f"{voices.plain(upload.name)}: {error}")
        return await run_in_threadpool(self._page.added, outcomes, went_well)

    async def _export(self, request: Request) -> Response:
        asked, shelf = request.query_params, self._page.shelf

        def written() -> Path:
            rows = [*map(shelf.of_name, asked.getlist("name")), *map(shelf.of_digest, asked.getlist("digest"))]
            return self.edits.export(rows or shelf.everything(), with_audio="audio" in asked)

        file = await run_in_threadpool(written)
        clean = BackgroundTask(shutil.rmtree, file.parent)
        return FileResponse(file, media_type="application/octet-stream", filename=file.name, background=clean)

    async def _say(self, request: Request) -> Response:
        row = await run_in_threadpool(self._page.row, request)
        form = await _form(request)
        text = _text(form, "text").strip()
        if not 0 < len(text) <= LONGEST_TEXT:
            raise ChatterboxCachedError(f"Give a text of at most {LONGEST_TEXT} characters.")
        if not self._page.speaker.speaks:
            raise NotCachedError("This page has no model that speaks. Start it with --model english.")
        job = self._page.speaker.say(self._page.shelf.cache, row.name, text, _text(form, "language") or "en")
        try:
            return Response(await asyncio.wrap_future(job), media_type="audio/wav")
        except (ChatterboxCachedError, OSError):
            raise
        except Exception as error:  # upstream's, whatever it thinks of this text and voice
            raise ChatterboxCachedError(f"It could not be said: {in_short(error)}.") from error


def _if(allowed: bool, answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """The answer where the page may be edited; else a refusal, before anything of the request is looked at."""

    async def refused(request: Request) -> Response:
        raise HTTPException(403, _READ_ONLY)

    return answer if allowed else refused


async def _form(request: Request) -> FormData:
    return await request.form(max_files=_MOST_FILES, max_fields=_MOST_FIELDS)


def _text(form: FormData, field: str) -> str:
    value: Any = form.get(field, "")
    if not isinstance(value, str) or len(value) > _LONGEST_FIELD:
        raise ChatterboxCachedError(f"A {field} is a text of at most {_LONGEST_FIELD:,} characters.")
    return value


def _done(path: str, what: str) -> str:
    return f"{path}?{urlencode({'done': what})}"
