"""Voices in one file that goes from machine to machine; see docs/voice-bundles.md.

A bundle is a plain zip of ``manifest.json``, one safetensors file for each entry, and the files of voices that have
names, where there are any. The same entries make the same bytes. A bundle may come from an attacker: every part of it
is checked before any of it is kept, nothing in it is unpickled, and no path in it is used.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from ..errors import BundleError, EntryError
from . import bundle_names, entry_format, key_format, plain_zip
from .bundle_names import NamedInBundle
from .key_format import SCHEMA, KeyParts, digest_of, is_sha256

FORMAT = "voices of chatterbox-cached"
VERSION, VERSION_WITH_NAMES = 3, 4
MOST_VOICES = 10_000
MOST_OF_MANIFEST = 2**23
_MANIFEST = "manifest.json"
# What a bundle must say of what made a voice, and where, since it is compared and shown.
_SAYS = {"code": str, "python": str, "libraries": dict, "numerics": list, "device": str, "weights": str}
_SAYS_WHERE = {"class": str, "chatterbox": str}


class VoiceEntry(NamedTuple):
    """One entry: what it says of itself, and its tensors as safetensors."""

    header: entry_format.Header
    payload: bytes

    @property
    def audio(self) -> str:
        """The SHA-256 of the reference audio, in hex."""
        parts = key_format.parsed(self.header.key)
        assert parts is not None, "checked by check_entry"
        return parts.audio

    @property
    def made_by(self) -> dict[str, Any]:
        """The model that made it, and with which versions; see identity.Key."""
        return dict(json.loads(self.header.made_by))

    @property
    def origin(self) -> dict[str, Any]:
        """Of what program and where it was made; see identity.origin."""
        return dict(json.loads(self.header.origin))


class _Stated(NamedTuple):
    """What the manifest says of one voice."""

    header: entry_format.Header
    size: int
    sha256: str


def write(
    path: Path,
    keys: Sequence[str],
    get: Callable[[str], VoiceEntry],
    names: Mapping[NamedInBundle, Path | None] = MappingProxyType({}),
) -> list[VoiceEntry]:
    """Write the entries with these keys to ``path``, whole or not at all; ``get`` is called twice for each.

    So no more than one is in memory at a time. ``names``: voices that have names, with the file that is to go with
    each. Returns what was written, without the tensors. Raises BundleError when it is too much, OSError when a file
    can't be read or written, and what ``get`` raises.
    """
    stated = [_stated(get(key)) for key in sorted(set(keys))]
    named = [(each if file is None else each.with_file(file), file) for each, file in sorted(names.items())]
    for each, _ in named:
        if not each.is_plain():
            raise BundleError(
                f"What is said of the voice {each.name!r} is more than a bundle takes. Describe it shorter."
            )
    manifest = _manifest(stated, [each for each, _ in named])
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
            for number, (each, file_of_it) in enumerate(named):
                if file_of_it is not None:
                    content = file_of_it.read_bytes()
                    each.check(content)
                    archive.add(bundle_names.file_name(number, each), content)
            archive.end()
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return [VoiceEntry(one.header, b"") for one in stated]


def _pass(*_: object) -> None:
    pass


def read(path: Path, take: Callable[[NamedInBundle, bytes | None], None] = _pass) -> Iterator[VoiceEntry]:
    """The voices in a bundle, one at a time, each as the manifest says and such as upstream makes them.

    ``take`` is given each voice that has a name, after all of these, with the file that came with it.

    Raises OSError when it can't be read, BundleError when it is no bundle or anything in it is not as it should be. The
    end of the file is checked last: to be sure of it as a whole, read it to its end before using any of it.
    """
    with path.open("rb") as file:
        archive = plain_zip.Reader(file)
        try:
            stated, names = _understood(archive.part(_MANIFEST, MOST_OF_MANIFEST))
            for number, one in enumerate(stated):
                voice = VoiceEntry(one.header, archive.part(_name(number), min(one.size, entry_format.MOST_BYTES)))
                if _stated(voice) != one:
                    raise BundleError(f"{_name(number)} is damaged")
                check_entry(voice)
                yield voice
            for number, named in enumerate(names):
                take(named, _file_of(named, number, archive))
            archive.end()
        except (BundleError, EntryError) as error:
            raise BundleError(f"{path} can't be imported, and nothing of it was: {error}.") from error


def _file_of(named: NamedInBundle, number: int, archive: plain_zip.Reader) -> bytes | None:
    if named.size is None:
        return None
    content = archive.part(bundle_names.file_name(number, named), named.size)
    named.check(content)
    return content


def _stated(voice: VoiceEntry) -> _Stated:
    return _Stated(voice.header, len(voice.payload), hashlib.sha256(voice.payload).hexdigest())


def _name(number: int) -> str:
    return f"{number:04}.safetensors"


def check_entry(voice: VoiceEntry) -> None:
    """Raise EntryError unless this is a voice that a model may be given, made by what its key says."""
    header, key = voice.header, _key_of_ours(voice.header.key)
    if key is None or digest_of(header.made_by) != key.maker:
        raise EntryError("entry does not say what made it")
    try:
        _plain_text(json.loads(header.made_by), _SAYS)
        _plain_text(json.loads(header.origin), _SAYS_WHERE)
    except Exception as error:  # whatever a parser makes of it
        raise EntryError("entry does not say what made it") from error
    snapshot = entry_format.decode(header.key, entry_format.seal(header, voice.payload))
    if (said := snapshot.flaw()) is not None:
        raise EntryError(f"entry is no voice: {said}")


def _manifest(stated: Sequence[_Stated], names: Sequence[NamedInBundle]) -> bytes:
    """The one text that says this. What made the voices is said once for all that were made by the same."""
    made_by = {digest_of(one.header.made_by): json.loads(one.header.made_by) for one in stated}
    voices = []
    for one in stated:
        header = asdict(one.header)
        del header["made_by"]  # the end of its key says which
        header["origin"] = json.loads(one.header.origin)
        voices.append({**header, "bytes": one.size, "sha256": one.sha256})
    content: dict[str, Any] = {"format": FORMAT, "version": VERSION, "made_by": made_by, "voices": voices}
    if names:
        content |= {"version": VERSION_WITH_NAMES, "names": [named.stated() for named in names]}
    return f"{json.dumps(content, indent=1, sort_keys=True)}\n".encode()


def _understood(manifest: bytes) -> tuple[list[_Stated], list[NamedInBundle]]:
    """What a manifest says. It is made again of what was understood, so that there is nothing else in it."""
    try:
        content = json.loads(manifest)
        if content["format"] != FORMAT or content["version"] not in (VERSION, VERSION_WITH_NAMES):
            raise BundleError("it is of another version of chatterbox-cached")
        made_by = {digest: _plain_text(said, _SAYS) for digest, said in content["made_by"].items()}
        stated = [_one_stated(dict(said), made_by) for said in content["voices"]]
        names = bundle_names.understood(content.get("names", []))
        again = _manifest(stated, names)
    except BundleError:
        raise
    except Exception as error:  # whatever a parser makes of it
        raise BundleError("its manifest can't be understood") from error
    keys = [one.header.key for one in stated]
    if again != manifest or len(keys) > MOST_VOICES or keys != sorted(set(keys)):
        raise BundleError("its manifest is not as it should be")
    return stated, names


def _one_stated(said: dict[str, Any], made_by: dict[str, str]) -> _Stated:
    size, sha256, key = said.pop("bytes"), said.pop("sha256"), _key_of_ours(said["key"])
    if key is None or not (is_sha256(sha256) and type(size) is int and 0 <= size <= entry_format.MOST_BYTES):
        raise BundleError("its manifest names an impossible voice")
    origin = _plain_text(said.pop("origin"), _SAYS_WHERE)
    return _Stated(entry_format.Header(made_by=made_by[key.maker], origin=origin, **said), size, sha256)


def _key_of_ours(key: str) -> KeyParts | None:
    parts = key_format.parsed(key)
    return parts if parts is not None and parts.schema == SCHEMA else None


def _plain_text(said: dict[str, Any], says: Mapping[str, type]) -> str:
    """What made some voices, as text. It will be shown, so there is nothing in it that a terminal would obey."""
    if not all(type(said[name]) is kind for name, kind in says.items()) or not _is_plain(said):
        raise BundleError("its manifest does not say what made the voices")
    return json.dumps(said, sort_keys=True)


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, (*value, *value.values())))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int)) or (isinstance(value, str) and value.isprintable())
