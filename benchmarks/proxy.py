"""A proxy on loopback that does to a connection what networks do: delay it, cut it, hold it, answer nonsense."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator


class Proxy:
    """What is sent to ``port`` goes on to ``to``. What it does may be changed at any time, and holds for open
    connections as well.

    ``delay``: seconds that each piece of an answer takes. ``cut_after``: bytes of answers that a connection may carry
    before it is cut; None for all. ``silent``: nothing comes back. ``nonsense``: this comes back, whatever is asked.
    ``hides``: headers that no request has any more when it comes through.
    """

    def __init__(self, to: int) -> None:
        self._to = to
        self.delay, self.piece, self.connections = 0.0, 65_536, 0
        self.cut_after: int | None = None
        self.silent = False
        self.nonsense = b""
        self.hides: tuple[bytes, ...] = ()
        self._listening: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self.port = 0
        self.listen()

    def listen(self) -> None:
        """Take connections, at the same port as before."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        listening.listen(64)
        self._listening, self.port = listening, int(listening.getsockname()[1])
        threading.Thread(target=self._take, args=(listening,), daemon=True).start()

    def refuse(self) -> None:
        """Take no connection from here on, and cut those that are open."""
        listening, self._listening = self._listening, None
        if listening is not None:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        self.cut()

    def cut(self) -> None:
        """Cut the connections that are open."""
        for connection in list(self._open):
            _end(connection)

    def _take(self, listening: socket.socket) -> None:
        while True:
            try:
                caller, _ = listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        self._open.add(caller)
        try:
            if self.nonsense:
                caller.recv(65_536)
                caller.sendall(self.nonsense)
                return
            with socket.create_connection(("127.0.0.1", self._to)) as server:
                self._open.add(server)
                threading.Thread(target=self._pass_on, args=(caller, server), daemon=True).start()
                self._answer(server, caller)
        except OSError:
            pass
        finally:
            _end(caller)
            self._open.discard(caller)

    def _pass_on(self, caller: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while asked := caller.recv(65_536):
                for header in self.hides:
                    asked = asked.replace(header, b"X" * len(header))
                server.sendall(asked)
        _end(server)
        self._open.discard(server)

    def _answer(self, server: socket.socket, caller: socket.socket) -> None:
        carried = 0
        while answer := server.recv(self.piece):
            if self.silent:
                continue
            if self.delay:
                time.sleep(self.delay)
            if self.cut_after is not None and carried + len(answer) > self.cut_after:
                caller.sendall(answer[: self.cut_after - carried])
                return
            carried += len(answer)
            caller.sendall(answer)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextlib.contextmanager
def proxy(to: int) -> Iterator[Proxy]:
    """One for the length of a block."""
    made = Proxy(to)
    try:
        yield made
    finally:
        made.refuse()
