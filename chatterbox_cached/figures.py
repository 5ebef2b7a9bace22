"""Sizes, times and counts, as people read them."""

from __future__ import annotations

import time

# Each for spans that are shorter than the third figure, in seconds as all here.
_SPANS = (
    ("min", 60, 3_600, "s", 1),
    ("h", 3_600, 48 * 3_600, "min", 60),
    ("d", 86_400, 86_400 * 100_000, "h", 3_600),
)


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


def duration(seconds: float) -> str:
    """A time span in its two largest units, such as "3 h 12 min", "5 min 20 s", "4.2 s"."""
    sign, whole = "-" if seconds <= -0.05 else "", abs(seconds)
    if whole < 59.95:
        return f"{sign}{whole:.1f} s"
    for unit, least, most, part, of_part in _SPANS:
        if whole < most - of_part / 2:
            number, rest = divmod(round(whole / of_part), least // of_part)
            return f"{sign}{number:,} {unit} {rest} {part}"
    return f"{sign}>99,999 d"


def moment(seconds: float) -> str:
    """A time (seconds of the epoch) as this place's date and time, or that it is none: a file may say anything."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "no date"


def counted(number: int, one: str, many: str) -> str:
    """A count with its noun."""
    return f"{number:,} {one if number == 1 else many}"
