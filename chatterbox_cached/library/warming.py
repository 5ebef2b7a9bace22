"""Voices prepared before they are needed: which files are meant, and what became of each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..cache import ConditionalCache
from ..errors import in_short

PREPARED, THERE_ALREADY, FAILED = "prepared", "there already", "failed"
_AUDIO = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".webm"})
_LIST = ".txt"
_READERS = ("soundfile", "audioread")  # librosa asks one after the other; the second says EOFError of an empty file


class Outcome(NamedTuple):
    """What became of one file; ``why`` says for one that failed."""

    path: Path
    became: str
    why: str = ""


def audio_files(given: Iterable[Path]) -> list[Path]:
    """The files that are meant, each once: a file itself, all audio in a folder, the lines of a .txt file.

    A list names one file or folder a line, relative to the list; empty lines and those that begin with # are passed
    over. Files need not be there. Raises OSError for a list that can't be read.
    """
    return list(dict.fromkeys(file for path in given for file in _meant(path)))


def _meant(path: Path) -> Iterator[Path]:
    if path.is_dir():
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield from (Path(folder, name) for name in sorted(files) if _is_audio(name))
    elif path.suffix.lower() == _LIST:
        for line in path.read_text(encoding="utf-8-sig").splitlines():
            if (name := line.strip()) and not name.startswith("#"):
                listed = path.parent / name
                yield from _meant(listed) if listed.is_dir() else [listed]
    else:
        yield path


def _is_audio(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in _AUDIO


def warm(cache: ConditionalCache, model: Any, path: Path) -> Outcome:
    """Prepare one voice, unless it is there, which counts as no hit: no program was served.

    Of all that goes wrong with it, only an interruption is raised.
    """
    if cache.serving.has(model, path):
        return Outcome(path, THERE_ALREADY)
    before = cache.get_cache_stats()
    try:
        cache.get_or_prepare(model, path)
    except Exception as error:  # upstream's, whatever it thinks of this audio
        return Outcome(path, FAILED, _why(error))
    after = cache.get_cache_stats()
    for reasons in ("bypasses", "not_stored", "errors"):
        if (why := _grown(before[reasons], after[reasons])) is not None:
            return Outcome(path, FAILED, f"prepared, but not kept: {why}")
    # Another process may have prepared it just then.
    return Outcome(path, THERE_ALREADY if after["misses"] == before["misses"] else PREPARED)


def _why(error: Exception) -> str:
    reader = isinstance(error, EOFError) or type(error).__module__.partition(".")[0] in _READERS
    return f"can't be read as audio ({in_short(error)})" if reader else in_short(error)


def _grown(before: dict[str, int], after: dict[str, int]) -> str | None:
    return next((reason for reason in after if after[reason] > before.get(reason, 0)), None)
