"""``CHATTERBOX_CACHED=1``: as if the program had called ``enable()`` before anything else.

What the program then does itself, such as ``enable()`` with other settings or ``disable()``, comes later and so wins.
"""

from __future__ import annotations

import os

from ..settings import switched_on

REPORT = "CHATTERBOX_CACHED_REPORT"  # the folder in which `run --stats` has each process keep its counts
problem = ""  # why the environment's wish could not be met


def begin() -> None:
    """Do as the environment asks. Never raises: what is impossible is left in ``problem``."""
    global problem
    try:
        if folder := os.environ.get(REPORT):
            from ..accounting.stats import listen
            from ..accounting.tally import Tally

            listen(Tally(folder).add)
        if switched_on():
            from .activation import enable

            enable()
    except Exception as error:
        problem = str(error)
