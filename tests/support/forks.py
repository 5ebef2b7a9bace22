"""A child process that is forked and does one thing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

NOBODY = 65534


def become_nobody() -> None:
    """Give up root's rights, if this process has them: root can look at everything."""
    if os.geteuid() == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def in_a_fork(act: Callable[[], object], seconds: float = 60.0) -> str:
    """How ``act`` went in a forked child: "done", "raised", or "hung" when it takes longer than ``seconds``."""
    child = os.fork()
    if not child:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "done" if os.waitstatus_to_exitcode(status) == 0 else "raised"
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return "hung"
