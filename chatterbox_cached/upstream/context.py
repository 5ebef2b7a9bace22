"""What is going on around a call, per thread and per task: who goes round the cache, and what upstream is at."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

_switched_off: ContextVar[bool] = ContextVar("chatterbox_cached_off", default=False)
_doing: ContextVar[frozenset[tuple[str, int]]] = ContextVar("chatterbox_cached_doing", default=frozenset())


@contextlib.contextmanager
def disabled() -> Iterator[None]:
    """Within this block, this thread or task goes round the cache; other threads and tasks do not."""
    token = _switched_off.set(True)
    try:
        yield
    finally:
        _switched_off.reset(token)


# Asked at every hit, so these are no functions around a function.
goes_round: Callable[[], bool] = _switched_off.get
"""Whether this thread or task is in a ``disabled()`` block."""
done_now: Callable[[], frozenset[tuple[str, int]]] = _doing.get
"""All that this thread or task is inside of, each with the id of the model."""


@contextlib.contextmanager
def doing(what: str, model: object) -> Iterator[None]:
    """While upstream does ``what`` on ``model``: whatever of ours it meets on its way leaves that alone."""
    token = _doing.set(_doing.get() | {(what, id(model))})
    try:
        yield
    finally:
        _doing.reset(token)


def is_doing(what: str, model: object) -> bool:
    """Whether this thread or task is inside upstream's doing ``what`` on ``model``."""
    return (what, id(model)) in _doing.get()
