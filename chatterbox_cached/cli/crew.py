"""Files shared out among several workers, one at a time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

from ..library.warming import Outcome
from .models import ModelError
from .workers import Lost

_END_SECONDS = 10.0


class Worker(Protocol):
    """Prepares voices in a process of its own; see workers.Worker."""

    def loaded(self) -> str: ...

    def warm(self, path: Path) -> Outcome: ...

    def interrupt(self) -> None: ...

    def dismiss(self) -> None: ...

    def wait(self, until: float) -> None: ...

    def kill(self) -> None: ...


class Crew:
    """As many workers as ``jobs`` says, each of them started by ``start``. A worker that has done a file takes the
    next, so a long one holds up no other worker.

    ``device``: where their models are. ``lost``: what is to be said of workers that could not go on. The file that one
    was at goes back, behind all other files: where it is to blame, it takes no more workers than it must.
    """

    def __init__(self, start: Callable[[], Worker], jobs: int, files: Sequence[Path]) -> None:
        self.device: str | None = None
        self.lost: list[str] = []
        self._start, self._jobs, self._files = start, jobs, _Files(files)
        self._told: SimpleQueue[Outcome | None] = SimpleQueue()  # None for each worker that has no more to tell
        self._workers: list[Worker] = []
        self._over = False

    def outcomes(self) -> Iterator[Outcome]:
        """What became of each file, as it comes. Raises ModelError where no worker could load its model."""
        for _ in range(self._jobs):
            worker = self._start()
            self._workers.append(worker)
            threading.Thread(target=self._keep_busy, args=(worker,), daemon=True).start()
        for _ in self._workers:
            yield from iter(self._told.get, None)
        if self.device is None:
            raise ModelError(self.lost[0])

    def interrupt(self) -> None:
        """Have all workers leave what they are doing."""
        self._over = True
        self._files.drop()
        for worker in self._workers:
            worker.interrupt()

    def end(self) -> list[Outcome]:
        """Wait for the end of all workers, and bring it about where that takes too long; gives what was not told."""
        for worker in self._workers:
            worker.dismiss()
        until = time.monotonic() + _END_SECONDS
        try:
            for worker in self._workers:
                worker.wait(until)
        finally:
            for worker in self._workers:
                worker.kill()
        rest = []
        while not self._told.empty():
            if (outcome := self._told.get()) is not None:
                rest.append(outcome)
        return rest

    def _keep_busy(self, worker: Worker) -> None:
        doing = "it loaded its model"
        try:
            self.device = worker.loaded()
            while (file := self._files.take()) is not None:
                doing = f"it prepared {file}"
                done = False
                try:
                    self._told.put(worker.warm(file))
                    done = True
                finally:
                    self._files.give_back(None if done else file)
        except ModelError as error:
            self._lost(str(error))
        except Lost as lost:
            self._lost(f"A process was ended {lost} while {doing}.")
        finally:
            self._told.put(None)

    def _lost(self, said: str) -> None:
        if not self._over:
            self.lost.append(said)


class _Files:
    """The files that are still to be done."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._waiting, self._taken, self._changed = deque(files), 0, threading.Condition()

    def take(self) -> Path | None:
        """The next one; None when all are done. While other workers are at the last ones, one may still come back."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self._taken)
            if not self._waiting:
                return None
            self._taken += 1
            return self._waiting.popleft()

    def give_back(self, file: Path | None) -> None:
        """What was taken is done, or else is ``file``."""
        with self._changed:
            self._taken -= 1
            self._waiting.extend([] if file is None else [file])
            self._changed.notify_all()

    def drop(self) -> None:
        """There is nothing more to be done."""
        with self._changed:
            self._waiting = deque(maxlen=0)  # which keeps nothing that comes back
            self._changed.notify_all()
