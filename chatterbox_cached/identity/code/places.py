"""Namespaces as they were, and the two ways to look whether they still are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from operator import is_, itemgetter
from typing import Any, NamedTuple

from ...concurrency.signals import pass_on
from ...upstream.calls import without_ours

_LARGE = 64


class Place(NamedTuple):
    """A namespace as it was: ``values`` under these names, nothing under those that are ``absent``."""

    namespace: Mapping[str, Any]
    names: tuple[str, ...]
    values: tuple[Any, ...]
    absent: tuple[str, ...]


class Places:
    """Looks at many places, whether the very same objects are there, in loops of the interpreter's own."""

    def __init__(self, places: Iterable[Place] = ()) -> None:
        places = list(places)
        # Of a library's namespace nearly all is looked at, and its values in a row are found sooner than by name.
        large = [place for place in places if len(place.names) > max(_LARGE, len(place.namespace) / 2)]
        self._large = {id(place): (place, list(place.namespace.values())) for place in large}
        self._small = [place for place in places if id(place) not in self._large and place.names]
        self._getters = list(map(_getter, self._small))
        self._values = [value for place in self._small for value in (*place.values, place.values[0])]
        self._without = [(place.namespace, place.absent) for place in places if place.absent]

    def stand(self) -> bool:
        """Whether all values are there, and nothing is under the names that had nothing."""
        try:
            small = [get(namespace) for get, namespace in self._getters]
            return (
                all(map(is_, chain.from_iterable(small), self._values))
                and all(self._stands(place, had) for place, had in list(self._large.values()))
                and not any(any(map(namespace.__contains__, absent)) for namespace, absent in self._without)
            )
        except KeyError:
            return False

    def stand_but_for_ours(self) -> bool:
        """The same where our own wrappers, which come and go, count for nothing. It takes longer."""
        places = (*self._small, *(place for place, _ in list(self._large.values())))
        return all(
            without_ours(namespace.get(name)) is without_ours(value)
            for place in places
            for namespace, name, value in _items(place)
        ) and not any(any(map(namespace.__contains__, absent)) for namespace, absent in self._without)

    def _stands(self, place: Place, had: list[Any]) -> bool:
        namespace = place.namespace
        if len(namespace) == len(had) and all(map(is_, namespace.values(), had)):
            return True
        if not all(map(is_, map(namespace.__getitem__, place.names), place.values)):
            return False
        self._large[id(place)] = place, list(namespace.values())  # something else is new, which does not count
        return True


def _getter(place: Place) -> tuple[Callable[[Any], tuple[Any, ...]], Mapping[str, Any]]:
    """Gets all values of a place at once, and after them the first: given one name alone, itemgetter gives no tuple."""
    return itemgetter(*place.names, place.names[0]), place.namespace


def _items(place: Place) -> Iterator[tuple[Mapping[str, Any], str, Any]]:
    return ((place.namespace, name, value) for name, value in zip(place.names, place.values, strict=True))


class QuickLook:
    """Looks at some places in a fraction of the time, at every call.

    It does not tell a value from another one that is equal to it, as 8000 is to 8000.0.
    """

    def __init__(self, places: Iterable[Place] = ()) -> None:
        places = list(places)
        had = [place for place in places if place.names]
        self._getters = list(map(_getter, had))
        self._values = [(*place.values, place.values[0]) for place in had]
        self._each = [place.namespace for place in places]
        self._sizes = list(map(len, self._each))

    def stands(self) -> bool:
        """Whether all values are there."""
        try:
            return [get(namespace) for get, namespace in self._getters] == self._values
        except Exception as error:  # one is gone, or can't say whether it is equal
            pass_on(error)
            return False

    def are_of_the_same_size(self) -> bool:
        """Whether no namespace has become larger or smaller, so that nothing can be there that was not."""
        return list(map(len, self._each)) == self._sizes

    def take_sizes(self) -> None:
        """Nothing that counts is there that was not: these are the sizes from now on."""
        self._sizes = list(map(len, self._each))
