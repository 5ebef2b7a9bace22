"""What is kept of a voice when it is given a name: how long it is, its recording if asked, what is prepared already."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

from ..errors import ChatterboxCachedError, EntryError, Unidentifiable, VoiceFileError
from ..identity.audio import AudioIndex, path_of
from ..named import files
from ..named.asked import name_in
from ..named.library import Library
from ..named.record import CONDITIONALS, RECORDING, NamedVoice
from ..tiers.disk.either import FolderTier
from ..voice.key_format import voice_prefix
from . import exchange


def looked_at(name: str, audio: Any, **said: Any) -> NamedVoice:
    """What is to be known of a voice, read from its recording or ``.pt`` file; nothing is written.

    Raises ChatterboxCachedError for what is no audio and no conditionals, and OSError where it can't be read.
    """
    path = path_of(audio)
    if path and not os.path.isfile(path):
        raise FileNotFoundError(2, "There is no such file", path)
    source = os.path.abspath(path) if path else ""
    if name_in(source) is not None:
        raise ChatterboxCachedError(f"{path} holds the name of a voice, and no recording.")
    if source.lower().endswith(".pt"):
        from ..upstream import pt_file

        pt_file.read(Path(source), "cpu")
        digest = hashlib.sha256(Path(source).read_bytes()).hexdigest()
        return NamedVoice(name, digest, kind=CONDITIONALS, source=source, **said)
    try:
        digest = AudioIndex().identify(audio).digest
    except Unidentifiable as error:
        raise ChatterboxCachedError(f"{path or audio} can't be read: {error.reason}.") from error
    return NamedVoice(name, digest, kind=RECORDING, seconds=seconds_of(audio), source=source, **said)


def seconds_of(audio: Any) -> float:
    """The length of a recording. Raises ChatterboxCachedError for what upstream could not read as audio either."""
    import soundfile

    try:
        return float(soundfile.info(audio).duration)
    except (RuntimeError, TypeError):  # soundfile's own are RuntimeErrors
        return _by_librosa(audio)
    finally:
        if hasattr(audio, "seek"):
            audio.seek(0)


def _by_librosa(audio: Any) -> float:
    """What soundfile has no reader for, as m4a, upstream has librosa read."""
    try:
        import librosa

        with warnings.catch_warnings():  # that it tries one reader after the other is no news to the user
            warnings.simplefilter("ignore")
            samples, rate = librosa.load(audio, sr=None)
    except Exception as error:  # of whatever reader is tried last
        raise ChatterboxCachedError(f"{path_of(audio) or audio} can't be read as audio.") from error
    return len(samples) / float(rate)


def keep_files(library: Library, voice: NamedVoice, audio: Any, *, keep_audio: bool, suffix: str = "") -> Path | None:
    """Copy what a voice is to keep of its files; gives where the recording is now.

    ``suffix`` is that of its file where no path says it.
    """
    if voice.kind != CONDITIONALS and not keep_audio:
        return None
    suffix = suffix or Path(path_of(audio) or getattr(audio, "name", "") or "").suffix.lower()
    file = files.place_for(library, voice, suffix)
    _copy(audio, file)
    return None if voice.kind == CONDITIONALS else file


def _copy(audio: Any, file: Path) -> None:
    try:
        with contextlib.ExitStack() as opened:
            source = opened.enter_context(open(path_of(audio), "rb")) if path_of(audio) else audio
            shutil.copyfileobj(source, opened.enter_context(files.written(file)))
    finally:
        if hasattr(audio, "seek"):
            audio.seek(0)


def keep_prepared(library: Library, voice: NamedVoice) -> int:
    """Keep what the cache folder has of this voice; says how many entries it has of it."""
    settings = library.settings
    if settings.cache_dir is None or not settings.cache_dir.exists():
        return 0
    tier = FolderTier(settings.cache_dir, settings.size_limit, trusted=settings.trust_cache_dir)
    try:
        return sum([_kept(library, tier, key) for key in tier.keys(voice_prefix(voice.digest))])
    finally:
        tier.close()


def _kept(library: Library, tier: FolderTier, key: str) -> bool:
    keyring = library.settings.keyring
    try:
        exchange.store_entry(library.entries, exchange.read_entry(tier, key, keyring), keyring)
    except (EntryError, VoiceFileError):  # a hit would not use it either
        return False
    return True
