"""What a listing says of an entry."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Stored(NamedTuple):
    """An entry by its key, with its size in bytes and when it was stored (time.time()).

    ``only_read_in`` is the folder that has it, where that can't be written to.
    """

    key: str
    nbytes: int
    stored: float
    only_read_in: Path | None = None
