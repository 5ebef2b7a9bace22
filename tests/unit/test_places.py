"""Looking whether namespaces are as they were: each look against the plainest way to say it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatterbox_cached.identity.code.places import Place, Places, QuickLook

VALUES: tuple[Any, ...] = (0, False, 1.0, True, "a", (1,), len, object(), [1], None)
NAMES = tuple(f"n{number}" for number in range(150))


def _place(namespace: dict[str, Any], watched: int) -> Place:
    names = tuple(namespace)[:watched]
    return Place(namespace, names, tuple(namespace[name] for name in names), ("absent",))


def _is_as_it_was(place: Place) -> bool:
    namespace = place.namespace
    there = all(
        name in namespace and namespace[name] is had for name, had in zip(place.names, place.values, strict=True)
    )
    return there and not any(name in namespace for name in place.absent)


changes = st.lists(
    st.tuples(
        st.sampled_from(["set", "delete", "move", "nothing"]),
        st.sampled_from([*NAMES, "absent"]),
        st.sampled_from(VALUES),
    ),
    max_size=4,
)


@settings(deadline=None)
@given(size=st.integers(1, 150), part=st.floats(0, 1), rounds=st.lists(changes, min_size=1, max_size=5))
def test_the_full_look_sees_exactly_what_is_not_where_it_was(size: int, part: float, rounds: list[Any]) -> None:
    namespace = {name: VALUES[number % len(VALUES)] for number, name in enumerate(NAMES[:size])}
    place = _place(namespace, int(part * size))
    places = Places([place])
    for changed in rounds:
        for what, name, value in changed:
            if what == "set":
                namespace[name] = value
            elif what == "delete":
                namespace.pop(name, None)
            elif what == "move" and name in namespace:
                namespace[name] = namespace.pop(name)
        assert places.stand() is _is_as_it_was(place)


def test_what_comes_into_a_librarys_namespace_does_not_count_and_what_is_replaced_in_it_does() -> None:
    namespace: dict[str, Any] = {name: object() for name in NAMES}
    places = Places([_place(namespace, 140)])
    namespace["loaded_late"] = 1
    assert places.stand()
    namespace["n149"] = 2  # not looked at
    assert places.stand()
    kept, namespace["n3"] = namespace["n3"], object()
    assert not places.stand()
    namespace["n3"] = kept
    assert places.stand()
    del namespace["n3"]
    assert not places.stand()


def _replaced(namespace: dict[str, Any]) -> None:
    namespace["function"] = print


def _deleted(namespace: dict[str, Any]) -> None:
    del namespace["function"]


def _by_what_cannot_be_compared(namespace: dict[str, Any]) -> None:
    namespace["array"] = np.ones(3)


@pytest.mark.parametrize("change", [_replaced, _deleted, _by_what_cannot_be_compared])
def test_the_quick_look_sees_what_is_assigned_to_a_name(change: Callable[[dict[str, Any]], None]) -> None:
    namespace: dict[str, Any] = {"function": len, "number": 1, "array": np.zeros(3), "more": 2}
    single: dict[str, Any] = {"function": len}
    look = QuickLook([_place(namespace, 3), Place(single, ("function",), (len,), ()), Place({}, (), (), ("absent",))])
    assert look.stands()
    namespace["more"] = 3  # not looked at
    assert look.stands()
    change(namespace)
    assert not look.stands()


def test_the_quick_look_sees_that_there_is_more_or_less() -> None:
    namespace: dict[str, Any] = {"function": len, "more": 2}
    look = QuickLook([_place(namespace, 1)])
    assert look.are_of_the_same_size()
    namespace["absent"] = 1
    assert look.stands()
    assert not look.are_of_the_same_size()
    look.take_sizes()
    assert look.are_of_the_same_size()
