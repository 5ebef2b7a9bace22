"""What the page answers: which address shows what. Who may ask is the gate's affair."""

from __future__ import annotations

import mimetypes
import os
import sqlite3
from collections.abc import Callable, Collection, Mapping
from importlib.resources import files
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ..errors import ChatterboxCachedError, NotCachedError, in_short
from ..figures import counted, moment, size
from ..library import savings, voices
from ..library.savings import Savings
from ..settings import Settings
from . import rows
from .forms import DONE, Forms
from .gate import Gate, Keys
from .rows import Row
from .shelf import Shelf
from .speaker import Speaker
from .templating import rendered

_PLACES = (("/", "Voices"), ("/savings", "Savings"), ("/tiers", "Tiers"), ("/settings", "Settings"))
_HEADS = (
    ("name", "Name", False), ("length", "Length", True), ("", "Models", False), ("hits", "Hits", True),
    ("saved", "Saved", True), ("used", "Last used", True),
)  # fmt: skip
_ORDERS = (
    ("-used", "last used"), ("name", "name"), ("-saved", "seconds saved"), ("-hits", "hits"), ("-length", "longest"),
    ("length", "shortest"), ("used", "used longest ago"), ("saved", "saved least"), ("hits", "fewest hits"),
    ("-name", "name, from Z"),
)  # fmt: skip
_STATIC = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
_BARS = 30  # days, and voices, that are shown beside each other


class Given(NamedTuple):
    """The settings in force, and the names of those that were given as options."""

    settings: Settings
    keywords: Collection[str] = ()


