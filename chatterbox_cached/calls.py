"""A call that wants a voice prepared, taken apart: whose, of what audio, with which arguments."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from wrapt import BaseObjectProxy

from .families import Family, Signature, signature_of

# Per thread and per task: who asked to go round the cache, and what upstream is doing on which model right now.
_switched_off: ContextVar[bool] = ContextVar("chatterbox_cached_off", default=False)
_doing: ContextVar[frozenset[tuple[str, int]]] = ContextVar("chatterbox_cached_doing", default=frozenset())


class Preparation(NamedTuple):
    """One call of a family's prepare method. ``upstream`` makes that very call as if there were no cache."""

    model: Any
    family: Family
    audio: object
    exaggeration: object
    others: Mapping[str, object]
    upstream: Callable[[], Any]


def preparation(
    model: Any,
    family: Family,
    signature: Signature,
    upstream: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Preparation | None:
    """The call ``upstream(*args, **kwargs)`` taken apart; None where it does not fit the method's signature."""
    bound = signature.bind(args, kwargs)
    if bound is None or family.audio not in bound:
        return None
    others = signature.defaults | bound
    audio, exaggeration = others.pop(family.audio), others.pop(family.exaggeration, None)
    return Preparation(model, family, audio, exaggeration, others, partial(upstream, *args, **kwargs))


@dataclass(slots=True)
class Served:
    """How a call was served: from ``memory``, ``disk``, by ``upstream``, or ``round the cache``.

    ``returned`` is what upstream's method returned, ``conditionals`` what the model had at the end of its turn.
    """

    source: str
    returned: Any = None
    conditionals: Any = None


def asked_for(model: Any, family: Family, audio: object, exaggeration: object) -> Preparation:
    """The call that prepares this audio on ``model``."""
    arguments = {family.audio: audio, family.exaggeration: exaggeration}
    signature = signature_of(getattr(type(model), family.prepare))
    call = preparation(model, family, signature, getattr(model, family.prepare), (), arguments)
    assert call is not None  # these two are the arguments that every family has
    return call


def unproxied(model: Any) -> Any:
    """The model itself, where a proxy around it was given."""
    while issubclass(type(model), BaseObjectProxy):
        model = model.__wrapped__
    return model


@contextlib.contextmanager
def disabled() -> Iterator[None]:
    """Within this block, this thread or task goes round the cache; others are not affected."""
    token = _switched_off.set(True)
    try:
        yield
    finally:
        _switched_off.reset(token)


def goes_round() -> bool:
    """Whether this thread or task is in a ``disabled()`` block."""
    return _switched_off.get()


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
    now = _doing.get()
    return bool(now) and (what, id(model)) in now
