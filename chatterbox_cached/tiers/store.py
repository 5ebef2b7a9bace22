"""Snapshots by key: memory as they are, and the tiers below it as bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import EntryError, SignatureError, Unidentifiable
from ..settings import Settings
from ..voice import entry_format
from ..voice.key_format import is_of_another_schema, parsed, voice_prefix
from ..voice.snapshot import Snapshot
from .base import Tier
from .chain import TierChain
from .disk.either import FolderTier
from .disk.frozen import FrozenFolder
from .disk.repair import CheckReport
from .disk.stored import Stored
from .fleet import Fleet
from .guarded import Failed, GuardedTier
from .memory import MemoryTier
from .named import NamedTier

if TYPE_CHECKING:
    import torch

# A key and a device to the name of the tier that has an entry, and the snapshot.
Find = Callable[[str, "str | torch.device"], "tuple[str, Snapshot] | None"]


class VoiceStore:
    """Where the snapshots of one cache are kept. ``failed`` is told of what went wrong; nothing here raises for it.

    ``named``: the tier of voices that have names, where they are to be served.
    """

    def __init__(self, settings: Settings, failed: Failed, named: NamedTier | None = None) -> None:
        self._failed, self._keys = failed, settings.keyring
        self._only_checks = settings.only_checks
        self._root = settings.cache_dir
        self.memory: MemoryTier[Snapshot] = MemoryTier(
            settings.memory_entries, settings.memory_bytes, size_of=lambda snapshot: snapshot.nbytes
        )
        self._disk: FolderTier | None = None
        if settings.cache_dir is not None:
            self._disk = FolderTier(
                settings.cache_dir,
                settings.size_limit,
                lambda error: failed("disk index moved aside", error),
                lambda error: failed("disk put", error),
                trusted=settings.trust_cache_dir,
            )
        self.read_only = [
            FrozenFolder(root, trusted=settings.trust_cache_dir)
            for root in settings.read_only_dirs
            if root != settings.cache_dir
        ]
        folders: list[Tier[bytes]] = [*([] if self._disk is None else [self._disk]), *self.read_only]
        self._folders = [GuardedTier(folder, failed) for folder in folders]
        self._named = (
            [] if named is None else [GuardedTier(named, lambda place, error: failed(f"voices {place}", error))]
        )
        self._folders.extend(self._named)
        self.shared = Fleet(settings, failed, self._drop_forgotten)
        self.lower = TierChain([*self._folders, *self.shared.tiers])
        # Told of the voices that no machine may keep, when it is seen that there are more of them.
        self.on_forgotten: Callable[[frozenset[str]], None] = lambda _: None

    def from_memory(self, key: str, device: str | torch.device) -> Snapshot | None:
        """The snapshot from memory, its tensors on ``device``."""
        if self.shared.tiers and self.has_forgotten(key):
            return None
        return self.memory.get(_in_memory(key, device))

    def find_in_memory(self, key: str, device: str | torch.device) -> tuple[str, Snapshot] | None:
        """``find`` in memory alone."""
        snapshot = self.from_memory(key, device)
        return None if snapshot is None else ("memory", snapshot)

    def find(self, key: str, device: str | torch.device) -> tuple[str, Snapshot] | None:
        """The snapshot from the nearest tier that has it, with that tier's name."""
        return self.find_in_memory(key, device) or self.from_lower_tiers(key, device)

    def from_lower_tiers(self, key: str, device: str | torch.device) -> tuple[str, Snapshot] | None:
        """The snapshot from the nearest tier below memory that has it, with that tier's name. Memory keeps it too."""
        found = self.peek_lower_tiers(key, device)
        if found is not None:
            self.memory.put(_in_memory(key, device), found[1])
            self._was_forgotten_meanwhile(key)
        return found

    def peek_lower_tiers(self, key: str, device: str | torch.device) -> tuple[str, Snapshot] | None:
        """``from_lower_tiers``, but memory stays as it is."""
        if self.has_forgotten(key):
            return None
        for tier, entry in self.lower.found(key):
            try:
                snapshot = self._decoded(key, entry)
            except EntryError as error:
                of_signature = isinstance(error, SignatureError)
                where = "" if tier in self._folders else f"{tier.name} "  # which of the stores is to be looked at
                self._failed(f"{where}{'signature' if of_signature else 'entry'}", error)
                # Where nothing could be put in its place, and where it may be all that is left of a recording, it stays
                # for whoever has the right key.
                stays = of_signature and (self._only_checks or tier in self._named)
                if stays or not tier.delete(key):
                    tier.leave(key, entry)
                continue
            self.lower.keep_nearer(tier, key, entry)
            if tier in self._folders:
                self.shared.offer(key, entry)
            if self._was_forgotten_meanwhile(key):
                return None
            try:
                return tier.name, snapshot.to(device)
            except Exception as error:  # no memory left on the device, for one
                self._failed("device", error)
                return None
        return None

    def _decoded(self, key: str, entry: bytes) -> Snapshot:
        snapshot = entry_format.decode(key, entry, self._keys)
        if (said := snapshot.flaw()) is not None:
            raise EntryError(f"entry is no voice: {said}")
        return snapshot

    def _judged(self, key: str, entry: bytes) -> None:
        if is_of_another_schema(key):
            return  # what another version of this library has stored is its own affair
        self._decoded(key, entry)

    def keep(
        self, key: str, device: str | torch.device, snapshot: Snapshot, *, durable: bool, made_by: str = ""
    ) -> None:
        """Keep a snapshot in memory and, if ``durable``, in every tier below, with what made it (see identity.Key).

        Raises Unidentifiable for a voice that no machine may keep, and EntryError for what can only be kept in memory.
        """
        if self.has_forgotten(key):
            raise Unidentifiable("voice was forgotten")
        self.memory.put(_in_memory(key, device), snapshot)
        try:
            if durable:
                self.lower.put(key, entry_format.encode(key, snapshot, self._keys, made_by))
        finally:
            self._was_forgotten_meanwhile(key)

    def of_audio(self, audio: str) -> Iterator[tuple[str, Snapshot]]:
        """All that is kept of the audio with this digest, with the names of the tiers, what was last used first."""
        prefix = voice_prefix(audio)
        if self.shared.may_not_keep(audio):
            return
        for key in reversed(self.memory.keys(prefix)):
            if (snapshot := self.memory.get(key)) is not None:
                yield "memory", snapshot
        for key in reversed(self.lower.keys(prefix)):
            if (found := self.peek_lower_tiers(key, "cpu")) is not None:
                yield found

    def figures(self) -> dict[str, Any]:
        """How much is kept and where, by the names that it has in the statistics."""
        entries, nbytes = self.on_disk()
        return {
            "memory_cached_items": len(self.memory),
            "memory_size_mb": self.memory.nbytes() / 1e6,
            "disk_cached_items": entries,
            "disk_cache_size_mb": nbytes / 1e6,
            "cache_dir": None if self._root is None else str(self._root),
            "read_only_cached_items": sum(map(len, self._guarded(self.read_only))),
            "shared": self.shared.figures(),
            "read_only_dirs": [str(folder.root) for folder in self.read_only],
        }

    def on_disk(self) -> tuple[int, int]:
        """How many entries the cache folder has, and how many bytes they take."""
        return sum(map(len, self._disk_tiers())), sum([tier.nbytes() for tier in self._disk_tiers()])

    def clear_disk(self) -> int:
        """Drop everything from the cache folder; says how many entries."""
        return sum([tier.clear() for tier in self._disk_tiers()])

    def listing(self) -> list[Stored]:
        """Every entry in the cache folder, those stored longest ago first. Raises what keeps it from being read."""
        return [] if self._disk is None else self._disk.listing()

    def is_read_only(self) -> bool:
        """Whether the cache folder is filled and can only be read."""
        return self._disk is not None and self._disk.read_only

    def entry(self, key: str) -> bytes:
        """The entry on disk under ``key``, as a listing has just named it. Raises EntryError where it is gone."""
        entry = None if self._disk is None else self._disk.get(key)
        for folder in self.read_only:
            if entry is None:
                with contextlib.suppress(OSError):  # one that is not used may stand before the one that has it
                    entry = folder.get(key)
        if entry is None:
            raise EntryError("entry is gone")
        return entry

    def header(self, key: str) -> entry_format.Header:
        """What the entry on disk under ``key`` says of itself. Raises EntryError where a hit would not use it."""
        return entry_format.header_of(key, self.entry(key), self._keys)

    def check(self, fix: bool) -> CheckReport:
        """Look through the cache folder and, with ``fix``, repair it; a pause of the tier's ends."""
        if self._disk is None:
            return CheckReport()
        try:
            report = self._disk.check(self._judged, fix)
        except Exception as error:
            self._failed("disk check", error)
            return CheckReport(error=f"{type(error).__name__}: {error}")
        for tier in self._disk_tiers():
            tier.try_again()
        return report

    def has_forgotten(self, key: str) -> bool:
        """Whether what is under ``key`` is of a voice that no machine may keep."""
        parts = parsed(key) if self.shared.tiers else None
        return parts is not None and self.shared.may_not_keep(parts.audio)

    def _was_forgotten_meanwhile(self, key: str) -> bool:
        """To be asked once it is kept: what was dropped at the word of another thread may just have come back."""
        forgotten = self.has_forgotten(key)
        if forgotten and (parts := parsed(key)) is not None:
            self._forget_here(parts.audio)
        return forgotten

    def _drop_forgotten(self, voices: frozenset[str]) -> None:
        """Drop from this machine what no machine may keep."""
        on_disk = [key for tier in self._folders for key in tier.keys()]  # noqa: SIM118
        in_memory = [key.partition("@")[0] for key in self.memory.keys()]  # noqa: SIM118
        here = {parts.audio for key in [*on_disk, *in_memory] if (parts := parsed(key)) is not None}
        for audio in voices & here:
            self._forget_here(audio)
        self.on_forgotten(voices)

    def _disk_tiers(self) -> list[GuardedTier]:
        return self._guarded([self._disk])

    def _guarded(self, folders: Sequence[object]) -> list[GuardedTier]:
        return [tier for tier in self._folders if any(tier.tier is folder for folder in folders)]

    def made_by(self, audio: str) -> list[str]:
        """What made the entries below memory that there are of this voice, as they say (see identity.Key)."""
        said = []
        for key in self.lower.keys(voice_prefix(audio)):
            with contextlib.suppress(EntryError):
                said.append(self.header(key).made_by)
        return said

    def forget(self, audio: str) -> int:
        """Drop everything that was made of the voice with this digest of its audio; says how many entries it was.

        With stores that machines share, no machine may keep it from now on. Raises SharedStoreError where one of them
        could not be told.
        """
        here = self._forget_here(audio)
        return max(here, self.shared.forget(audio))

    def _forget_here(self, audio: str) -> int:
        prefix = voice_prefix(audio)
        return max(self.memory.delete_voice(prefix), sum([tier.delete_voice(prefix) for tier in self._folders]))


def _in_memory(key: str, device: str | torch.device) -> str:
    # The key says which type of device; memory keeps one snapshot for each device of that type.
    return f"{key}@{device}"
