"""Symbols: expressions of a function as far as they are a name followed by attributes and calls.

``self.s3gen.embed_ref`` is ``Attr(Attr(Local("self"), "s3gen"), "embed_ref")``. Any other expression is None. They are
no tuples: of those, a global and a variable of the same name would be equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Union


@dataclass(frozen=True, slots=True)
class Global:
    """A name of the function's module, or one that is built in."""

    name: str


@dataclass(frozen=True, slots=True)
class Free:
    """A variable of an enclosing function."""

    name: str


@dataclass(frozen=True, slots=True)
class Local:
    """A variable or an argument; ``name`` begins with ``<number>`` for one of a function within the function."""

    name: str


@dataclass(frozen=True, slots=True)
class Import:
    """What an ``import`` within the function gives; ``level`` counts the dots in front."""

    name: str
    level: int


@dataclass(frozen=True, slots=True)
class Const:
    """A constant."""

    value: object


@dataclass(frozen=True, slots=True)
class Attr:
    """An attribute."""

    base: Symbol
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """What a call gives."""

    function: Symbol


@dataclass(frozen=True, slots=True)
class Items:
    """A list or tuple, such as the arguments of a call."""

    items: tuple[Symbol, ...]


@dataclass(frozen=True, slots=True)
class Star:
    """What ``*symbol`` puts into a list or tuple."""

    symbol: Symbol


@dataclass(frozen=True, slots=True)
class SuperAttr:
    """An attribute of ``super()``."""

    name: str


@dataclass(frozen=True, slots=True)
class Within:
    """A function within the function, such as a comprehension's. It is read along, so to call it is nothing unknown."""


Symbol = Union[Global, Free, Local, Import, Const, Attr, Call, Items, Star, SuperAttr, Within, None]  # noqa: UP007 - needed at run time


@dataclass(frozen=True, slots=True)
class Setting:
    """An attribute of ``base`` is set or deleted."""

    base: Symbol
    name: str


class Called(NamedTuple):
    """A call: of what, and what it is given. ``names`` are those of the last of ``given`` that are passed by name."""

    function: Symbol
    given: tuple[Symbol, ...] = ()
    names: tuple[str, ...] = ()


class Uses(NamedTuple):
    """What one function, with all functions within it, refers to and does.

    ``reads``: what it looks up, each chain at its longest. ``calls``: what it calls. ``assigned``: what its variables
    may be. ``texts``: its string constants. ``returned``: what it may give. ``attributes_set`` and ``items_set``: on
    what it sets or deletes an attribute, or an item. ``globals_set``: names of the module, or of an enclosing function,
    that it sets. ``yields``: whether it is a generator, or asynchronous. ``order``: what it reads, calls and sets (see
    Setting), with the place at which each stands first.
    """

    reads: frozenset[Symbol]
    calls: frozenset[Called]
    assigned: dict[str, frozenset[Symbol]]
    texts: frozenset[str]
    returned: frozenset[Symbol]
    attributes_set: frozenset[tuple[Symbol, str]]
    items_set: frozenset[Symbol]
    globals_set: frozenset[str]
    yields: bool
    order: Mapping[object, int]
