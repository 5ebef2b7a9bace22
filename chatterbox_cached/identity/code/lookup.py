"""Looks attributes up as Python would, without running anything, and notes where they were found."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from ...upstream.calls import without_ours
from .libraries import Libraries
from .tensors import is_torch_module
from .values import OF_LIBRARY, UNKNOWN, Bound, Live, Made, OfLibrary, Unknown, Value, wrapped_in
from .watching import Watched

_MISSING = object()


class Slot(NamedTuple):
    """Where a model keeps its conditionals. What is there before a preparation is looked at by nothing here."""

    model: Any
    name: str


class Lookup:
    """``slot`` is left out. ``kind`` is told of every class of which something is looked up, ``visit`` of every
    property's function.

    ``names``: the attributes that were looked up. ``loose``: those of what is not known. ``overrides``: functions that
    stand on an instance in place of its class's. ``watched``: where everything was found; ``on_instances``: the same
    for what single instances have.
    """

    def __init__(
        self,
        libraries: Libraries,
        slot: Slot,
        kind: Callable[[type], None],
        visit: Callable[[Any, Value | None], None],
    ) -> None:
        self.libraries, self.slot, self._kind, self._visit = libraries, slot, kind, visit
        self.names, self.loose = set[str](), set[str]()
        self.overrides: list[Any] = []
        self.watched, self.on_instances = Watched(), Watched()

    def attribute(self, value: Value, name: str) -> tuple[Value, ...]:
        """What an attribute of ``value`` may be."""
        self.names.add(name)
        if isinstance(value, OfLibrary):
            return (OF_LIBRARY,)
        if isinstance(value, (Unknown, Bound)):
            self.loose.add(name)
            return (UNKNOWN,)
        if isinstance(value, Made):
            return (self._of_instance(value, value.kind, name),)
        thing = value.thing
        if isinstance(thing, ModuleType):
            return (self._of_module(thing, name),)
        if isinstance(thing, type):
            holder, raw = self._found(thing, name)
            return (UNKNOWN if holder is None else self.of_class(raw, None, thing),)
        if is_torch_module(thing) or not self.libraries.has(type(thing)):
            return (self._of_instance(value, type(thing), name),)
        return (OF_LIBRARY,)

    def _of_module(self, module: ModuleType, name: str) -> Value:
        if name not in vars(module) and self.libraries.has(module):
            # It loads late what it is asked for. That it does will be a reason to look again, and no change.
            self.watched.late(vars(module), name)
            return OF_LIBRARY
        found = getattr(module, name, _MISSING)
        self.watched.item(vars(module), name)
        return UNKNOWN if found is _MISSING else Live(found)

    def _of_instance(self, owner: Live | Made, kind: type, name: str) -> Value:
        self._kind(kind)
        if isinstance(owner, Live) and owner.thing is self.slot.model and name == self.slot.name:
            self.loose.add(name)
            return UNKNOWN
        holder, raw = self._found(kind, name)
        if isinstance(owner, Live) and not isinstance(raw, property):
            held = self._held(owner.thing, name)
            if held is not _MISSING:
                if holder is not None and callable(held):
                    self.overrides.append(held)
                return Live(held)
        if holder is None:
            if isinstance(owner, Live):  # its class may give it in some way of its own
                self.loose.add(name)
            return UNKNOWN
        return self.of_class(raw, owner, kind)

    def _held(self, thing: Any, name: str) -> Any:
        """What an instance itself has under a name, registered with PyTorch or not."""
        own = getattr(thing, "__dict__", {})
        self.on_instances.owner(thing)
        self.on_instances.item(own, name)
        registered = ("_modules", "_parameters", "_buffers") if is_torch_module(thing) else ()
        for place in (own, *(own.get(each) for each in registered)):
            if isinstance(place, dict) and name in place:  # TorchScript's are no dicts
                self.on_instances.item(place, name)
                return place[name]
        return _MISSING

    def _found(self, kind: type, name: str) -> tuple[type | None, Any]:
        """The class that has an attribute, and the attribute as it stands there."""
        for each in kind.__mro__:
            self.watched.item(each, name)
            if name in vars(each):
                return each, vars(each)[name]
        return None, None

    def of_class(self, raw: Any, owner: Live | Made | None, kind: type) -> Value:
        """What comes of ``raw``, which stands in a class, looked up on ``owner`` or, for None, on ``kind`` itself."""
        raw = without_ours(raw)
        if isinstance(raw, staticmethod):
            return Live(raw.__func__)
        if isinstance(raw, classmethod):
            return Bound(raw.__func__, Live(kind))
        if isinstance(raw, (property, functools.cached_property)):
            getter = raw.fget if isinstance(raw, property) else raw.func
            if getter is not None and owner is not None:
                self._visit(getter, owner)
            return UNKNOWN
        if owner is not None and inspect.isgetsetdescriptor(raw):  # as __dict__ is
            return UNKNOWN
        if owner is not None and (type(raw) is FunctionType or wrapped_in(raw) is not None):
            return Bound(raw, owner)
        return Live(raw)
