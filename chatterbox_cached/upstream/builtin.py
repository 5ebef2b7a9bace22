"""The voice that a model came with: kept from before its first prompt takes its place, and put back on demand."""

from __future__ import annotations

import weakref
from types import SimpleNamespace
from typing import Any

from ..errors import NotCachedError, Unidentifiable
from ..voice.snapshot import Snapshot
from . import slots
from .families import Family

NAME = "voice:builtin"  # in the place of a path
# By id, since models need not be hashable: each with its own voice, or why there is none.
_own: dict[int, tuple[weakref.ref[Any], Snapshot | str]] = {}


def is_meant(audio: object) -> bool:
    """Whether the model's own voice is asked for, and no recording."""
    return type(audio) is str and audio == NAME


def keep(model: Any, family: Family) -> None:
    """Keep what ``model`` has before the first prompt that it is given here."""
    known = _own.get(id(model))
    if known is None or known[0]() is not model:
        identity = id(model)
        _own[identity] = weakref.ref(model, lambda _: _own.pop(identity, None)), _taken(model, family)


def put_back(model: Any, family: Family, exaggeration: Any) -> None:
    """Give ``model`` the voice that it came with, for this exaggeration.

    Raises NotCachedError where there is none, TypeError where the exaggeration is no number.
    """
    keep(model, family)
    own = _own[id(model)][1]
    if isinstance(own, str):
        raise NotCachedError(f"This {type(model).__name__} {own}. Give it a recording.")
    try:
        emotion = slots.emotion_adv(exaggeration, model.device)
    except Unidentifiable as error:
        raise TypeError(str(error)) from error
    slots.hold(model, family, slots.revive(own.to(model.device), model, family, emotion))


def _taken(model: Any, family: Family) -> Snapshot | str:
    live = slots.held(model, family)
    if live is None:
        return "came without a voice of its own"
    try:
        if not family.speaks_texts:
            return slots.copy_of(live, family, None)
        t3 = SimpleNamespace(**slots.without_derived(vars(live.t3)))
        return slots.copy_of(SimpleNamespace(t3=t3, gen=live.gen), family, t3.emotion_adv)
    except (AttributeError, Unidentifiable):
        return "came with a voice that is not such as Chatterbox makes them"
