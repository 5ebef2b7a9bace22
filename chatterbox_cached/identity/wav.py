"""What is heard of a WAV file: its ``fmt `` and ``data`` chunks. Names, times and peak levels beside them are not.

libsndfile, for one, writes the time of day into each WAV of floats that it makes, so that the same samples saved twice
are two files. Layout of the chunks: https://www.mmsp.ece.mcgill.ca/Documents/AudioFormats/WAVE/WAVE.html.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, NamedTuple

_CHUNK = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHH")
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_SIZES = {_PCM: (16, 18), _FLOAT: (16, 18), _EXTENSIBLE: (40,)}
_MOST_CHUNKS = 256


class Heard(NamedTuple):
    """Where the samples are in a file: ``size`` bytes from ``start`` on. ``format`` is the content of ``fmt ``."""

    format: bytes
    start: int
    size: int


def heard(file: BinaryIO) -> Heard | None:
    """What is heard of ``file``; None where it is no WAV, or not exactly as the format says, so that each reader may
    make something else of it. It is left anywhere.
    """
    file.seek(0)
    riff = file.read(12)
    if len(riff) < 12 or riff[:4] != b"RIFF" or riff[8:] != b"WAVE":
        return None
    end = 8 + int.from_bytes(riff[4:8], "little")
    if not _ends_at(file, end):
        return None
    format_, place, at = b"", (0, 0), 12
    for _ in range(_MOST_CHUNKS):
        if at >= end:
            return Heard(format_, *place) if place[1] and _is_usual(format_, place[1]) else None
        file.seek(at)
        header = file.read(_CHUNK.size)
        if len(header) < _CHUNK.size:
            return None
        name, size = _CHUNK.unpack(header)
        content = at + _CHUNK.size
        if content + size > end or (name == b"fmt " and (format_ or place[1])) or (name == b"data" and place[1]):
            return None
        if name == b"fmt ":
            format_ = file.read(min(size, 64))
        elif name == b"data":
            place = content, size
        at = content + size + size % 2
    return None


def _ends_at(file: BinaryIO, end: int) -> bool:
    file.seek(end - 1)
    return len(file.read(2)) == 1


def _is_usual(format_: bytes, size: int) -> bool:
    """Whether this is the ``fmt `` of plain samples of whole numbers or floats, and fits ``size`` bytes of them."""
    if len(format_) < _FORMAT.size:
        return False
    kind, channels, rate, per_second, block, bits = _FORMAT.unpack_from(format_)
    if len(format_) not in _SIZES.get(kind, ()):
        return False
    return bool(block == channels * ((bits + 7) // 8) and block and per_second == rate * block and size % block == 0)
