"""Errors that the handler of a signal has raised, as those do that end a job after a time: they are the program's own.

They come out of whatever this thread is at, and would be taken for a failure of that.
"""

from __future__ import annotations

import signal
from types import CodeType
from typing import Any


def pass_on(error: BaseException) -> None:
    """Raises what a signal's handler has raised, where that is this error, or what brought it about."""
    handlers, seen = _handlers(), set[int]()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        if _is_from(handlers, found):
            raise found
        found = found.__cause__ or found.__context__


def _handlers() -> set[CodeType]:
    found = (_code_of(signal.getsignal(number)) for number in signal.valid_signals())
    return {code for code in found if code is not None}


def _code_of(handler: Any) -> CodeType | None:
    handler = getattr(handler, "func", handler)  # of a partial
    called = vars(type(handler)).get("__call__")  # of an object that is called
    return getattr(handler, "__code__", None) or getattr(called, "__code__", None)


def _is_from(handlers: set[CodeType], error: BaseException) -> bool:
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code in handlers:
            return True
        traceback = traceback.tb_next
    return False
