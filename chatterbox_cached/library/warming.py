"""Voices prepared before they are needed: which files are meant, and what became of each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..cache import ConditionalCache
from ..errors import ChatterboxCachedError, in_short

PREPARED, THERE_ALREADY, FAILED = "prepared", "there already", "failed"
_AUDIO = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".webm"})
_TEXT = ".txt"
# What files begin with whose name does not say that they are audio; or, for MP4, what stands at the fifth byte.
_MAGIC = (b"RIFF", b"RF64", b"fLaC", b"OggS", b"FORM", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1",
          b"\xff\xf9", b".snd", b"caff", b"\x1aE\xdf\xa3")  # fmt: skip
_MAGIC_OF_MP4 = b"ftyp"
_READERS = ("soundfile", "audioread")  # librosa asks one after the other; the second says EOFError of an empty file


class NotUtf8(ChatterboxCachedError):
    """A list of paths is in another encoding."""


class Outcome(NamedTuple):
    """What became of one file; ``why`` says for one that failed."""

    path: Path
    became: str
    why: str = ""


class Meant(NamedTuple):
    """The audio ``files`` that are meant, each once, and what was ``passed_over``; see ``why_passed_over``."""

    files: list[Path]
    passed_over: list[Path]


def audio_files(given: Iterable[Path], lists: Iterable[Path] = ()) -> Meant:
    """What is meant: a file itself, all audio in a folder, and what ``lists`` name.

    A list names one file or folder a line, relative to the list; empty lines and those that begin with # are passed
    over. Its files need not be there. A text among what is ``given`` is a list where all that it names is there: else
    it is what somebody says in a clip. Raises OSError for what can't be read, NotUtf8 for a list in another encoding.
    """
    found, passed_over = list[Path](), list[Path]()
    for path in given:
        if (files := _meant(path, passed_over)) is None:
            passed_over.append(path)
        else:
            found.extend(files)
    for path in lists:
        names = _names_in(path, strict=True)
        found.extend(file for name in names for file in _listed(name, passed_over))
    return Meant(list(dict.fromkeys(found)), list(dict.fromkeys(passed_over)))


def why_passed_over(path: Path) -> str:
    """What is to be said of it."""
    if not path.is_dir():
        return "neither audio nor a list of paths that are all there"
    return "a link to a folder: give that folder too" if path.is_symlink() else "a folder that can't be read"


def _meant(path: Path, passed_over: list[Path]) -> Iterable[Path] | None:
    """The files that one path stands for; None for what is no audio."""
    if path.is_dir():
        return _in_folder(path, passed_over)
    if path.suffix.lower() == _TEXT:
        names = _names_in(path, strict=False)
        if not names or not all(map(os.path.exists, names)):
            return None
        return [file for name in _names_in(path, strict=True) for file in _listed(name, passed_over)]
    return [path] if _is_audio(path.name) or not path.exists() or _sounds(path) else None


def _in_folder(path: Path, passed_over: list[Path]) -> Iterator[Path]:
    for folder, folders, files in os.walk(path, onerror=lambda error: passed_over.append(Path(error.filename))):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        passed_over.extend(link for name in folders if (link := Path(folder, name)).is_symlink())
        yield from (Path(folder, name) for name in sorted(files) if _is_audio(name))


def _listed(path: Path, passed_over: list[Path]) -> Iterable[Path]:
    return _in_folder(path, passed_over) if path.is_dir() else [path]


def _names_in(path: Path, *, strict: bool) -> list[Path]:
    """The paths that a text names, or would name if it were a list; ``strict`` where it is one."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        if strict:
            raise NotUtf8(f"{path} is a list, but not in UTF-8. Save it as UTF-8.") from None
        text = content.decode("latin-1")
    lines = (line.strip() for line in text.splitlines())
    return [path.parent / line for line in lines if line and not line.startswith("#")]


def _is_audio(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in _AUDIO


def _sounds(path: Path) -> bool:
    """Whether a file begins as audio does."""
    with path.open("rb") as file:
        start = file.read(12)
    return start.startswith(_MAGIC) or start[4:8] == _MAGIC_OF_MP4


def warm(cache: ConditionalCache, model: Any, path: Path, *, at_once: bool = False) -> Outcome:
    """Prepare one voice, unless it is there, which counts as no hit: no program was served.

    ``at_once``: it is in the shared stores, too, before this returns. Of all that goes wrong with it, only an
    interruption is raised.
    """
    if cache.serving.by_hand.has(model, path):
        return Outcome(path, THERE_ALREADY)
    before = cache.get_cache_stats()
    try:
        cache.get_or_prepare(model, path)
    except Exception as error:  # upstream's, whatever it thinks of this audio
        return Outcome(path, FAILED, _why(error))
    if at_once:
        cache.close()
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
