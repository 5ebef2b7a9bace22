"""The voice that a model came with, given back to it in its turn."""

from __future__ import annotations

from typing import Any

from ..concurrency.turns import turn
from ..errors import NotCachedError
from ..upstream import builtin, guard, slots
from ..upstream.calls import unproxied
from ..upstream.families import family_of


def builtin_voice(model: Any, exaggeration: Any = 0.5) -> Any:
    """Give ``model`` the voice back that it came with, and return these conditionals, as after a preparation.

    That is what it had before the first prompt that it was given with the cache enabled. ``"voice:builtin"`` in the
    place of a path does the same. Raises NotCachedError where there is none.
    """
    model = unproxied(model)
    family = family_of(model)
    if family is None:
        raise NotCachedError(f"{type(model).__name__} is no class of Chatterbox's that is known.")
    with turn(model).lock:
        builtin.put_back(model, family, exaggeration)
        conditionals = slots.held(model, family)
        guard.remember(conditionals, exaggeration, on_purpose=True)
        return conditionals
