"""Where everything was found that decides what would run, and whether it is still there.

At every call those places are looked at in which a program replaces something by assigning to a name; everything is
looked at less often.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter, is_
from types import CellType, FunctionType
from typing import Any

from .places import Place, Places
from .tensors import bytes_of, is_tensor, is_torch_module
from .values import plain_items

_OF_FUNCTION = attrgetter("__code__", "__defaults__", "__kwdefaults__")
_CONTENT = attrgetter("cell_contents")
_NONE = Places()
Holder = type | Mapping[str, Any]


class Watched:
    """Namespaces, functions, cells and containers, with what they had; first all are noted, then ``settle`` is called.

    It keeps neither modules nor tensors alive, nor the owner of a namespace; when an owner is gone it lets go of all.
    """

    def __init__(self) -> None:
        self._namespaces: dict[int, Mapping[str, Any]] = {}
        self._names: dict[int, set[str]] = {}
        self._cells: dict[int, tuple[CellType, Any]] = {}
        self._functions: dict[int, tuple[FunctionType, tuple[Any, ...]]] = {}
        self._containers: dict[int, tuple[Any, Callable[[Any], Any], Any]] = {}
        self._owners: dict[int, weakref.ref[Any]] = {}
        self._whole: dict[int, tuple[Mapping[str, Any], int]] = {}
        self._late: list[tuple[Mapping[str, Any], str]] = []
        self._weak: list[tuple[Mapping[str, Any], str, weakref.ref[Any]]] = []
        self._places = _NONE
        self._let_go = False
        self._when_gone: Callable[[], None] = lambda: None

    def item(self, holder: Holder, name: str) -> None:
        """``name`` was looked for in a class, or in a namespace."""
        self._namespaces.setdefault(id(holder), vars(holder) if isinstance(holder, type) else holder)
        self._names.setdefault(id(holder), set()).add(name)

    def whole(self, kind: type) -> None:
        """What more comes into a class may stand before what it has from another."""
        self._whole[id(kind)] = vars(kind), _size(vars(kind))

    def late(self, namespace: Mapping[str, Any], name: str) -> None:
        """``name`` is not there yet; when it will be, nothing has changed, but there is more to note."""
        self._late.append((namespace, name))

    def owner(self, thing: Any) -> None:
        """Attributes of ``thing`` are looked at."""
        if id(thing) not in self._owners and type(thing).__weakrefoffset__:
            self._owners[id(thing)] = weakref.ref(thing, self._gone)

    def cell(self, cell: CellType) -> None:
        """A variable of an enclosing function was looked at; it has something."""
        self._cells[id(cell)] = cell, cell.cell_contents

    def function(self, function: FunctionType) -> None:
        """A function was followed."""
        self._functions[id(function)] = function, _OF_FUNCTION(function)

    def container(self, container: Any) -> None:
        """What is in a dict, list, set or array was looked at."""
        self._containers[id(container)] = container, _content_of, _content_of(container)

    def table(self, table: dict[Any, Any]) -> None:
        """The plain items of a dict were looked at."""
        self._containers[id(table)] = table, plain_items, plain_items(table)

    def settle(self, quick: Iterable[Holder], when_gone: Callable[[], None] = lambda: None) -> list[Place]:
        """Everything was noted. ``quick`` are the holders to look at in every call; gives their places.

        ``when_gone`` is called when an owner is gone, to let go of these.
        """
        places = {holder: self._place(namespace, self._names[holder]) for holder, namespace in self._namespaces.items()}
        self._places, self._when_gone = Places(places.values()), when_gone
        self._namespaces, self._names = {}, {}
        return [places[id(holder)] for holder in quick if id(holder) in places]

    def _place(self, namespace: Mapping[str, Any], names: set[str]) -> Place:
        there = [name for name in sorted(names) if name in namespace]
        light = [name for name in there if is_torch_module(namespace[name]) or is_tensor(namespace[name])]
        self._weak += [(namespace, name, weakref.ref(namespace[name])) for name in light]
        kept = tuple(name for name in there if name not in light)
        return Place(namespace, kept, tuple(map(namespace.__getitem__, kept)), tuple(names - namespace.keys()))

    def _gone(self, _: object) -> None:
        self._places = _NONE  # nothing is made here: this may be called while Python ends
        self._weak, self._let_go = [], True
        self._cells, self._functions, self._containers = {}, {}, {}
        self._when_gone()

    def stands_in_full(self) -> bool:
        """Whether everything is where it was found, and nothing was loaded late."""
        unchanged = self._places.stand() and self._rest_stands()
        return unchanged and not any(name in namespace for namespace, name in self._late)

    def is_unchanged(self) -> bool:
        """Whether everything is where it was found, whether our wrappers are there or not."""
        return self._places.stand_but_for_ours() and self._rest_stands()

    def _rest_stands(self) -> bool:
        return (
            not self._let_go
            and all(_size(namespace) == size for namespace, size in list(self._whole.values()))
            and all(reference() is namespace.get(name) for namespace, name, reference in self._weak)
            and all(_CONTENT(cell) is content for cell, content in list(self._cells.values()))
            and all(all(map(is_, _OF_FUNCTION(function), had)) for function, had in list(self._functions.values()))
            and all(_same(content(container), had) for container, content, had in list(self._containers.values()))
        )


def _size(of_class: Mapping[str, Any]) -> int:
    """How many things are in a class, without what Python notes there when it first copies or pickles an instance."""
    return len(of_class) - ("__slotnames__" in of_class)


def _content_of(container: Any) -> Any:
    if isinstance(container, dict):
        return [*container, *container.values()]
    if isinstance(container, (list, set, deque)):
        return list(container)
    if is_tensor(container):
        return bytes(bytes_of(container)) if container.is_inference() else container._version
    return container.tobytes()


def _same(now: Any, had: Any) -> bool:
    if isinstance(now, list):
        return len(now) == len(had) and all(map(is_, now, had))
    return bool(now == had)
