"""What happens beside upstream's work: noted or done when a function begins, and the function stays what it is.

To put another function in its place would be other code, which has voices of its own.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def at_each_call(function: Any, act: Callable[[], object]) -> Iterator[None]:
    """While it lasts, ``act`` is called whenever this thread, or one that begins meanwhile, begins with ``function``.

    ``function`` may be one of Python or of C. What ``act`` raises is raised there, once.
    """
    code = getattr(inspect.unwrap(function), "__code__", None)

    def note(frame: Any, event: str, called: object) -> None:
        if (event == "call" and frame.f_code is code) or (event == "c_call" and called is function):
            act()

    before, threads_before = sys.getprofile(), threading.getprofile()
    sys.setprofile(note)
    threading.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(before)
        threading.setprofile(threads_before)  # type: ignore[arg-type]
