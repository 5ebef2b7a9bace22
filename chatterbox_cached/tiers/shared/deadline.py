"""An end to each operation on another machine, whatever it hangs in.

A client's own timeouts are for each wait for the network: a server that sends a byte now and then, or a name that is
looked up for half a minute, holds a caller for as long as it likes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


def within(seconds: float, operation: Callable[[], _Result]) -> _Result:
    """What ``operation`` gives, or raises. Raises TimeoutError after ``seconds``, and lets it end unseen."""
    results: list[_Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(operation())
        except BaseException as error:  # it is raised where it is waited for
            errors.append(error)

    thread = threading.Thread(target=run, name="chatterbox-cached-shared", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # Python is ending, where no thread can begin: the client's own timeouts must do
        return operation()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return results[0]
