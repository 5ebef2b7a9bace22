"""The voices in the stores that machines share: listed, and named by what is known on a machine that has none of them.

Nothing of this machine is looked at, or dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ..errors import NotCachedError, SettingsError, Unidentifiable
from ..identity.audio import AudioIndex
from ..settings import Settings, variable_of
from ..tiers.fleet import Fleet
from ..voice import key_format


class SharedVoice(NamedTuple):
    """What a store has of the voice whose audio has this digest: how many entries, and their bytes."""

    digest: str
    entries: int
    nbytes: int


@contextmanager
def opened(settings: Settings) -> Iterator[Fleet]:
    """The stores of these settings, for as long as they are looked at. Raises SettingsError where none is named.

    What is done to them raises SharedStoreError where that fails.
    """
    if not settings.shared:
        raise SettingsError(
            f"No store is named that machines share. Name one: {variable_of('shared')}=valkey://host:6379/0"
        )
    fleet = Fleet(settings, lambda place, error: None, lambda voices: None)
    yield fleet
    fleet.close()


def voices_of(sizes: Mapping[str, int]) -> list[SharedVoice]:
    """The voices of which these entries are, given by their keys with their bytes; the largest first."""
    entries: dict[str, list[int]] = {}
    for key, nbytes in sizes.items():
        if parts := key_format.parsed(key):
            entries.setdefault(parts.audio, []).append(nbytes)
    found = [SharedVoice(digest, len(its), sum(its)) for digest, its in entries.items()]
    return sorted(found, key=lambda voice: (-voice.nbytes, voice.digest))


def digest_of(wanted: str) -> str:
    """The digest of the voice that the user names by its audio file or by the whole digest, cached here or not.

    Raises NotCachedError where it is neither.
    """
    if Path(wanted).is_file():
        try:
            return AudioIndex().identify(wanted).digest
        except Unidentifiable as error:
            raise NotCachedError(f"{wanted} can't be told from other audio ({error.reason}).") from error
    if key_format.is_sha256(wanted.lower()):
        return wanted.lower()
    raise NotCachedError(f"There is no audio file {wanted}, and it is no whole digest of 64 characters either.")
