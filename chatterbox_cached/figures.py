"""Sizes, times and counts, as people read them."""

from __future__ import annotations

import time


def size(nbytes: int) -> str:
    """Bytes as "167 KB"."""
    number = float(nbytes)
    for unit in ("B", "KB", "MB"):
        if number < 999.5:
            return f"{number:.0f} {unit}" if number >= 10 or unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def length(seconds: float) -> str:
    """The length of audio, such as "6.0 s" or "2:05"."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


def span(seconds: float) -> str:
    """A time span in one unit, such as "12 s", "5 min", "3 h", "40 d"."""
    for unit, least, most in (("s", 1, 100), ("min", 60, 100), ("h", 3_600, 48)):
        if seconds < (most - 0.5) * least:
            return f"{max(0.0, seconds) / least:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d" if seconds < 86_400e5 else ">99,999 d"


def moment(seconds: float) -> str:
    """A time (seconds of the epoch) as this place's date and time, or that it is none: a file may say anything."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "no date"


def counted(number: int, one: str, many: str) -> str:
    """A count with its noun."""
    return f"{number:,} {one if number == 1 else many}"
