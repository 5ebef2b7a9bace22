"""Which reference audio is this: a SHA-256 of what is heard, remembered per path for as long as the file stands still.

Of a WAV, the samples and their format are heard; of any other file, all of it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, BinaryIO, NamedTuple

from ..concurrency.one_by_one import one_by_one
from ..errors import Unidentifiable
from . import wav

# Two writes within one tick of a file system's clock can leave size and times alike, so a file that was touched this
# shortly before it was read is read again the next time (git's index has the same rule). 2 s is FAT's tick, the
# longest of the file systems in use.
_CLOCK_GRAIN_NS = 2 * 10**9
_CHUNK = 1 << 20
_REMEMBERED = 4096


class FileState(NamedTuple):
    """What ``os.stat`` says of a file's identity and last change. The change time can't be set back by a program."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


_STATE = attrgetter("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")


class Audio(NamedTuple):
    """Reference audio that was identified.

    ``digest`` is the SHA-256 of what is heard, in hex; ``unchanged()`` reads the audio again and says whether it is
    still the same, which a preparation asks before it is stored. ``path`` is absolute, and empty for a file object;
    ``name`` is the file's own, and empty where it has none.
    """

    digest: str
    path: str
    name: str
    unchanged: Callable[[], bool]


class NamedAudio(str):
    """A voice asked for by its name: a path to its recording or, where that is not here, the name itself.

    ``identified`` is what is known of the recording, here or not.
    """

    identified: Audio

    @classmethod
    def of(cls, identified: Audio, text: str) -> NamedAudio:
        """``text`` with what is known of it."""
        named = cls(text)
        named.identified = identified
        return named


# Of audio that was never read nothing can be known, so nothing that is made of it is stored.
UNKNOWN_AUDIO = Audio("", "", "", lambda: False)


class AudioIndex:
    """Identifies reference audio; safe from any thread."""

    def __init__(self) -> None:
        # Single operations of a dict are atomic, so no lock: a lost race costs one more reading of the file.
        self._seen: OrderedDict[str, tuple[FileState | None, Audio]] = OrderedDict()

    def identify(self, audio: object) -> Audio:
        """The audio behind a path or a seekable binary file object.

        Raises Unidentifiable for anything else, and for a path that can't be read: upstream has its own error for it.
        """
        if type(audio) is NamedAudio:
            return audio.identified
        path = audio if type(audio) is str else path_of(audio)
        if not path:
            return _of_file_object(audio)
        try:
            status = os.stat(path)
            seen = self._seen.get(path)
            if seen is not None and seen[0] == _STATE(status):
                return seen[1]
            return self._read(path, _state(status))
        except (OSError, ValueError) as error:
            raise Unidentifiable("audio can't be read") from error

    def name_of(self, audio: object) -> str:
        """What a voice goes by: the digest of its audio or, where that is not here, the digest it had, or its path.

        Raises Unidentifiable for what is no path and can't be read.
        """
        try:
            return self.identify(audio).digest
        except Unidentifiable:
            if not (path := path_of(audio)):
                raise
            seen = self._seen.get(path)
            return seen[1].digest if seen else os.path.abspath(path)

    def forget(self, audio: object) -> None:
        """Read the file at this path again the next time."""
        self._seen.pop(path_of(audio), None)

    def _read(self, path: str, before: FileState) -> Audio:
        one_by_one.give_way()
        looked = time.time_ns()
        digest, state = _digest_of_path(path)
        if state != before:
            raise Unidentifiable("audio changes while it is read")
        settled = max(state.modified_ns, state.changed_ns) + _CLOCK_GRAIN_NS < looked
        absolute = os.path.abspath(path)  # now, for the program may change its folder
        audio = Audio(digest, absolute, os.path.basename(path), lambda: _unchanged(path, state, digest))
        self._seen[path] = (state if settled else None, audio)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return audio


def path_of(audio: object) -> str:
    """The path that ``audio`` is, or an empty text."""
    path = os.fspath(audio) if isinstance(audio, (str, os.PathLike)) else ""
    return path if isinstance(path, str) else ""


def _state(status: os.stat_result) -> FileState:
    if not stat.S_ISREG(status.st_mode):
        raise Unidentifiable("audio is not a regular file")
    return FileState._make(_STATE(status))


def _digest_of_path(path: str) -> tuple[str, FileState]:
    """Digest of a file and the state it had while it was read, both from one open file."""
    with open(path, "rb", opener=_without_waiting) as file:
        before = _state(os.fstat(file.fileno()))
        digest = _digest(file)
        if _state(os.fstat(file.fileno())) != before:
            raise Unidentifiable("audio changes while it is read")
    return digest, before


def _without_waiting(path: str, flags: int) -> int:
    """Open at once what may have become a pipe that no process writes to."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _digest(file: BinaryIO) -> str:
    if not isinstance(file.read(0), bytes):
        raise Unidentifiable("file object gives no bytes")
    sha, samples = hashlib.sha256(), wav.heard(file)
    if samples is not None:
        sha.update(b"wav %d\n%b" % (len(samples.format), samples.format))
    file.seek(0 if samples is None else samples.start)
    for chunk in _chunks(file, None if samples is None else samples.size):
        sha.update(chunk)
    return sha.hexdigest()


def _chunks(file: BinaryIO, size: int | None) -> Iterator[bytes]:
    """The next ``size`` bytes, or all that there are."""
    while size != 0 and (chunk := file.read(_CHUNK if size is None else min(_CHUNK, size))):
        yield chunk
        size = None if size is None else size - len(chunk)


def _unchanged(path: str, state: FileState, digest: str) -> bool:
    try:
        return _digest_of_path(path) == (digest, state)
    except (OSError, Unidentifiable):
        return False


def _of_file_object(file: Any) -> Audio:
    if not (hasattr(file, "read") and hasattr(file, "seek") and hasattr(file, "tell")):
        raise Unidentifiable("audio is neither a path nor a file object")
    one_by_one.give_way()
    try:
        with _rewound(file):
            digest = _digest(file)
    except (OSError, ValueError, TypeError) as error:
        raise Unidentifiable("audio can't be read") from error

    def unchanged() -> bool:
        try:
            with _rewound(file, start=0):
                return _digest(file) == digest
        except (OSError, ValueError):
            return False

    name = getattr(file, "name", "")
    return Audio(digest, "", os.path.basename(name) if isinstance(name, str) else "", unchanged)


@contextmanager
def _rewound(file: Any, start: int | None = None) -> Iterator[None]:
    """Leave ``file`` at its start. Upstream reads from where a file object stands and fails anywhere else."""
    if start is None and file.tell() != 0:
        raise Unidentifiable("file object is not at its start")
    file.seek(0)
    try:
        yield
    finally:
        file.seek(0)
