"""What the symbols of one function stand for."""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Iterable
from inspect import CO_VARARGS
from types import FunctionType
from typing import Any

from .lookup import Lookup
from .symbols import Attr, Call, Free, Global, Import, Local, Star, SuperAttr, Symbol, Uses, Within
from .values import OF_LIBRARY, UNKNOWN, Live, Made, OfLibrary, Value, distinct, function_of

# What these give may be anything that they are given, or anything at all.
_GIVE_ANYTHING = frozenset({
    "getattr", "next", "iter", "vars", "eval", "exec", "map", "filter", "sorted", "reversed", "list", "tuple", "dict",
    "set", "enumerate", "zip", "min", "max", "globals", "locals", "__import__", "type", "super", "sum", "open",
})  # fmt: skip


class Scope:
    """``function`` with ``owner`` as its first argument, None where that is not known."""

    def __init__(self, lookup: Lookup, function: FunctionType, owner: Value | None, uses: Uses) -> None:
        self._lookup, self._function, self._owner, self._uses = lookup, function, owner, uses
        self._known: dict[Symbol, tuple[Value, ...]] = {}
        code = function.__code__
        self._first = code.co_varnames[0] if code.co_argcount else None
        self._cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))

    def resolve(self, symbol: Symbol) -> tuple[Value, ...]:
        """What ``symbol`` may stand for."""
        if symbol is None or isinstance(symbol, Within):
            return (UNKNOWN,)
        if symbol not in self._known:
            self._known[symbol] = (UNKNOWN,)  # for a variable that is made of itself
            self._known[symbol] = distinct(self._values(symbol))
        return self._known[symbol]

    def _values(self, symbol: Symbol) -> Iterable[Value]:
        if isinstance(symbol, Attr):
            return [each for base in self.resolve(symbol.base) for each in self._lookup.attribute(base, symbol.name)]
        if isinstance(symbol, Call):
            return [self._given_by(function) for function in self.resolve(symbol.function)]
        if isinstance(symbol, Global):
            return (self._global(symbol.name),)
        if isinstance(symbol, Free):
            return (self._free(symbol.name),)
        if isinstance(symbol, Local):
            return self._local(symbol.name)
        if isinstance(symbol, Import):
            return (self._import(symbol),)
        if isinstance(symbol, SuperAttr):
            return (self._super(symbol.name),)
        if isinstance(symbol, Star):
            return (self._owner,) if self._owner is not None and self._is_all(symbol.symbol) else (UNKNOWN,)
        return (OF_LIBRARY,)  # a constant, or a list or tuple

    def _global(self, name: str) -> Value:
        for place in (self._function.__globals__, vars(builtins)):
            self._lookup.watched.item(place, name)
            if name in place:
                return Live(place[name])
        return UNKNOWN

    def _free(self, name: str) -> Value:
        cell = self._cells.get(name)
        try:
            if cell is None:
                return UNKNOWN
            self._lookup.watched.cell(cell)
            return Live(cell.cell_contents)
        except ValueError:  # it is empty
            return UNKNOWN

    def _local(self, name: str) -> list[Value]:
        assigned = self._uses.assigned.get(name, frozenset())
        values = [each for symbol in sorted(assigned, key=repr) for each in self.resolve(symbol)]
        if name == self._first and self._owner is not None:
            return [self._owner, *values]
        return values if assigned and name not in self._arguments() else [UNKNOWN, *values]

    def _is_all(self, symbol: Symbol) -> bool:
        """Whether this is ``args`` of a function that takes all its arguments as ``*args``."""
        code = self._function.__code__
        takes_all = not code.co_argcount and code.co_flags & CO_VARARGS
        return bool(takes_all) and symbol == Local(code.co_varnames[code.co_kwonlyargcount])

    def _arguments(self) -> tuple[str, ...]:
        code = self._function.__code__
        return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + 2]

    def _import(self, symbol: Import) -> Value:
        package = self._function.__globals__.get("__package__")
        try:
            name = "." * symbol.level + symbol.name
            if symbol.level or symbol.name not in sys.modules:
                return Live(importlib.import_module(name, package))
            return Live(sys.modules[symbol.name])
        except Exception:  # it is missing, or whatever it does when it is loaded fails
            return UNKNOWN

    def _super(self, name: str) -> Value:
        cell = self._cells.get("__class__")
        own: Any = cell.cell_contents if cell is not None else None
        owner = self._owner
        kind = owner.kind if isinstance(owner, Made) else type(owner.thing) if isinstance(owner, Live) else own
        if not isinstance(own, type) or not isinstance(kind, type) or own not in kind.__mro__:
            self._lookup.loose.add(name)
            return UNKNOWN
        for each in kind.__mro__[kind.__mro__.index(own) + 1 :]:
            self._lookup.watched.item(each, name)
            if name in vars(each):
                bound_to = owner if isinstance(owner, (Live, Made)) else Made(own)
                return self._lookup.of_class(vars(each)[name], bound_to, each)
        return UNKNOWN

    def _given_by(self, function: Value) -> Value:
        """What a call of ``function`` gives."""
        libraries = self._lookup.libraries
        if isinstance(function, OfLibrary):
            return OF_LIBRARY
        thing = function_of(function)
        if isinstance(thing, type) and not libraries.has(thing):
            return Made(thing)
        if thing is None or not libraries.has(thing):
            return UNKNOWN
        is_builtin = getattr(thing, "__module__", "") == "builtins"
        return UNKNOWN if is_builtin and thing.__name__ in _GIVE_ANYTHING else OF_LIBRARY
