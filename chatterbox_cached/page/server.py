"""The page served: at which address, to whom, and until when."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple

import uvicorn

from ..errors import ChatterboxCachedError
from .app import Given, Page, application
from .gate import Keys, is_loopback
from .speaker import Speaker

LOOPBACK = "127.0.0.1"
_WILDCARDS = frozenset({"0.0.0.0", "::"})
_GRACE_SECONDS = 2
_SHORTEST_PASSWORD = 8


class Options(NamedTuple):
    """How the page is served. ``port``: 0 for any that is free. ``edit``: whether anything may be changed there."""

    host: str = LOOPBACK
    port: int = 0
    password: str | None = None
    edit: bool = False
    browser: bool = True


def run(given: Given, options: Options, model: str | None, load: Callable[[], Any]) -> None:
    """Serve the page until Ctrl-C or SIGTERM; its address is the first line on stdout.

    ``model``: the name of the model that ``load`` gives, None for a page without one.
    Raises ChatterboxCachedError where it can't be served in this way.
    """
    _refuse_open_doors(options)
    listening = _listening(options)
    port = int(listening.getsockname()[1])
    keys, speaker = Keys(port, options.password), Speaker(model, load)
    page = Page(given, speaker, options.edit, lambda sentence: print(sentence, file=sys.stderr))
    server = uvicorn.Server(_config(page, keys, options.host))
    # Whatever keeps it from ending, as an import that was interrupted in the main thread, does not keep this process.
    thread = threading.Thread(target=server.run, args=([listening],), name="page", daemon=True)
    address = f"http://{_shown(options.host)}:{port}/?token="

    def end(number: int, frame: FrameType | None) -> None:
        speaker.ended = True  # PyTorch swallows what is raised while it is imported
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        thread.start()
        while thread.is_alive() and not server.started:
            time.sleep(0.01)
        print(f"{address}{keys.token}", flush=True)
        print(f"{'It can be edited' if options.edit else 'Read-only'}. Ctrl-C ends it.", file=sys.stderr)
        if options.browser:
            _open(address + keys.a_code())
        speaker.work()
    except KeyboardInterrupt:
        pass  # the way in which it ends
    finally:
        signal.signal(signal.SIGTERM, before)
        server.should_exit = True
        thread.join(2 * _GRACE_SECONDS)


def _refuse_open_doors(options: Options) -> None:
    if options.password is not None and len(options.password) < _SHORTEST_PASSWORD:
        raise ChatterboxCachedError(f"The password must have at least {_SHORTEST_PASSWORD} characters.")
    if options.password is None and not is_loopback(options.host):
        raise ChatterboxCachedError(
            f"{options.host} can be reached by other machines, so give a password as well: --password, or"
            " CHATTERBOX_CACHED_PAGE_PASSWORD."
        )


def _listening(options: Options) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        return socket.create_server((options.host, options.port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ChatterboxCachedError(
            f"{options.host}:{options.port} can't be listened at ({why}). Give another --port, or none for any."
        ) from error


def _config(page: Page, keys: Keys, host: str) -> uvicorn.Config:
    # No access log, since the token is in it; no websockets, since there are none.
    config = uvicorn.Config(
        application(page, keys, host), loop="asyncio", http="h11", ws="none", lifespan="off", log_level="error",
        access_log=False, server_header=False, proxy_headers=False, timeout_graceful_shutdown=_GRACE_SECONDS,
    )  # fmt: skip
    config.load()
    return config


def _shown(host: str) -> str:
    if host in _WILDCARDS:
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _open(address: str) -> None:
    """Show it in the user's browser, which may take its time, or not be there."""
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
