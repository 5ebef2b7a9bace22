"""Voices in one file that goes from machine to machine, without their reference audio; see docs/voice-bundles.md.

A bundle is a plain zip of ``manifest.json`` and one safetensors file for each entry. The same entries make the same
bytes. A bundle may come from anybody: every part of it is checked before any of it is kept, nothing in it is unpickled,
and no path in it is used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from . import plain_zip, wire
from .errors import BundleError, EntryError
from .expected import flaw
from .identity import SCHEMA, digest_of
from .settings import Settings, folder_of
from .tiers.base import MAX_VALUE_BYTES
from .tiers.disk import DiskTier

FORMAT = "voices of chatterbox-cached"
VERSION = 1
MOST_VOICES = 10_000
MOST_OF_MANIFEST = 2**23
_MANIFEST = "manifest.json"
_KEY = re.compile(rf"v{SCHEMA}/[0-9a-f]{{64}}/[0-9a-f]{{64}}")
_HEX = re.compile(r"[0-9a-f]{64}")
# What a bundle must say of the model that made a voice, since it is compared and shown.
_SAYS = {"class": str, "chatterbox": str, "libraries": dict, "numerics": list, "device": str, "weights": str}


class Voice(NamedTuple):
    """One entry: what it says of itself, and its tensors as safetensors."""

    header: wire.Header
    payload: bytes

    @property
    def audio(self) -> str:
        """The SHA-256 of the reference audio, in hex."""
        return self.header.key.split("/")[1]

    @property
    def made_by(self) -> dict[str, Any]:
        """The model that made it, and with which versions; see identity.Key."""
        return dict(json.loads(self.header.made_by))


class _Stated(NamedTuple):
    """What the manifest says of one voice."""

    header: wire.Header
    size: int
    sha256: str


def open_folder(settings: Settings, was_set_aside: Callable[[Exception], None] = lambda _: None) -> DiskTier:
    """The entries on disk; ``was_set_aside`` is told when a malformed index was moved aside.

    Raises NotCachedError where there is no cache folder, OSError where it can't be used.
    """
    root = folder_of(settings)
    tier = DiskTier(root, settings.size_limit, was_set_aside, trusted=settings.trust_cache_dir)
    if root.exists():
        tier.open()
    return tier


def kept(tier: DiskTier, key: str, signing_keys: Sequence[bytes]) -> Voice:
    """The entry under ``key``, checked. Raises EntryError where it is not, or no longer, one of ours."""
    entry = tier.get(key)
    if entry is None:
        raise EntryError("entry is gone")
    header, payload = wire.opened(key, entry, signing_keys)
    voice = Voice(header, bytes(payload))
    _check(voice)
    return voice


def keep(tier: DiskTier, voice: Voice, signing_keys: Sequence[bytes]) -> bool:
    """Store a voice, signed with one's own key; False where the same one is there already, which is left alone."""
    with contextlib.suppress(EntryError):
        kept(tier, voice.header.key, signing_keys)
        return False
    tier.put(voice.header.key, wire.seal(voice.header, voice.payload, signing_keys))
    return True


def write(path: Path, keys: Sequence[str], get: Callable[[str], Voice]) -> list[Voice]:
    """Write the entries with these keys to ``path``, whole or not at all; ``get`` is called twice for each.

    So no more than one is in memory at a time. Returns what was written, without the tensors. Raises BundleError when
    it is too much, OSError when the file can't be written, and what ``get`` raises.
    """
    stated = [_stated(get(key)) for key in sorted(set(keys))]
    manifest = _manifest(stated)
    if len(stated) > MOST_VOICES or len(manifest) > MOST_OF_MANIFEST:
        raise BundleError("That is more than one bundle can hold. Export fewer voices at a time.")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            archive = plain_zip.Writer(file)
            archive.add(_MANIFEST, manifest)
            for number, one in enumerate(stated):
                voice = get(one.header.key)
                if _stated(voice) != one:
                    raise BundleError("A voice was changed while it was being exported. Export again.")
                archive.add(_name(number), voice.payload)
            archive.end()
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return [Voice(one.header, b"") for one in stated]


def read(path: Path) -> Iterator[Voice]:
    """The voices in a bundle, one at a time, each as the manifest says and such as upstream makes them.

    Raises OSError when it can't be read, BundleError when it is no bundle or anything in it is not as it should be. The
    end of the file is checked last: to be sure of it as a whole, read it to its end before using any of it.
    """
    with path.open("rb") as file:
        archive = plain_zip.Reader(file)
        try:
            for number, one in enumerate(_understood(archive.part(_MANIFEST, MOST_OF_MANIFEST))):
                voice = Voice(one.header, archive.part(_name(number), min(one.size, MAX_VALUE_BYTES)))
                if _stated(voice) != one:
                    raise BundleError(f"{_name(number)} is damaged")
                _check(voice)
                yield voice
            archive.end()
        except (BundleError, EntryError) as error:
            raise BundleError(f"{path} can't be imported, and nothing of it was: {error}.") from error


