"""What a function notes for itself alone, such as which warnings it has given already."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from .explorer import Visit
from .symbols import Const, Global, Symbol


def keeps_to_itself(visit: Visit, symbol: Symbol) -> bool:
    """Whether this is a private name of the module that no other function of the module refers to, in a function that
    gives nothing: then whatever is kept there, only that function can tell.
    """
    if not isinstance(symbol, Global) or not symbol.name.startswith("_"):
        return False
    if visit.uses.yields or not visit.uses.returned <= {Const(None)}:
        return False
    function: Any = visit.function
    others = (code for code in _codes_of(function.__globals__) if code is not function.__code__)
    return not any(symbol.name in _names(code) for code in others)


def _codes_of(namespace: dict[str, Any]) -> Iterator[CodeType]:
    for value in list(namespace.values()):
        for thing in (value, *(vars(value).values() if isinstance(value, type) else ())):
            function: Any = getattr(thing, "__func__", None) or getattr(thing, "fget", None) or thing
            while hasattr(function, "__wrapped__"):
                function = function.__wrapped__
            if isinstance(function, FunctionType) and function.__globals__ is namespace:
                yield function.__code__


def _names(code: CodeType) -> set[str]:
    inner = (each for each in code.co_consts if isinstance(each, CodeType))
    return set(code.co_names).union(*map(_names, inner))
