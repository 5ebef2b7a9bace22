"""Warnings that point at the caller's own line."""

from __future__ import annotations

import contextlib
import sys
import warnings

from .errors import CacheWarning
from .tracebacks import INSIDE


def warn_caller(message: str, category: type[Warning]) -> None:
    """Warn as if the line outside this package had; Python's filters decide how often that is shown.

    Raises the warning where a filter makes it an error, and nothing where it can't be shown.
    """
    level, frame = 1, sys._getframe(0)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(INSIDE):
        level, frame = level + 1, frame.f_back
    try:
        warnings.warn(message, category, stacklevel=level)
    except category:
        raise
    except Exception:  # sys.stderr is closed, for one, or somebody's showwarning fails
        return


def tell(message: str) -> None:
    """Warn that the cache could not do its work. Warnings that are errors must not reach the caller from here."""
    with contextlib.suppress(CacheWarning):
        warn_caller(message, CacheWarning)
