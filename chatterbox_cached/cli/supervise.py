"""Start a program, stay beside it until it ends, and end as it did: where something is left to do afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from types import FrameType

_PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
_TYPED = ("SIGINT", "SIGQUIT")


def run_to_end(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Run a program to its end and pass on the signals that come meanwhile.

    Returns its exit code, or the number of the signal that ended it, negative. Raises OSError when it can't be started.
    """
    with _signals_kept() as early:
        # Files that were opened for the program, such as a server's sockets, stay open; Python's own don't.
        child = subprocess.Popen(arguments, env=environment, close_fds=os.name == "nt")

        def pass_on(number: int, _: FrameType | None) -> None:
            if not _typed(number):
                child.send_signal(number)

        _handle_by(pass_on)
        for number in early:
            pass_on(number, None)
        return child.wait()


def end_as(status: int) -> None:
    """End this process with the exit code, or by the signal, that ``run_to_end`` returned."""
    if status < 0:
        with contextlib.suppress(OSError):  # SIGKILL needs no default action
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


@contextlib.contextmanager
def _signals_kept() -> Iterator[list[int]]:
    """Collect signals instead of being ended by them; leave ignored ones so, as the program is to inherit that."""
    early: list[int] = []
    before = {number: signal.getsignal(number) for number in _numbers()}
    _handle_by(lambda number, _: early.append(number))
    try:
        yield early
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _handle_by(handler: signal._HANDLER) -> None:
    for number in _numbers():
        signal.signal(number, handler)


def _numbers() -> list[int]:
    numbers = [getattr(signal, name) for name in _PASSED_ON if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


def _typed(number: int) -> bool:
    """Whether a terminal sent this to all in the foreground: then the program has it already."""
    if signal.Signals(number).name not in _TYPED:
        return False
    if os.name == "nt":
        return True
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
