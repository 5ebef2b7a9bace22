"""``CHATTERBOX_CACHED=1``: as if the program had called ``enable()`` before anything else.

What the program then does itself, such as ``enable()`` with other settings or ``disable()``, comes later and so wins.
"""

from __future__ import annotations

import os

from ..accounting.stats import listen
from ..accounting.tally import REPORT, Tally
from ..settings import switched_on
from .activation import enable

problem = ""  # why the environment's wish could not be met


def begin() -> None:
    """Do as the environment asks. Never raises: what is impossible is left in ``problem``."""
    global problem
    try:
        if folder := os.environ.get(REPORT):
            listen(Tally(folder).add)
        if switched_on():
            enable()
    except Exception as error:
        problem = str(error)
