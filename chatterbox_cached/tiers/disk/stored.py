"""What a listing says of an entry."""

from __future__ import annotations

from typing import NamedTuple


class Stored(NamedTuple):
    """An entry by its key, with its size in bytes and when it was stored (time.time())."""

    key: str
    nbytes: int
    stored: float
