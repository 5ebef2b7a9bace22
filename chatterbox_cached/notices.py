"""What the user is told of, as if this package were not there: warnings at their own line, tracebacks without ours."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from pathlib import Path
from types import FrameType, TracebackType

from .errors import CacheWarning
from .log import logger

# The lines that were warned of by ``warn_place_once``, each with what it was told first.
_said: dict[tuple[type[Warning], str, int], object] = {}


def warn_caller(message: str, category: type[Warning]) -> None:
    """Warn as if the line outside this package had; Python's filters decide how often that is shown.

    Raises the warning where a filter makes it an error, and nothing where it can't be shown.
    """
    logger().warning(message)
    level = _caller()[0]
    try:
        warnings.warn(message, category, stacklevel=level)
    except category:
        raise
    except Exception:  # sys.stderr is closed, for one, or the program's showwarning fails
        return


def warn_place_once(message: str, category: type[Warning]) -> None:
    """``warn_caller``, but of one category once for each line outside this package, whatever the message.

    Where a filter makes it an error it is raised each time.
    """
    frame, this = _caller()[1], object()
    place = category, frame.f_code.co_filename, frame.f_lineno
    if _said.setdefault(place, this) is not this:
        return
    try:
        warn_caller(message, category)
    except category:
        del _said[place]
        raise


def caller() -> FrameType:
    """The frame outside this package from which it was called."""
    return _caller()[1]


def _caller() -> tuple[int, FrameType]:
    """As for ``warnings.warn`` in the function that calls this, and the frame."""
    level, frame, inside = 1, sys._getframe(1), _inside()
    while frame.f_back is not None and _is_of(inside, frame):
        level, frame = level + 1, frame.f_back
    return level, frame


def tell(message: str) -> None:
    """Warn that the cache could not do its work. Warnings that are errors must not reach the caller from here."""
    with contextlib.suppress(CacheWarning):
        warn_caller(message, CacheWarning)


def without_us(traceback: TracebackType | None) -> TracebackType | None:
    """The traceback without the frames of this package; one that ends in it, with an error of our own, as it is."""
    frames: list[TracebackType] = []
    while traceback is not None:
        frames.append(traceback)
        traceback = traceback.tb_next
    inside = _inside()
    theirs = [frame for frame in frames if not _is_of(inside, frame.tb_frame)]
    if not theirs or theirs[-1] is not frames[-1]:
        return frames[0] if frames else None
    made: TracebackType | None = None
    for frame in reversed(theirs):
        made = TracebackType(made, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return made


def _inside() -> tuple[str, ...]:
    """Where the code is that stands between a caller and upstream: this package, and wrapt once it is loaded."""
    wrapt = sys.modules.get("wrapt")
    ours = f"{Path(__file__).parent}{os.sep}"
    return (ours,) if wrapt is None else (ours, f"{Path(str(wrapt.__file__)).parent}{os.sep}")


def _is_of(folders: tuple[str, ...], frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(folders)
