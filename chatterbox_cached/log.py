"""The package's logger: ``logging.getLogger("chatterbox_cached")``, silent unless the program, or its user, asks.

WARNING is what is warned of, INFO what was opened, DEBUG how each call was served and, where it was no hit, why.
It is made when it is first needed: the module ``logging`` takes longer to load than ``enable()`` may take.
"""

from __future__ import annotations

import contextlib
import functools
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

NAME = "chatterbox_cached"
VARIABLE = "CHATTERBOX_CACHED_LOG"
LEVELS = ("debug", "info", "warning")
_LINE = "%(asctime)s %(name)s %(levelname)s: %(message)s"


@functools.cache
def logger() -> logging.Logger:
    """The logger. ``CHATTERBOX_CACHED_LOG``, one of ``LEVELS``, has it write to stderr from that level on."""
    import logging

    made = logging.getLogger(NAME)
    handle = made.handle

    def handle_quietly(record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):  # a handler or a filter of the program's that raises
            handle(record)

    made.handle = handle_quietly  # type: ignore[method-assign]
    made.addHandler(logging.NullHandler())  # else Python would write warnings to stderr where nothing is configured
    wanted = os.environ.get(VARIABLE, "").strip().lower()
    if wanted:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(_LINE))
        made.addHandler(handler)
        made.setLevel(wanted.upper() if wanted in LEVELS else "WARNING")
    if wanted and wanted not in LEVELS:
        made.warning("%s is %r, but must be one of: %s. It is taken for warning.", VARIABLE, wanted, ", ".join(LEVELS))
    return made
