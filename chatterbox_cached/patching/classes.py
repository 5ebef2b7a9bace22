"""Which classes of Chatterbox's there are in this process, upstream's and those of copies, whatever they are called."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..upstream.encodings import ENCODINGS, Encoding
from ..upstream.families import FAMILIES, Family, is_of
from . import copies

_name_of = vars(type)["__qualname__"].__get__  # asks nothing of the class, which may answer in any way
_NAMES = frozenset(family.class_name for family in FAMILIES)


class Classes(NamedTuple):
    """Each with what it is."""

    families: list[tuple[type, Family]]
    encoders: list[tuple[type, Encoding]]


class _Finder:
    """Looks through all classes, and again only when there may be others."""

    def __init__(self) -> None:
        self._when: object = None
        self._families: list[tuple[weakref.ref[type], Family]] = []
        self._encoders: list[tuple[weakref.ref[type], Encoding]] = []

    def find(self) -> Classes:
        now = len(sys.modules), frozenset(map(id, copies.tokenizers()))
        if now != self._when or not all(_is_in_place(kind) for kind in self._found().families):
            self._families = [(weakref.ref(kind), family) for kind, family in _families()]
            self._encoders = [(weakref.ref(kind), encoding) for kind, encoding in _encoders()]
            self._when = now
        return self._found()

    def _found(self) -> Classes:
        families = [(kind, family) for reference, family in self._families if (kind := reference()) is not None]
        encoders = [(kind, encoding) for reference, encoding in self._encoders if (kind := reference()) is not None]
        return Classes(families, encoders)


def _is_in_place(found: tuple[type, Family]) -> bool:
    """Whether its module has not been given another class of this name."""
    kind = found[0]
    return getattr(sys.modules.get(kind.__module__), kind.__qualname__, kind) is kind


def _families() -> Iterator[tuple[type, Family]]:
    for kind in object.__subclasses__():
        if _name_of(kind) in _NAMES:
            with contextlib.suppress(Exception):
                yield from ((kind, family) for family in FAMILIES if is_of(kind, family))


def _encoders() -> Iterator[tuple[type, Encoding]]:
    modules: Any = sys.modules.get("torch")
    for encoding in ENCODINGS:
        above = [modules.nn.Module] if modules is not None and encoding.method != "forward" else copies.tokenizers()
        for kind in _all_below(above):
            if encoding.method in kind.__dict__ and encoding.is_at(kind):
                yield kind, encoding


def _all_below(kinds: list[Any]) -> list[Any]:
    """These classes, and all that come from them."""
    found = dict.fromkeys(kinds)
    todo = list(kinds)
    while todo:
        new = [each for each in todo.pop().__subclasses__() if each not in found]
        found.update(dict.fromkeys(new))
        todo += new
    return list(found)


_finder = _Finder()
find = _finder.find
