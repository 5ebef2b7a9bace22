"""Which name is asked for in the place of a path: ``voice:NAME``, or a file ``NAME.voice`` that holds one."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import UnknownVoiceError
from .names import PREFIX, checked

SUFFIX = ".voice"
_FIRST_LINE = "A voice of chatterbox-cached, by its name:"
_LONGEST_FILE = 4096  # bytes: what is longer is no such file


def name_in(path: str) -> str | None:
    """The name that this path stands for; None where it is any other.

    Programs make paths absolute, so ``voice:NAME`` is a name as the last part of a path, too, where there is no file.
    Raises UnknownVoiceError for a text file that ends in .voice and holds no name.
    """
    if path.startswith(PREFIX):
        return path[len(PREFIX) :]
    if PREFIX in path:  # asked first, since this is asked at every hit
        last = os.path.basename(path)
        if last.startswith(PREFIX) and not os.path.exists(path):
            return last[len(PREFIX) :]
    if path[-len(SUFFIX) :].lower() == SUFFIX and os.path.isfile(path):
        return _read(path)
    return None


def write(file: Path, name: str) -> None:
    """Write the small file that stands for a voice where a program wants a path that is there."""
    file.write_text(f"{_FIRST_LINE}\n{checked(name)}\n", encoding="utf-8")


def _read(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            start = file.read(_LONGEST_FILE)
        if b"\0" in start:
            return None  # no text: a recording, whose name a program is free to end so
        lines = start.decode("utf-8-sig").splitlines()
        if lines[0].strip() == _FIRST_LINE:
            return checked(lines[1])
    except (OSError, ValueError, IndexError) as error:
        raise UnknownVoiceError(_no_name_in(path)) from error
    raise UnknownVoiceError(_no_name_in(path))


def _no_name_in(path: str) -> str:
    return f"{path} is no file that names a voice. `chatterbox-cached voices add AUDIO --as NAME --file` writes one."
