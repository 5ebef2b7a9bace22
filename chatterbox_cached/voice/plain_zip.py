"""A zip archive of the plainest kind: nothing packed, no times, and only one way to write the same parts.

Any zip program opens it. But since there is only one way, ``Reader`` need not believe anything that an archive says: it
reads from front to back, knows which names come, and compares every header, and the directory at the end, with what
``Writer`` would have written. So no name leads anywhere, nothing is there twice, and no size is more than is allowed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from ..errors import BundleError

MOST_BYTES = 2**32 - 1  # offsets have 32 bits
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_VERSION, _STORED, _FIRST_OF_1980, _PRIVATE_FILE = 20, 0, 33, 0o100600 << 16
_UNIX = 3 << 8


class _Part(NamedTuple):
    name: bytes
    crc: int
    size: int
    offset: int

    def local(self) -> bytes:
        sizes = self.crc, self.size, self.size, len(self.name), 0
        return _LOCAL.pack(b"PK\3\4", _VERSION, 0, _STORED, 0, _FIRST_OF_1980, *sizes) + self.name

    def central(self) -> bytes:
        sizes = self.crc, self.size, self.size, len(self.name), 0, 0, 0, 0
        versions = _UNIX | _VERSION, _VERSION
        fixed = b"PK\1\2", *versions, 0, _STORED, 0, _FIRST_OF_1980
        return _CENTRAL.pack(*fixed, *sizes, _PRIVATE_FILE, self.offset) + self.name


def _directory(parts: Sequence[_Part], offset: int) -> bytes:
    listed = b"".join(part.central() for part in parts)
    return listed + _END.pack(b"PK\5\6", 0, 0, len(parts), len(parts), len(listed), offset, 0)


class Writer:
    """Writes an archive to ``file``: every part, then ``end``. Names are ASCII."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._parts, self._offset = file, list[_Part](), 0

    def add(self, name: str, content: bytes) -> None:
        """Write one part. Raises BundleError when the archive becomes larger than an archive can be."""
        part = _Part(name.encode("ascii"), zlib.crc32(content), len(content), self._offset)
        local = part.local()
        self._parts.append(part)
        self._offset += len(local) + len(content)
        if self._offset > MOST_BYTES:
            raise BundleError("That is more than one bundle can hold. Export fewer voices at a time.")
        self._file.write(local)
        self._file.write(content)

    def end(self) -> None:
        """Write what belongs at the end."""
        self._file.write(_directory(self._parts, self._offset))


class Reader:
    """Reads what ``Writer`` wrote, in the same order. Raises BundleError for anything else."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._parts, self._offset = file, list[_Part](), 0

    def part(self, name: str, most: int) -> bytes:
        """The content of the next part, which must have this name and at most so many bytes."""
        local = self._file.read(_LOCAL.size + len(name))
        if len(local) < _LOCAL.size:
            raise BundleError("it is cut short")
        *_, crc, _, size, _, _ = _LOCAL.unpack_from(local)
        part = _Part(name.encode("ascii"), crc, size, self._offset)
        if local != part.local() or size > most or self._offset > MOST_BYTES:
            raise BundleError(f"{name} is not where it should be, or of an impossible size")
        content = self._file.read(size)
        if len(content) != size:
            raise BundleError("it is cut short")
        if zlib.crc32(content) != crc:
            raise BundleError(f"{name} is damaged")
        self._parts.append(part)
        self._offset += len(local) + size
        return content

    def end(self) -> None:
        """Make sure that the archive ends here."""
        expected = _directory(self._parts, self._offset)
        if self._file.read(len(expected) + 1) != expected:
            raise BundleError("it does not end as it should")
