"""What was explored as text, and the digest of it."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

from ...upstream.calls import is_ours, without_ours
from .encoders import Encoders
from .explorer import Explorer, Visit
from .symbols import Attr, Call, Local, Symbol
from .tensors import is_torch_module
from .things import Texts, Undigestible, code_digest, digest, number_of, sorted_items
from .values import PLAIN, Bound, Live, Made, Unknown, Value, plain_items, wrapped_in

_MAY_BE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*").fullmatch  # of the environment
_OF_CLASS = (FunctionType, property, classmethod, staticmethod)


class Description:
    """``digest`` is the same wherever the same would run. Where that can't be told, it holds for this process only, and
    ``lives`` says of what kinds the objects are that it is for.
    """

    def __init__(self, explorer: Explorer, root: Any, model: Any, encoders: Encoders) -> None:
        self._explorer, self._root, self._model, self._encoders = explorer, root, model, encoders
        functions = dict.fromkeys(id(visit.function) for visit in explorer.visits.values())
        self._functions = {function: number for number, function in enumerate(functions)}
        self._kinds = {kind: number for number, kind in enumerate(explorer.kinds)}
        self._paths = {id(module): path for path, module in encoders.modules.items()}
        self._names = frozenset(explorer.lookup.names)
        self._describing: set[int] = set()
        self._texts = Texts(self._special, self._object, explorer.lookup.watched.container)
        self.lives: list[str] = []
        self.digest = digest(*self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"root {self._text(self._root)}"
        for visit in self._explorer.visits.values():
            yield from self._of_visit(visit)
        for kind, number in self._kinds.items():
            yield f"k{number} {self._of_kind(kind)}"
        for place, function in self._explorer.put_in_place.items():
            yield f"{place} {self._text(function)}"
        for thing in self._owners():
            yield f"{self._text(thing)} {self._loose_of(thing)}"
        yield from self._encoders.lines(self._text, self._names)
        for override in self._explorer.lookup.overrides:
            yield self._of_live(override)

    def _of_visit(self, visit: Visit) -> Iterator[str]:
        function = visit.function
        owner = "" if visit.owner is None else self._value(visit.owner)
        yield f"f{self._functions[id(function)]} {owner} {code_digest(function.__code__)}"
        yield self._text(function.__defaults__)
        yield self._text(getattr(function, "__kwdefaults__", None))
        if any(
            isinstance(value, Live) and value.thing is os.getenv for values in visit.read.values() for value in values
        ):
            yield self._environment()
        for symbol, values in visit.read.items():
            if not isinstance(symbol, (Call, Local)):  # these are made of the others
                yield f"{symbol!r} {'|'.join(sorted(self._read(symbol, value) for value in values))}"
            yield from self._of_holders(visit, symbol)

    def _of_holders(self, visit: Visit, symbol: Symbol) -> Iterator[str]:
        """What a library's method is called on, or an attribute of it is read: what is in it counts."""
        while isinstance(symbol, Attr):
            symbol = symbol.base
            for value in visit.resolve(symbol):
                if isinstance(value, Live) and value.thing is os.environ:
                    yield self._environment()
                elif isinstance(value, Live) and self._is_of_library(value.thing):
                    yield f"{symbol!r} is {self._text(value.thing)}"

    def _environment(self) -> str:
        """What the environment has under those names that are texts of functions: any of them may be asked for."""
        environment: Any = os.environ
        texts = set[str]().union(*(visit.uses.texts for visit in self._explorer.visits.values()))
        names = [text for text in texts if _MAY_BE_NAME(text)]
        for name in names:
            self._explorer.lookup.watched.item(environment._data, environment.encodekey(name))
        return f"environment {sorted((name, environment[name]) for name in names if name in environment)}"

    def _is_of_library(self, thing: Any) -> bool:
        """Whether this is an instance of a library's class, and none that is known by a place of its own."""
        if isinstance(thing, (ModuleType, type)) or callable(thing):
            return False
        return id(thing) not in self._encoders.tensors and self._explorer.libraries.has(type(thing))

    def _of_kind(self, kind: type) -> str:
        own = {name: value for name, value in vars(kind).items() if not _is_of_every_class(name, value)}
        for name in self._names & own.keys():
            self._explorer.lookup.watched.item(kind, name)
        bases = ",".join(self._text(base) for base in kind.__bases__)
        return f"({bases}) {self._attributes(own, self._names)}"

    def _owners(self) -> list[Any]:
        """The model, and what else of it is the first argument of a function, but the encoders."""
        owners = [visit.owner.thing for visit in self._explorer.visits.values() if isinstance(visit.owner, Live)]
        found = {id(thing): thing for thing in (self._model, *owners) if hasattr(thing, "__dict__")}
        return [thing for identity, thing in found.items() if identity not in self._paths]

    def _loose_of(self, thing: Any) -> str:
        lookup = self._explorer.lookup
        lookup.on_instances.owner(thing)
        names = frozenset(lookup.loose - {lookup.slot.name} if thing is self._model else lookup.loose)
        for name in names:
            lookup.on_instances.item(vars(thing), name)
        found = {name: value for name, value in vars(thing).items() if not is_torch_module(value)}
        return self._attributes(found, names)

    def _read(self, symbol: Symbol, value: Value) -> str:
        if isinstance(symbol, Attr) and symbol.name == "device" and isinstance(value, Live):
            return "device"  # its type is a part of the key by itself; which of several does not matter
        if isinstance(value, Live) and isinstance(symbol, Attr) and self._is_called_so(value.thing, symbol.name):
            return "library's"  # as before it is loaded
        return self._value(value)

    def _is_called_so(self, thing: Any, name: str) -> bool:
        """Whether this is what a library has under this name."""
        return getattr(thing, "__name__", "").rpartition(".")[2] == name and self._explorer.libraries.has(thing)

    def _value(self, value: Value) -> str:
        if isinstance(value, Live):
            return self._text(value.thing)
        if isinstance(value, Made):
            return f"a {self._text(value.kind)}"
        if isinstance(value, Bound):
            return f"method {self._text(value.function)}"
        return "?" if isinstance(value, Unknown) else "library's"

    def _text(self, thing: Any) -> str:
        try:
            return self._texts.of(thing)
        except Undigestible:
            return self._of_live(thing)

    def _of_live(self, thing: Any) -> str:
        """The text of this very object."""
        self.lives.append(_kind_of(thing))
        return f"live {number_of(thing)}"

    def _special(self, thing: Any) -> str | None:
        """What is known by a place of its own in all this."""
        libraries = self._explorer.libraries
        if thing is self._model:
            return "model"
        if isinstance(thing, ModuleType):
            return f"library {thing.__name__}" if libraries.has(thing) else "module"
        if isinstance(thing, type):
            return f"library {libraries.name_of(thing)}" if thing not in self._kinds else f"k{self._kinds[thing]}"
        if id(thing) in self._functions and type(thing) is FunctionType:
            return f"f{self._functions[id(thing)]}"
        if id(thing) in self._explorer.filled:
            return self._filled(thing)
        if is_torch_module(thing):
            return f"module {self._paths.get(id(thing)) or self._text(type(thing))}"
        if (found := wrapped_in(thing)) is not None:
            inner = [self._text(each) for each in (found[0], *found[1])]
            return inner[0] if is_ours(thing) else f"{_wrapper(thing)}({','.join(inner)})"
        if callable(thing) and libraries.has(thing):
            return f"library {libraries.name_of(thing)}"
        return None

    def _filled(self, thing: Any) -> str:
        """A table that functions fill as they go: only what it was given beforehand counts, and that is plain."""
        if not isinstance(thing, dict):
            return "table"
        self._explorer.lookup.watched.table(thing)
        return f"table {sorted(map(repr, plain_items(thing)))}"

    def _object(self, thing: Any) -> str | None:
        """An instance: its class with the attributes that any function looks up; all of them for a library's class."""
        kind, own = type(thing), getattr(thing, "__dict__", None)
        if not isinstance(own, dict) or inspect.isroutine(thing):
            return None
        if id(thing) in self._describing:
            return "itself"
        names = self._names if kind in self._kinds else frozenset(own)
        self._explorer.lookup.on_instances.owner(thing)
        for name in names:
            self._explorer.lookup.on_instances.item(own, name)
        self._describing.add(id(thing))
        try:
            text = f"{self._text(kind)}({self._attributes(own, names)})"
        finally:
            self._describing.discard(id(thing))
        is_all = kind in self._kinds or all(type(value) in PLAIN for value in own.values())
        return text if is_all else text + self._of_live(thing)  # of a library's object, more may count

    def _attributes(self, own: dict[str, Any], names: frozenset[str]) -> str:
        return ",".join(f"{name}={self._text(value)}" for name, value in sorted_items(own, names))


def _kind_of(thing: Any) -> str:
    """As ``function mine.patched``, or ``a threading.Lock``."""
    if inspect.isroutine(thing):
        return f"{type(thing).__name__} {getattr(thing, '__module__', None)}.{thing.__qualname__}"
    return f"a {type(thing).__module__}.{type(thing).__qualname__}"


def _is_of_every_class(name: str, value: Any) -> bool:
    return name.startswith("__") or isinstance(without_ours(value), _OF_CLASS)


def _wrapper(thing: Any) -> str:
    """Which kind of wrapper this is."""
    if type(thing) is not FunctionType:
        return f"{type(thing).__module__}.{type(thing).__qualname__}"
    return f"{thing.__globals__.get('__name__')}.{thing.__code__.co_name}"
