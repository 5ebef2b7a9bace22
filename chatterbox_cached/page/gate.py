"""What stands before the page: nobody is let in but who was given its address, and no other site.

A request must be meant for this machine by name (else any site could point a name of its own here), come from no other
site, and bring the cookie. The cookie is given for the token in the address, for a code that works once, or for the
password.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
ENTER, OPEN_TO_ALL = "/enter", frozenset({"/page.css", "/icon.svg"})  # what the door is shown with
MOST_OF_A_FORM = 64 * 1024  # bytes
MOST_OF_AN_UPLOAD = 100 * 10**6
_WRONG_PASSWORD_SECONDS = 1.0
_SAFE = frozenset({"GET", "HEAD"})
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src"
    " 'self' blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",  # with none at all a browser gives no origin with forms
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",  # what is forgotten here is to be nowhere else
}


@dataclass
class Keys:
    """What lets in. ``once``: the code that the browser is started with, which other users may see it being given."""

    port: int
    password: str | None = None
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    once: str | None = None
    _session: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def _cookie(self) -> str:
        return f"chatterbox_cached_{self.port}"  # a browser gives cookies to all ports of a host

    def a_code(self) -> str:
        """A code in place of the token that works once."""
        self.once = secrets.token_urlsafe(24)
        return self.once

    def fits(self, token: str) -> bool:
        """Whether a token in the address lets in."""
        if self.once is not None and _same(token, self.once):
            self.once = None
            return True
        return _same(token, self.token)

    def fits_password(self, given: str) -> bool:
        return self.password is not None and _same(given, self.password)

    def is_known(self, headers: Headers) -> bool:
        """Whether the browser was let in before."""
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return False
        return cookie is not None and _same(cookie.value, self._session)

    def remember(self, response: Response) -> Response:
        """Have the browser be known from now on."""
        response.set_cookie(self._cookie, self._session, httponly=True, samesite="strict")
        return response


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(), right.encode())


def names_of(host: str) -> Callable[[str], bool]:
    """Whether a name is one that a page served on ``host`` may be asked for by."""
    if is_loopback(host):
        return LOOPBACK_NAMES.__contains__
    machine = socket.gethostname().lower()
    own = {*LOOPBACK_NAMES, host.lower(), machine, f"{machine.partition('.')[0]}.local"}
    # No site can have an address itself point elsewhere, as it can a name.
    return lambda name: name in own or _is_address(name)


def is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Gate:
    """Lets requests pass to ``app``, or answers them itself: by ``door(status)``, which asks to come in, or a line."""

    def __init__(self, app: ASGIApp, keys: Keys, host: str, door: Callable[[int, str], Response]) -> None:
        self._app, self._keys, self._door = app, keys, door
        self._is_ours = names_of(host)
        self._one_guess = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"no {scope['type']} is served")  # the server is told to take none

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        request = Request(scope, bounded(scope, receive))
        answer = _refusal(request, self._is_ours) or await self._asked_in(request)
        if answer is not None:
            await answer(scope, receive, send_guarded)
        else:
            await self._app(scope, request.receive, send_guarded)

    async def _asked_in(self, request: Request) -> Response | None:
        """The answer to who is not known yet; None for who is."""
        if request.method == "GET" and "token" in request.query_params:
            return self._by_token(request)
        if request.url.path in OPEN_TO_ALL or self._keys.is_known(request.headers):
            return None
        if request.url.path == ENTER and request.method == "POST":
            return await self._by_password(request)
        return self._door(401, "")

    def _by_token(self, request: Request) -> Response:
        if not self._keys.fits(request.query_params["token"]):
            return self._door(401, "This address is not, or no longer, the right one.")
        # No redirect: the browser would take it for a step of the other site that the address may stand on, and give
        # no cookie. The page at the end goes on by itself.
        return self._keys.remember(Response(_GO_ON, media_type="text/html"))

    async def _by_password(self, request: Request) -> Response:
        try:
            body = (await request.body()).decode()
        except (HTTPException, UnicodeDecodeError):
            return self._door(400, "")
        async with self._one_guess:  # all who guess wait for each other
            if self._keys.fits_password(parse_qs(body).get("password", [""])[0]):
                return self._keys.remember(RedirectResponse("/", 303))
            await asyncio.sleep(_WRONG_PASSWORD_SECONDS)
        return self._door(401, "That is not the password.")


_GO_ON = (
    '<!doctype html><title>Voices</title><link rel="icon" href="/icon.svg">'
    '<meta http-equiv="refresh" content="0; url=/"><a href="/">Go on</a>'
)


def _refusal(request: Request, is_ours: Callable[[str], bool]) -> Response | None:
    """The answer to a request that another site may have sent, or that came by another name; None for others."""
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    name = _name_in(host)
    if name is None or not is_ours(name):
        return _refused("This page is not served under that name.")
    if origin is None and request.method not in _SAFE:
        return _refused("A request that changes something must say its origin.")
    if origin is not None and origin != f"http://{host}":
        return _refused("Requests of other sites are refused.")
    visits = request.method == "GET" and request.headers.get("sec-fetch-mode") == "navigate"
    if not visits and request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return _refused("Requests of other sites are refused.")
    return None


def _name_in(host: str) -> str | None:
    try:
        parts = urlsplit(f"//{host}")
        return parts.hostname if parts.netloc == host and "@" not in host else None
    except ValueError:
        return None


def _refused(why: str) -> Response:
    return Response(why + "\n", 403, media_type="text/plain")


def bounded(scope: Scope, receive: Receive) -> Receive:
    """A ``receive`` that raises HTTPException (413) where a request has more bytes than its form may have."""
    most = MOST_OF_AN_UPLOAD if scope["path"] == "/add" else MOST_OF_A_FORM
    stated = Headers(scope=scope).get("content-length", "0")
    left = most

    async def counted() -> Message:
        nonlocal left
        if stated.isdigit() and int(stated) > most:
            raise HTTPException(413, f"This is more than {most:,} bytes.")
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413, f"This is more than {most:,} bytes.")
        return message

    return counted
