"""For whom this thread works: another one that waits for it must not be waited for in turn.

Told by Python's own means to wait: another thread's end, a future's result, an event, a condition or a queue. Who waits
for such a thing waits for the thread that has it at hand.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

_MEANS = ("threading", "queue", "concurrent.futures._base", "concurrent.futures.thread")
_FARTHEST = 8


def waits_for_this(thread: int) -> bool:
    """Whether ``thread`` waits for this one, or for one that does."""
    frames = sys._current_frames()
    awaited = {each: _identities(_awaited_by(frame)) for each, frame in frames.items()}
    here, found = _identities(_at_hand_here()), set[int]()
    while thread not in found:
        more = {each for each, things in awaited.items() if things & here} - found
        if not more:
            return False
        found |= more
        here = here.union(*(_identities(_made_by(frames[each])) for each in more))
    return True


def is_made_here(awaited: object) -> bool:
    """Whether a coroutine that awaits this waits for what this thread is at."""
    return awaited is not None and id(awaited) in _identities(_at_hand_here())


def _identities(things: Iterator[object]) -> set[int]:
    return {id(each) for each in things if each is not None}


def _awaited_by(frame: FrameType | None) -> Iterator[object]:
    while frame is not None and frame.f_globals.get("__name__") in _MEANS:
        yield frame.f_locals.get("self")
        yield from frame.f_locals.get("fs") or ()
        frame = frame.f_back


def _at_hand_here() -> Iterator[object]:
    """All that the functions which this thread is in have a name for, and what it makes."""
    here: FrameType | None = sys._getframe()
    while here is not None and here.f_globals is globals():
        here = here.f_back
    frame = here
    while frame is not None:
        yield from frame.f_locals.values()
        frame = frame.f_back
    yield from _made_by(here)


def _made_by(frame: FrameType | None) -> Iterator[object]:
    """What a thread that is in this frame is there for: the thread itself, and its result for those that are told."""
    while frame is not None:
        if frame.f_globals.get("__name__") in _MEANS and frame.f_code.co_name in ("run", "_bootstrap_inner"):
            yield (itself := frame.f_locals.get("self"))
            yield from _told_by(getattr(itself, "future", None), _FARTHEST)
        frame = frame.f_back


def _told_by(future: Any, farthest: int) -> Iterator[object]:
    """A future, and those that its result is handed on to."""
    yield future
    in_event_loop = [each for each, _ in getattr(future, "_callbacks", None) or ()]
    for callback in getattr(future, "_done_callbacks", in_event_loop) if farthest else ():
        cells = (cell.cell_contents for cell in getattr(callback, "__closure__", ()) or ())
        for each in (*cells, *getattr(callback, "args", ()), getattr(callback, "__self__", None)):
            if hasattr(each, "_callbacks"):
                yield from _told_by(each, farthest - 1)
