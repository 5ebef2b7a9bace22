"""Finds every function that would run: from one function on, through everything that it refers to.

Where it can't be told what an attribute belongs to, everything of that name in Chatterbox's classes is taken to be
meant: more is followed than would run, never less.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from types import FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from .bytecode import uses_of
from .libraries import Libraries, top_of
from .lookup import Lookup, Slot
from .scope import Scope
from .symbols import Attr, Called, Global, Symbol, Uses
from .tensors import is_torch_module
from .values import PARTIAL, Bound, Live, Made, Value, function_of, identity_of, wrapped_in

# With these, a function may look an attribute up by a text.
_BY_TEXT = frozenset({
    "getattr", "hasattr", "eval", "exec", "__import__", "vars", "globals", "attrgetter", "methodcaller",
})  # fmt: skip
# Methods by which a function changes what is in a list, a dict or a set.
FILL = frozenset({
    "append", "extend", "insert", "add", "update", "setdefault", "pop", "popitem", "popleft", "appendleft", "remove",
    "discard", "clear", "sort", "reverse", "move_to_end",
})  # fmt: skip
CONSTRUCTORS = ("__new__", "__init__", "__post_init__")
_CONTAINERS = (dict, list, tuple, set, frozenset)
uses = functools.lru_cache(maxsize=4096)(uses_of)


class Visit(NamedTuple):
    """A function that would run, with ``owner`` as its first argument where that is known.

    ``read``: what its symbols stand for. ``called``: what it calls, and what that stands for.
    """

    function: FunctionType
    owner: Value | None
    uses: Uses
    read: dict[Symbol, tuple[Value, ...]]
    called: list[tuple[Called, tuple[Value, ...]]]
    resolve: Callable[[Symbol], tuple[Value, ...]]


class Explorer:
    """``own`` is the name of the package that Chatterbox is in. All is kept in the order in which it is found.

    ``visits``: functions. ``kinds``: Chatterbox's classes. ``filled``: the ids of dicts that functions fill as they go.
    ``called_modules``: PyTorch's modules that are called. ``put_in_place``: what a program has put into a library, by
    its place.
    """

    def __init__(self, own: str, slot: Slot) -> None:
        self.libraries = Libraries(own)
        self.lookup = Lookup(self.libraries, slot, self.kind, self.visit)
        self.visits: dict[tuple[object, ...], Visit] = {}
        self.kinds: dict[type, None] = {}
        self.filled: set[int] = set()
        self.called_modules: dict[int, Any] = {}
        self.put_in_place: dict[str, Any] = {}
        self._searched: set[tuple[str, type]] = set()

    def visit(self, function: Any, owner: Value | None) -> None:
        """Follow a function of Chatterbox's or of the program's, or what a wrapper is around."""
        if type(function) is not FunctionType or self._is_decorator(function):
            self._visit_wrapped(function, owner)
            return
        key = id(function), *identity_of(owner)
        if key in self.visits or self.libraries.has(function):
            return
        self.lookup.watched.function(function)
        used = uses(function.__code__)
        scope = Scope(self.lookup, function, owner, used)
        self.visits[key] = visit = Visit(function, owner, used, {}, [], scope.resolve)
        self._follow(visit, scope)
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self.meet(Live(default))

    def _visit_wrapped(self, wrapper: Any, owner: Value | None) -> None:
        if (found := wrapped_in(wrapper)) is not None:
            function, more = found
            self.visit(function, Live(wrapper.__self__) if type(wrapper) is MethodType else owner)
            self.meet_all(map(Live, more))

    def _is_decorator(self, function: FunctionType) -> bool:
        """Whether this is what a library's decorator, such as ``torch.no_grad``, has put around a function."""
        return hasattr(function, "__wrapped__") and self.libraries.has_code(function)

    def _follow(self, visit: Visit, scope: Scope) -> None:
        used = visit.uses
        if any(isinstance(symbol, Global) and symbol.name in _BY_TEXT for symbol in used.reads):
            self.lookup.loose |= used.texts
        called = {call.function for call in used.calls}
        for symbol in sorted(used.reads, key=repr):
            visit.read[symbol] = scope.resolve(symbol)
            if symbol not in called:
                self.meet_all(visit.read[symbol])
        for call in sorted(used.calls, key=repr):
            functions, first = scope.resolve(call.function), scope.resolve(call.given[0] if call.given else None)
            visit.called.append((call, functions))
            for function in functions:
                self._call(function, first)
            if isinstance(call.function, Attr) and call.function.name in FILL:
                self._fills(scope, call.function.base)
        for symbol in used.items_set:
            self._fills(scope, symbol)

    def _fills(self, scope: Scope, symbol: Symbol) -> None:
        self.filled.update(id(value.thing) for value in scope.resolve(symbol) if isinstance(value, Live))

    def _call(self, function: Value, first: tuple[Value, ...]) -> None:
        thing = function.thing if isinstance(function, Live) else None
        if type(thing) is FunctionType or _passes_all_on(thing):
            owners: list[Value | None] = [each for each in first if isinstance(each, (Live, Made))]
            for owner in owners or [None]:
                self.visit(thing, owner)
        elif is_torch_module(thing):
            self.called_modules[id(thing)] = thing
            self.meet_all(self.lookup.attribute(function, "forward"))
        elif callable(thing) and not isinstance(thing, type) and wrapped_in(thing) is None:
            self.meet(function)
            if not self.libraries.has(type(thing)):
                self.meet_all(self.lookup.attribute(function, "__call__"))
        else:
            self.meet(function)

    def meet(self, value: Value) -> None:
        """Something is referred to, so it may be used in any way."""
        if isinstance(value, Bound):
            self.visit(value.function, value.owner)
        elif isinstance(value, Live):
            self._meet_live(value.thing)

    def _meet_live(self, thing: Any) -> None:
        if isinstance(thing, type):
            self._meet_kind(thing)
        elif type(thing) is FunctionType or wrapped_in(thing) is not None:
            self.visit(thing, None)
        elif isinstance(thing, _CONTAINERS):
            for each in thing.values() if isinstance(thing, dict) else thing:
                if callable(each):
                    self._meet_live(each)
        elif not isinstance(thing, ModuleType):
            self.kind(type(thing))

    def meet_all(self, values: Iterable[Value]) -> None:
        """``meet`` each of them."""
        for value in values:
            self.meet(value)

    def put(self, place: str, thing: Any, owner: Value | None = None) -> None:
        """Follow what a program has put into a library, as a method of ``owner`` or by itself."""
        self.put_in_place[place] = thing
        if isinstance(thing, type):
            self._put_class(thing)
        elif owner is not None:
            self.visit(thing, owner)
        else:
            self._call(Live(thing), ())

    def _put_class(self, kind: type) -> None:
        """A library may use anything of it, so what it does is followed, and it stands for itself alone."""
        self.lookup.overrides.append(kind)
        self._meet_kind(kind)
        for each in kind.__mro__:
            for name in () if self.libraries.has(each) else list(vars(each)):
                self.meet_all(self.lookup.attribute(Made(kind), name))

    def kind(self, kind: type) -> None:
        """There is an instance of this class."""
        for each in kind.__mro__:
            if each not in self.kinds and not self.libraries.has(each):
                self.kinds[each] = None

    def _meet_kind(self, kind: type) -> None:
        """A class is referred to, so instances of it may be made."""
        self.kind(kind)
        if not self.libraries.has(kind):
            for name in CONSTRUCTORS:
                self.meet_all(self.lookup.attribute(Made(kind), name))

    def search_loose_names(self) -> None:
        """Follow what has no known owner by its name, until nothing new comes up."""
        while todo := [
            (name, kind)
            for name in sorted(self.lookup.loose)
            for kind in self.kinds
            if (name, kind) not in self._searched
        ]:
            for name, kind in todo:
                self._searched.add((name, kind))
                if name in vars(kind):
                    self.lookup.names.add(name)
                    self.meet(self.lookup.of_class(vars(kind)[name], Made(kind), kind))

    def called_libraries(self) -> set[str]:
        """The packages of the libraries of which anything is called."""
        calls = ((visit, call) for visit in self.visits.values() for call, _ in visit.called)
        return {top for visit, call in calls if (top := self.library_of(visit, call.function)) is not None}

    def library_of(self, visit: Visit, symbol: Symbol) -> str | None:
        """The package of the library that a symbol is of; None where it is of none."""
        root = symbol
        while isinstance(root, Attr):
            root = root.base
        for each in (root, symbol):  # what it loads late is a library's too
            for value in visit.resolve(each):
                thing = function_of(value)
                if isinstance(thing, ModuleType) and self.libraries.has(thing):
                    return top_of(thing.__name__)
                if each is symbol and thing is not None and self.libraries.has(thing):
                    return top_of(thing.__module__)
        return None

    def close(self) -> None:
        """Let go of everything: its parts know each other, so the model would live on until Python looks for that."""
        self.visits.clear()
        del self.lookup


def _passes_all_on(thing: Any) -> bool:
    """Whether this is a wrapper that gives what it is around the same arguments."""
    return wrapped_in(thing) is not None and not isinstance(thing, (MethodType, *PARTIAL))
