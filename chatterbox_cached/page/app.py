"""What the page answers: which address shows what. Who may ask is the gate's affair."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ..errors import ChatterboxCachedError, NotCachedError, in_short
from ..figures import counted, moment, size
from ..library import savings
from ..library.savings import Savings
from ..settings import Settings
from . import shelf
from .gate import Gate, Keys
from .shelf import Row, Shelf
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


class Page:
    """The pages of one library."""

    def __init__(self, settings: Settings, speaker: Speaker, edit: bool, tell: Callable[[str], None]) -> None:
        self.settings, self.speaker, self.edit, self._tell = settings, speaker, edit, tell
        self.shelf = Shelf(settings, tell)

    def routes(self) -> list[Route]:
        """All addresses."""
        return [
            Route("/", self.voices),
            Route("/cached/{digest}", self.voice),
            Route("/picture/{digest}", self.picture),
            Route("/savings", self.savings),
            Route("/tiers", self.tiers),
            Route("/settings", self.settings_in_force),
            Route("/{file}", _static),
        ]

    def voices(self, request: Request) -> Response:
        q, order = request.query_params.get("q", ""), request.query_params.get("sort", shelf.USUAL_ORDER)
        if order.removeprefix("-") not in shelf.ORDERS:
            order = shelf.USUAL_ORDER
        part = self.shelf.part(q, order, _whole(request.query_params.get("page", "1")))
        return self.shown("voices", "/", part=part, q=q, sort=order, heads=_HEADS, orders=_ORDERS)

    def voice(self, request: Request) -> Response:
        row = self.shelf.row(request.path_params["digest"])
        return self.shown("voice", "/", row=row, facts=_facts(row))

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

    def _read(self) -> Savings:
        return savings.read(self.settings, self._tell)

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


def _facts(row: Row) -> list[tuple[str, str]]:
    """What is said of a voice on its own page, each with its name."""
    entries, known = row.voice.entries, row.voice.known
    told = [
        ("Length", "not known" if row.seconds is None else f"{row.seconds:.1f} s"),
        ("Good for", "; ".join(row.models) or "no model yet"),
        ("Hits", f"{row.hits:,}"),
        ("Seconds saved", f"{row.saved:,.1f}"),
        ("Last used", moment(row.last_used)),
        ("Kept", f"{counted(len(entries), 'entry', 'entries')}, {size(row.voice.nbytes)}"),
        ("Last seen at", known.path if known and known.path else "not known"),
        ("Digest of the audio", row.digest),
    ]
    return told


def _width(part: float, most: float) -> str:
    return f"{max(0.0, part) / most * 100:.1f}" if most > 0 else "0"


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 1
