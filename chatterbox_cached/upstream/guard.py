"""The exaggeration guard: says when ``generate`` speaks with another exaggeration than was prepared.

``generate`` without an audio prompt uses the conditionals that are there, but not the exaggeration they were prepared
with: its own default wins when none is passed. Only conditionals that were prepared on purpose are looked at: not the
built-in voice, nor those that the user put there or gave another exaggeration, nor what a ``generate`` with an audio
prompt prepared on its way, since upstream's own page clears the clip and moves the slider.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ExaggerationMismatchError, ExaggerationMismatchWarning
from ..notices import warn_place_once
from . import slots

# By the id of conditionals: these, what they were prepared with, and what they were last spoken with.
_prepared: dict[int, tuple[weakref.ref[Any], Any, Any]] = {}
_MANY = 256
_room = _MANY  # grows with those that a program keeps, so that they are not all looked at each time


def remember(conditionals: Any, exaggeration: object, *, on_purpose: bool = True) -> None:
    """Note that ``conditionals`` were prepared on purpose, with ``exaggeration``; or that it was last not so."""
    identity = id(conditionals)
    if not on_purpose:
        _prepared.pop(identity, None)
        return
    # A fork's conditionals may be something that can't be referred to weakly; then nothing is said of them.
    if type(conditionals).__weakrefoffset__:
        _prepared[identity] = weakref.ref(conditionals), exaggeration, exaggeration
        if len(_prepared) > _room:
            _forget_what_is_gone()


def _forget_what_is_gone() -> None:
    global _room
    for identity, known in list(_prepared.items()):
        if known[0]() is None and _prepared.get(identity) is known:
            _prepared.pop(identity, None)
    _room = max(_MANY, 2 * len(_prepared))


def prepared_exaggeration(conditionals: Any) -> Any:
    """The exaggeration that ``conditionals`` were prepared with; None when that was not on purpose."""
    known = _prepared.get(id(conditionals))
    return known[1] if known is not None and known[0]() is conditionals else None


def exaggeration_to_use(
    action: str,
    conditionals: Any,
    passed: Mapping[str, Any],
    default: Any,
    seen: Callable[[], None] = lambda: None,
) -> Any:
    """Look at a ``generate`` without an audio prompt; what it should be told to use, or None to leave it as it is.

    ``action`` is the setting on_mismatch. ``passed`` holds ``exaggeration`` if the caller passed one. ``seen`` is
    called where the two differ, whatever is then done.
    Raises ExaggerationMismatchError for "error"; warns with ExaggerationMismatchWarning otherwise, once for each place
    in a program, or each time where that is to be an error.
    """
    prepared = prepared_exaggeration(conditionals)
    explicit = "exaggeration" in passed
    spoken = passed["exaggeration"] if explicit else default
    if action == "off" or prepared is None or _same(prepared, spoken):
        return None
    if not _are_as_they_were_left(conditionals):
        return None
    seen()
    if action == "follow" and not explicit:
        return prepared
    message = _explicit(prepared, spoken) if explicit else _default_wins(prepared, spoken)
    if action == "error":
        raise ExaggerationMismatchError(f"{message} Nothing was generated (on_mismatch='error').")
    _prepared[id(conditionals)] = weakref.ref(conditionals), prepared, spoken
    warn_place_once(message, ExaggerationMismatchWarning)
    return None


def _are_as_they_were_left(conditionals: Any) -> bool:
    """Whether the exaggeration in them is what they were prepared with, or what ``generate`` has put there since."""
    known = _prepared.get(id(conditionals), ())  # another thread may have let go of them
    return any(slots.speaks_with(conditionals, exaggeration) for exaggeration in known[1:])


def _same(one: Any, other: Any) -> bool:
    """As float32, which is what a model hears: 0.7 as a double is never equal to itself as a float32."""
    import ctypes  # here, since it takes milliseconds and enable() is to be quick

    try:
        return bool(ctypes.c_float(float(one)).value == ctypes.c_float(float(other)).value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return True  # not numbers, so nothing can be said of them


def _default_wins(prepared: Any, spoken: Any) -> str:
    return (
        f"The voice was prepared with exaggeration={prepared}, but generate() was called without one and its default"
        f" wins: this is spoken with exaggeration={spoken}. To speak as prepared, pass exaggeration={prepared} to"
        " generate(), or use on_mismatch='follow'."
    )


def _explicit(prepared: Any, spoken: Any) -> str:
    return (
        f"The voice was prepared with exaggeration={prepared}, but generate() was passed exaggeration={spoken}: this is"
        f" spoken with exaggeration={spoken}. Pass the same value to both, or prepare with exaggeration={spoken}."
    )