class Page:
    """The pages of one library."""

    def __init__(self, given: Given, speaker: Speaker, edit: bool, tell: Callable[[str], None]) -> None:
        self._given, settings = given, given.settings
        self.settings, self.speaker, self.edit, self._tell = settings, speaker, edit, tell
        self.shelf = Shelf(settings, tell)
        self.forms = Forms(self)

    def routes(self) -> list[Route]:
        """All addresses."""
        return [
            Route("/", self.voices),
            Route("/named/{name}", self.voice),
            Route("/named/{name}/audio", self.audio),
            Route("/named/{name}/forget", self.ask),
            Route("/cached/{digest}", self.voice),
            Route("/cached/{digest}/forget", self.ask),
            Route("/picture/{digest}", self.picture),
            Route("/savings", self.savings),
            Route("/tiers", self.tiers),
            Route("/settings", self.settings_in_force),
            *self.forms.routes(),
            Route("/{file}", _static),
        ]

    def voices(self, request: Request) -> Response:
        said = DONE.get(request.query_params.get("done", ""), "")
        return self._listed(request.query_params, said)

    def added(self, outcomes: list[str], went_well: bool) -> Response:
        """The list with what became of files that were added."""
        return self._listed({}, "\n".join(outcomes), 200 if went_well else 400)

    def _listed(self, asked: Mapping[str, str], said: str, status: int = 200) -> Response:
        order = asked.get("sort", rows.USUAL_ORDER)
        if not rows.is_order(order):
            order = rows.USUAL_ORDER
        q = asked.get("q", "")
        part = self.shelf.part(q, order, _whole(asked.get("page", "1")))
        values = {"part": part, "q": q, "sort": order, "heads": _HEADS, "orders": _ORDERS, "said": said}
        keep = self.forms.edits.must_keep_audio
        return self.shown("voices", "/", status, **values, went_well=status == 200, must_keep_audio=keep)

    def row(self, request: Request) -> Row:
        """The voice that an address means."""
        if "name" in request.path_params:
            return self.shelf.of_name(request.path_params["name"])
        return self.shelf.of_digest(request.path_params["digest"])

    def voice(self, request: Request) -> Response:
        row = self.row(request)
        said = DONE.get(request.query_params.get("done", ""), "")
        found = row.named is None and row.known is not None and row.known.path and os.path.isfile(row.known.path)
        return self.shown("voice", "/", row=row, facts=self._facts(row), said=said, can_be_named=bool(found))

    def audio(self, request: Request) -> Response:
        named = self.row(request).named
        if named is None or named.audio is None or not named.audio.is_file():
            raise HTTPException(404, "No recording is kept with this voice.")
        kind = mimetypes.guess_type(named.audio.name)[0] or ""
        return FileResponse(named.audio, media_type=kind if kind.startswith("audio/") else "application/octet-stream")

    def ask(self, request: Request) -> Response:
        """The question before a voice is forgotten, which needs no script."""
        return self.shown("forget", "/", row=self.row(request), shares=bool(self.settings.shared))

    def picture(self, request: Request) -> Response:
        made = self.shelf.picture(request.path_params["digest"])
        if made is None:
            return Response(_NO_PICTURE, media_type="image/svg+xml")
        return Response(made, media_type="image/png")

    def savings(self, request: Request) -> Response:
        read = self._read()
        days = read.days[-_BARS:]
        best = max((day.saved_seconds for day in days), default=0.0)
        most = max((voice.saved_seconds for voice in read.voices), default=0.0)
        by_voice = [(voice, _width(voice.saved_seconds, most)) for voice in read.voices[:_BARS]]
        bars = [(day, _width(day.saved_seconds, best)) for day in reversed(days)]
        more = len(read.voices) - len(by_voice)
        return self.shown("savings", "/savings", savings=read, bars=bars, by_voice=by_voice, more_voices=more)

    def tiers(self, request: Request) -> Response:
        return self.shown("tiers", "/tiers", savings=self._read())

    def settings_in_force(self, request: Request) -> Response:
        return self.shown("settings", "/settings", savings=self._read())

    def _facts(self, row: Row) -> list[tuple[str, str]]:
        """What is said of a voice on its own page, each with its name."""
        named, cached, path = row.named, row.cached, row.known.path if row.known else None
        good_for = self.shelf.named.models(named.name) if named else ()
        facts = [
            ("Length", "not known" if row.seconds is None else f"{row.seconds:.1f} s"),
            ("Good for", "; ".join(good_for or row.models) or "no model yet"),
            ("Hits", f"{row.hits:,}"),
            ("Seconds saved", f"{row.saved:,.1f}"),
            ("Last used", moment(row.last_used) if row.last_used else "not yet"),
        ]
        if named is not None:
            facts += [
                ("Also called", ", ".join(named.aliases) or "nothing else"),
                ("Consent", named.consent or "nothing was said"),
                ("Its recording", "kept with it" if named.audio else "not kept"),
                ("Added", moment(named.added)),
            ]
        if cached is not None:
            facts.append(("In the cache", f"{counted(len(cached.entries), 'entry', 'entries')}, {size(cached.nbytes)}"))
        if path is not None:
            facts.append(("Last seen at", voices.plain(path)))
        return [*facts, ("Digest", row.digest)]

    def _read(self) -> Savings:
        return savings.read(self.settings, self._tell, self._given.keywords)

    def shown(self, template: str, here: str, status: int = 200, **values: Any) -> Response:
        """A page with what all of them have."""
        common = {"places": _PLACES, "here": here, "edit": self.edit, "speaker": self.speaker, "said": ""}
        return HTMLResponse(rendered(template, **{**common, **values}), status)

    def wrong(self, request: Request, error: Exception) -> Response:
        """The page for what could not be done, with the error as one line."""
        status, title = 400, "That could not be done"
        if isinstance(error, HTTPException):
            status, said = error.status_code, error.detail
        else:
            said = str(error) if isinstance(error, (ChatterboxCachedError, OSError)) else in_short(error)
        if status == 404 or isinstance(error, NotCachedError):
            status, title = 404, "There is nothing here"
        return self.shown("wrong", "", status, title=title, said=said, back="/")


def application(page: Page, keys: Keys, host: str) -> ASGIApp:
    """The whole of it, behind its gate."""
    expected = (HTTPException, ChatterboxCachedError, OSError, sqlite3.Error)
    app = Starlette(routes=page.routes(), exception_handlers=dict.fromkeys(expected, page.wrong))

    def door(status: int, said: str) -> Response:
        values = {"places": (), "said": said, "password": keys.password is not None}
        return HTMLResponse(rendered("door", **values), status)

    return Gate(app, keys, host, door)


_NO_PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 192 40"><path d="M8 20h176" stroke="#888"'
    ' stroke-dasharray="2 6"/></svg>'
)


def _static(request: Request) -> Response:
    name = request.path_params["file"]
    if name not in _STATIC:
        raise HTTPException(404, "There is no such page.")
    return Response(files(__package__).joinpath("static").joinpath(name).read_bytes(), media_type=_STATIC[name])


def _width(part: float, most: float) -> str:
    return f"{max(0.0, part) / most * 100:.1f}" if most > 0 else "0"


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 1