class TakenIn(NamedTuple):
    """What came of an import: all voices of the bundle, without their tensors, and how many of them were new.

    ``made_room`` is how many older entries had to go for them.
    """

    voices: list[Voice]
    new: int
    made_room: int


def take_in(path: Path, tier: DiskTier, settings: Settings) -> TakenIn:
    """Keep all voices of a bundle, once all of it has been checked. What is there already stays as it is.

    Raises what ``read`` raises, BundleError when the bundle is larger than the folder may be, and OSError or
    sqlite3.Error when the folder can't be written.
    """
    voices, size = [], 0
    for voice in read(path):
        size += len(wire.seal(voice.header, voice.payload))
        voices.append(voice._replace(payload=b""))
    if size > settings.size_limit:
        raise BundleError(
            f"{path} holds {size} bytes, and the cache folder may have {settings.size_limit}. Set a larger"
            " CHATTERBOX_CACHED_SIZE_LIMIT."
        )
    before = tier.keys()
    new = sum(keep(tier, voice, settings.signing_key) for voice in read(path))
    return TakenIn(voices, new, len(set(before) - set(tier.keys())))


def _stated(voice: Voice) -> _Stated:
    return _Stated(voice.header, len(voice.payload), hashlib.sha256(voice.payload).hexdigest())


def _name(number: int) -> str:
    return f"{number:04}.safetensors"


def _check(voice: Voice) -> None:
    """Raise EntryError unless this is a voice that a model may be given, made by whom its key says."""
    header = voice.header
    if _KEY.fullmatch(header.key) is None or digest_of(header.made_by) != header.key.rpartition("/")[2]:
        raise EntryError("entry does not say what made it")
    try:
        _maker(json.loads(header.made_by))
    except Exception as error:  # whatever a parser makes of it
        raise EntryError("entry does not say what made it") from error
    snapshot = wire.decode(header.key, wire.seal(header, voice.payload))
    if (said := flaw(snapshot.tensors())) is not None:
        raise EntryError(f"entry is no voice: {said}")


def _manifest(stated: Sequence[_Stated]) -> bytes:
    """The one text that says this. What made the voices is said once for all that were made by the same."""
    made_by = {digest_of(one.header.made_by): json.loads(one.header.made_by) for one in stated}
    voices = []
    for one in stated:
        header = asdict(one.header)
        del header["made_by"]  # the end of its key says which
        voices.append({**header, "bytes": one.size, "sha256": one.sha256})
    content = {"format": FORMAT, "version": VERSION, "made_by": made_by, "voices": voices}
    return f"{json.dumps(content, indent=1, sort_keys=True)}\n".encode()


def _understood(manifest: bytes) -> list[_Stated]:
    """What a manifest says. It is made again of what was understood, so that there is nothing else in it."""
    try:
        content = json.loads(manifest)
        if (content["format"], content["version"]) != (FORMAT, VERSION):
            raise BundleError("it is of another version of chatterbox-cached")
        made_by = {digest: _maker(said) for digest, said in content["made_by"].items()}
        stated = [_one_stated(dict(said), made_by) for said in content["voices"]]
        again = _manifest(stated)
    except BundleError:
        raise
    except Exception as error:  # whatever a parser makes of it
        raise BundleError("its manifest can't be understood") from error
    keys = [one.header.key for one in stated]
    if again != manifest or len(keys) > MOST_VOICES or keys != sorted(set(keys)):
        raise BundleError("its manifest is not as it should be")
    return stated


def _one_stated(said: dict[str, Any], made_by: dict[str, str]) -> _Stated:
    size, sha256, key = said.pop("bytes"), said.pop("sha256"), said["key"]
    if not (_KEY.fullmatch(key) and _HEX.fullmatch(sha256) and type(size) is int and 0 <= size <= MAX_VALUE_BYTES):
        raise BundleError("its manifest names an impossible voice")
    return _Stated(wire.Header(made_by=made_by[key.rpartition("/")[2]], **said), size, sha256)


def _maker(said: dict[str, Any]) -> str:
    """What made some voices, as text. It will be shown, so there is nothing in it that a terminal would obey."""
    if not all(type(said[name]) is kind for name, kind in _SAYS.items()) or not _is_plain(said):
        raise BundleError("its manifest does not say what made the voices")
    return json.dumps(said, sort_keys=True)


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, (*value, *value.values())))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int)) or (isinstance(value, str) and value.isprintable())
