"""The file that is kept with a voice: its recording, or the ``.pt`` file that it came from."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..tiers.shared_names import File
from ..voice.bundle_names import is_suffix
from ..voice.entry_format import MOST_BYTES
from .library import Library
from .record import CONDITIONALS, NamedVoice
from .telling import Kept

_LONGEST_WRITE_SECONDS = 3600


@contextlib.contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, for its user alone, that takes the place of ``path`` as a whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sweep(path.parent)
    partial = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        with open(os.open(partial, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Drop what processes that were killed have left: parts of recordings that no name would ever take along."""
    for partial in folder.glob(".*.partial"):
        with contextlib.suppress(OSError):
            if time.time() - partial.stat().st_mtime > _LONGEST_WRITE_SECONDS:
                partial.unlink()


def place_for(library: Library, voice: NamedVoice, suffix: str) -> Path:
    """Where such a file is kept here; ``suffix`` is left out where no name of ours may end so."""
    if voice.kind == CONDITIONALS:
        return library.conditionals_of(voice)
    return library.places.audio / f"{voice.digest}{suffix if is_suffix(suffix) else ''}"


def shared_of(library: Library, voice: NamedVoice) -> tuple[Kept, File] | None:
    """What machines share of the file that is kept here; None where there is none, or one too large for that."""
    path = library.conditionals_of(voice) if voice.kind == CONDITIONALS else voice.audio
    try:
        if path is None or not 0 < path.stat().st_size <= MOST_BYTES:
            return None
        content = path.read_bytes()
    except OSError:  # it was removed by hand
        return None
    sha256 = hashlib.sha256(content).hexdigest()
    suffix = path.suffix.lower()
    return Kept(sha256, len(content), suffix if is_suffix(suffix) else ""), File(sha256, content)


def keep(path: Path, content: bytes, wanted: Kept) -> bool:
    """Keep a file here as a whole, if it is the one that is wanted; says whether it is."""
    if len(content) != wanted.size or hashlib.sha256(content).hexdigest() != wanted.sha256:
        return False
    with written(path) as file:
        file.write(content)
    return True
