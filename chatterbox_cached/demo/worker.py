"""A worker of the demo with a store: a process with a model and a cache folder of its own."""

from __future__ import annotations

import contextlib
import hashlib
import io
import multiprocessing
import os
import warnings
from collections.abc import Mapping
from importlib import import_module
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import chatterbox_cached
from chatterbox_cached import ConditionalCache

from ..errors import ChatterboxCachedError
from ..upstream.families import variant
from . import loading
from .comparison import Spoken, speak, timed_preparations

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_END_SECONDS = 10.0


class Order(NamedTuple):
    """The model to load, and the store that so many ``workers`` share; ``call`` warms the model up."""

    model: str
    device: str
    shared: str
    signing_key: str
    call: Mapping[str, Any]
    workers: int


class Heard(NamedTuple):
    """What became of one call: the SHA-256 of its samples, seconds, and where the voice came from."""

    samples: str
    preparing: float
    generating: float
    source: str


class Worker:
    """One of them; it begins to load at once. ``loaded`` comes first, and then calls, each ``told`` and ``heard``."""

    def __init__(self, order: Order) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        filters = list(warnings.filters)  # what is not to be said here is not said there
        self._process = context.Process(target=_work, args=(theirs, order, filters), daemon=True)
        self._process.start()
        theirs.close()

    def loaded(self) -> bool:
        """Whether it has the published weights, once it has any."""
        return bool(self._answer())

    def told(self, call: Mapping[str, Any], *, cached: bool = True) -> None:
        """Have it make this call."""
        self._ours.send((call, cached))

    def heard(self) -> Heard:
        """What became of the call."""
        heard: Heard = self._answer()
        return heard

    def asked(self, call: Mapping[str, Any], *, cached: bool = True) -> Heard:
        """Have it make this call, and wait for what becomes of it."""
        self.told(call, cached=cached)
        return self.heard()

    def end(self) -> None:
        """Have it end, and bring it about where that takes too long."""
        self._ours.close()
        self._process.join(_END_SECONDS)
        self._process.kill()
        self._process.join()

    def _answer(self) -> Any:
        try:
            return self._ours.recv()
        except EOFError as error:
            self._process.join()
            raise ChatterboxCachedError(f"A worker ended with {self._process.exitcode}.") from error


def _work(asked: Connection, order: Order, filters: list[Any]) -> None:
    warnings.filters[:] = filters  # type: ignore[index]
    import_module("torch").set_num_threads(max(1, (os.cpu_count() or 1) // order.workers))
    with contextlib.redirect_stdout(io.StringIO()):  # the other worker would say the same
        model, published = loading.load(order.model, order.device)
    family = variant(order.model).family
    with TemporaryDirectory() as folder, timed_preparations(model, family.prepare) as timed:
        speak(model, timed, order.call)
        cache = ConditionalCache(folder, shared=order.shared, signing_key=order.signing_key)
        with contextlib.closing(cache), contextlib.suppress(EOFError):  # nothing more is asked for
            asked.send(published)
            while True:
                call, cached = asked.recv()
                with chatterbox_cached.enabled(cache=cache) if cached else contextlib.nullcontext():
                    asked.send(_heard(speak(model, timed, call)))


def _heard(spoken: Spoken) -> Heard:
    digest = hashlib.sha256(spoken.samples.cpu().numpy().tobytes()).hexdigest()
    return Heard(digest, spoken.preparing, spoken.generating, spoken.source)
