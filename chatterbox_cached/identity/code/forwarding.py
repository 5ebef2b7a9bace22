"""Where arguments go: whose they are where a wrapper takes any, and which of them a method hands on to another."""

from __future__ import annotations

import functools
import inspect
from types import FunctionType
from typing import Any

from ...upstream.signatures import Signature, signature_of
from .explorer import uses
from .symbols import Called, Free, Global, Local, Star, Symbol

_DEEPEST = 16


def taken_by(function: Any) -> Any:
    """The method that says by name which arguments it takes: ``function`` itself or, where that takes any and passes
    them on as they are, what it passes them to.
    """
    for _ in range(_DEEPEST):
        inner = _passes_on_to(inspect.unwrap(function))
        if inner is None:
            break
        function = inner
    return function


@functools.lru_cache(maxsize=256)
def handed_on(function: Any, method: str, parameter: str) -> frozenset[str]:
    """The arguments that ``function`` itself hands, as they are, to the ``method`` of this name as its ``parameter``,
    by name or first.
    """
    function = inspect.unwrap(function)
    if type(function) is not FunctionType:
        return frozenset()
    calls = (call for call in uses(function.__code__).calls if getattr(call.function, "name", None) == method)
    given = (_given_as(parameter, call) for call in calls)
    return frozenset(each.name for each in given if isinstance(each, Local))


def _given_as(parameter: str, call: Called) -> Symbol:
    by_name = dict(zip(reversed(call.names), reversed(call.given), strict=False))
    first = call.given[0] if len(call.given) > len(call.names) else None
    return by_name.get(parameter, first)


def signature_and_taker(function: Any) -> tuple[Signature, Any]:
    """The arguments of a method, and the method whose they are: another one where it takes any and passes them on."""
    signature = signature_of(function)
    if signature.bindable:
        return signature, function
    inner = taken_by(function)
    return signature_of(inner), inner


def _passes_on_to(function: Any) -> Any:
    if type(function) is not FunctionType or not function.__code__.co_flags & inspect.CO_VARARGS:
        return None
    code = function.__code__
    model, rest = code.co_varnames[: code.co_argcount], code.co_varnames[code.co_argcount + code.co_kwonlyargcount]
    as_they_are: tuple[Symbol, ...] = (*(Local(name) for name in model), Star(Local(rest)))
    found = {call.function for call in uses(code).calls if _begins_with(call, as_they_are)}
    return _live(function, found.pop()) if code.co_argcount <= 1 and len(found) == 1 else None


def _begins_with(call: Called, given: tuple[Symbol, ...]) -> bool:
    return call.given in (given, (*given, Star(None)))


def _live(function: FunctionType, symbol: Symbol) -> Any:
    if isinstance(symbol, Global):
        return function.__globals__.get(symbol.name)
    if isinstance(symbol, Free):
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        try:
            return cells[symbol.name].cell_contents
        except ValueError:  # it is empty
            return None
    return None
