"""A terminal for a process, and what is shown on it."""

from __future__ import annotations

import contextlib
import os
import pty
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def terminal() -> Iterator[tuple[int, list[str]]]:
    """A terminal, and what is shown on it so far."""
    ours, theirs = pty.openpty()
    shown: list[str] = []

    def read() -> None:
        with contextlib.suppress(OSError):  # what is left when the other side has closed
            while piece := os.read(ours, 4096):
                shown.append(piece.decode(errors="replace"))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield theirs, shown
    finally:
        os.close(theirs)
        reader.join(10)
        os.close(ours)
