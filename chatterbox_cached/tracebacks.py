"""Tracebacks of upstream's errors as upstream would have them."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

import wrapt

# Where the code is that stands between a caller and upstream.
INSIDE = (f"{Path(__file__).parent}{os.sep}", f"{Path(wrapt.__file__).parent}{os.sep}")


def without_us(traceback: TracebackType | None) -> TracebackType | None:
    """The traceback without the frames of this package; one that ends in it, with an error of our own, as it is."""
    frames: list[TracebackType] = []
    while traceback is not None:
        frames.append(traceback)
        traceback = traceback.tb_next
    theirs = [frame for frame in frames if not frame.tb_frame.f_code.co_filename.startswith(INSIDE)]
    if not theirs or theirs[-1] is not frames[-1]:
        return frames[0] if frames else None
    made: TracebackType | None = None
    for frame in reversed(theirs):
        made = TracebackType(made, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return made
