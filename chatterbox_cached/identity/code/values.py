"""What a symbol of a function stands for, as far as that can be known without running it."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from types import FunctionType, MethodType
from typing import Any, NamedTuple, Union

from ...upstream.calls import is_ours

PARTIAL = (functools.partial, functools.partialmethod)
PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), type(NotImplemented), range, slice)


class Live(NamedTuple):
    """This very object."""

    thing: Any


class Made(NamedTuple):
    """Some instance of this class."""

    kind: type


class Bound(NamedTuple):
    """A method: ``function`` with ``owner``, which is Live or Made, as its first argument."""

    function: Any
    owner: Value


class Unknown(NamedTuple):
    """It may be anything that Chatterbox has."""


class OfLibrary(NamedTuple):
    """It is made by a library, so its attributes are the library's: a tensor, for one."""


Value = Union[Live, Made, Bound, Unknown, OfLibrary]  # noqa: UP007 - Bound needs it at run time
UNKNOWN, OF_LIBRARY = Unknown(), OfLibrary()


def identity_of(value: Value | None) -> tuple[object, ...]:
    """Two values with the same identity are the same; things need not be hashable or comparable for it."""
    if isinstance(value, Bound):
        return Bound, id(value.function), *identity_of(value.owner)
    return (type(value), *map(id, value)) if value is not None else (None,)


def distinct(values: Iterable[Value]) -> tuple[Value, ...]:
    """Each value once."""
    return tuple({identity_of(value): value for value in values}.values())


def function_of(value: Value) -> Any:
    """What a method or a live thing is to call; None for what is not known."""
    if isinstance(value, Bound):
        return value.function
    return value.thing if isinstance(value, Live) else None


def wrapped_in(thing: Any) -> tuple[Any, tuple[Any, ...]] | None:
    """The function that a wrapper is around, and what else decides what it does; None for what is no known wrapper."""
    kind: Any = type(thing)
    if kind is FunctionType:  # what a decorator has put around a function
        inner = getattr(thing, "__wrapped__", None)
        cells = [cell.cell_contents for cell in thing.__closure__ or () if cell.cell_contents is not inner]
        return None if inner is None else (inner, tuple(cells))
    if is_ours(thing):
        return thing.__wrapped__, ()
    if kind is MethodType:
        return thing.__func__, (thing.__self__,)
    if kind in PARTIAL:
        names = tuple(sorted(thing.keywords))
        return thing.func, (*thing.args, names, *map(thing.keywords.__getitem__, names))
    if kind is _CACHED:
        return thing.__wrapped__, ()
    if hasattr(kind, "_self_wrapper"):  # of wrapt
        return thing.__wrapped__, (thing._self_wrapper,)
    if isinstance(thing, (staticmethod, classmethod)) and kind in (staticmethod, classmethod):
        return thing.__func__, ()
    return None


def plain_items(table: dict[Any, Any]) -> list[Any]:
    """Keys and values of the items that are plain, one after the other."""
    return [each for item in list(table.items()) if {*map(type, item)} <= {*PLAIN} for each in item]


_CACHED = type(functools.lru_cache(lambda: None))
