"""Processes that prepare voices beside each other, each with a model of its own: our side of them, and theirs.

A worker reads a line of JSON for each file from stdin, and answers with one. It ends when there is no more to read, so
none is left behind when we end, however that is.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from ..errors import ChatterboxCachedError
from ..library.warming import Outcome, warm
from .common import settings_for, settings_to_fill
from .models import Model, ModelError, load, quietly
from .preparing import cache_for
from .threads import environment_of_each

# As multiprocessing does: what is found here is found there, whatever the folder and the way that we were started.
_RUN = f"import sys; sys.path = sys.argv[1:]; from {__name__} import main; main()"


class Order(NamedTuple):
    """What a worker is to load, and how many ``jobs`` share the processor; ``fill`` as for settings_to_fill."""

    model: str
    device: str | None
    checkpoint: str | None
    cache_dir: str | None
    jobs: int
    fill: str | None = None


class Lost(Exception):
    """A worker ended though there was more for it to do; says how."""


class Worker:
    """One process. ``loaded`` comes first, and then ``warm`` for each file."""

    def __init__(self, order: Order) -> None:
        # Ctrl-C in a terminal is for all in its foreground. These are told of it by us, when they can deal with it.
        windows: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _RUN, *sys.path],
            env={**os.environ, **environment_of_each(order.jobs)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            creationflags=windows,
        )
        self._silent = False
        self._printed = threading.Thread(target=self._pass_on_what_it_prints, daemon=True)
        self._printed.start()
        self._tell(order)

    def loaded(self) -> str:
        """The device on which its model is, once it is there. Raises ModelError where it can't be loaded, or Lost."""
        answer = self._answer()
        if "error" in answer:
            raise ModelError(answer["error"])
        return str(answer["device"])

    def warm(self, path: Path) -> Outcome:
        """What became of this file. Raises Lost."""
        self._tell(str(path))
        became, why = self._answer()
        return Outcome(path, became, why)

    def interrupt(self) -> None:
        """Have it leave what it is doing."""
        self._silent = True
        if os.name != "nt":
            self._process.send_signal(signal.SIGINT)

    def dismiss(self) -> None:
        """Have it end after what it is doing."""
        with contextlib.suppress(OSError):
            _pipe(self._process.stdin).close()

    def wait(self, until: float) -> None:
        """Wait for its end, but not longer than ``until`` on the monotonic clock."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, until - time.monotonic()))

    def kill(self) -> None:
        """End it, unless it has ended, and pass on the last of what it printed."""
        self._process.kill()
        self._process.wait()
        self._printed.join(1)  # a process of its own may still hold the pipe

    def _tell(self, what: Any) -> None:
        with contextlib.suppress(OSError, ValueError):  # it is gone, or was dismissed: that is heard next
            _pipe(self._process.stdin).write(f"{json.dumps(what)}\n")
            _pipe(self._process.stdin).flush()

    def _answer(self) -> Any:
        line = _pipe(self._process.stdout).readline()
        if not line.endswith("\n"):
            raise Lost(_ended(self._process.wait()))
        return json.loads(line)

    def _pass_on_what_it_prints(self) -> None:
        for line in _pipe(self._process.stderr):
            if not self._silent:
                print(line, end="", file=sys.stderr)  # above the progress bar


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def _ended(code: int) -> str:
    if code >= 0:
        return f"with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"by {name} (is there enough memory?)" if name == "SIGKILL" else f"by {name}"


def main() -> None:
    """A worker from its start to its end."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print, also past Python, is no answer of ours

    def say(answer: Any) -> None:
        out.write(f"{json.dumps(answer)}\n")
        out.flush()

    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        _work(map(json.loads, sys.stdin), say)


def _work(asked: Iterator[Any], say: Any) -> None:
    order = Order(*next(asked))
    with quietly():
        try:
            settings = settings_to_fill(Path(order.fill)) if order.fill else settings_for(_path(order.cache_dir))
            cache = cache_for(settings, to_write=True)
            model = load(Model(order.model), order.device, _path(order.checkpoint))
        except (ChatterboxCachedError, OSError) as error:
            say({"error": str(error)})
            return
        try:
            say({"device": str(model.device)})
            for file in asked:
                outcome = warm(cache, model, Path(file))
                say([outcome.became, outcome.why])
        finally:
            cache.close()


def _path(given: str | None) -> Path | None:
    return None if given is None else Path(given)
