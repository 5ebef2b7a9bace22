"""ConditionalCache: the cache as its users see it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .accounting import process_wide
from .concurrency.forks import ForkSafeLock
from .errors import NotCachedError
from .settings import Settings, resolve, switched_off

if TYPE_CHECKING:
    from .serving.voices import Serving
    from .tiers.disk.repair import CheckReport
    from .verification import Verification

_lock = ForkSafeLock()


class ConditionalCache:
    """Voices that were prepared once, kept in memory and, with a ``cache_dir``, on disk.

    ``cache_dir``: the folder to keep voices in; None keeps them in memory only. ``auto_save``: whether newly prepared
    voices are written to disk. The other settings are those of ``chatterbox_cached.Settings``.
    Raises SettingsError for a setting that is unknown or impossible.
    """

    def __init__(
        self, cache_dir: str | os.PathLike[str] | None = None, auto_save: bool = True, **settings: Any
    ) -> None:
        self._begin(resolve({"cache_dir": cache_dir, "auto_save": auto_save, **settings}))

    def _begin(self, settings: Settings) -> None:
        self.settings, self.off = settings, switched_off()
        self._made: Serving | None = None

    @property
    def serving(self) -> Serving:
        """What serves the calls of this cache; for this package, not for its users."""
        # Made at the first use: what it needs takes longer to load than enable() may take.
        return self._made or self._make()

    def _make(self) -> Serving:
        from .serving.voices import Serving

        with _lock:
            if self._made is None:
                self._made = Serving(self.settings, off=self.off)
                process_wide.include_cache(self)
            return self._made

    @classmethod
    def from_settings(cls, settings: Settings) -> ConditionalCache:
        """A cache with settings that were resolved before."""
        cache = cls.__new__(cls)
        cache._begin(settings)
        return cache

    def __reduce__(self) -> tuple[Any, ...]:
        # In another process a cache is the same folder with the same settings; memory stays behind.
        return ConditionalCache.from_settings, (self.settings,)

    def get_or_prepare(
        self, model: Any, audio_path: Any, exaggeration: Any = 0.5, force_refresh: bool = False, verbose: bool = False
    ) -> Any:
        """Set ``model.conds`` to the voice in ``audio_path`` and return it, from the cache if it is there.

        For a ``ChatterboxVC`` that is ``model.ref_dict``, and the exaggeration has no effect.
        ``audio_path``: a path or a binary file object. ``force_refresh`` prepares it anew and replaces what was kept.
        ``verbose`` prints where it came from. Raises whatever upstream raises for this audio.
        """
        started = time.perf_counter()
        prepared = self.serving.by_hand.serve(model, audio_path, exaggeration, refresh=force_refresh)
        if verbose:
            print(f"{audio_path}: {prepared.source}, {(time.perf_counter() - started) * 1000:.2f} ms")
        return prepared.conditionals  # the model may have another thread's by now

    def verify(self, model: Any, audio_paths: Iterable[Any]) -> Verification:
        """Compare what is cached of these voices with what ``model`` makes of them now, bit for bit.

        What differs is replaced, counted and warned of. The model's voice is afterwards what it was before.
        """
        return self.serving.verifier.compare(model, audio_paths, self.serving.known, self.serving.by_hand.call)

    def save(self, audio_path: Any, exaggeration: Any, filepath: str | os.PathLike[str]) -> Path:
        """Write a cached voice to ``filepath`` as a ``.pt`` file that upstream's ``Conditionals.load`` reads.

        Where several models have prepared this audio, the last one used is written; what ``ChatterboxVC`` has prepared,
        as the part of such a file that its ``from_local`` reads.
        Raises NotCachedError when nothing is cached of it, and ChatterboxCachedError when this is no audio.
        """
        voice = self.serving.name_of(audio_path)
        snapshot = self.serving.brought.get(voice) or self.serving.finder.latest(voice)
        if snapshot is None:
            raise NotCachedError(f"Nothing is cached of {audio_path}. Call get_or_prepare() with it first.")
        from .upstream import pt_file

        path = Path(filepath)
        pt_file.write(path, snapshot.to("cpu"), exaggeration)
        return path

    def load(
        self, filepath: str | os.PathLike[str], audio_path: Any, exaggeration: Any = 0.5, device: Any = "cpu"
    ) -> None:
        """Take in a ``.pt`` file of conditionals as the voice of ``audio_path``, for any model and exaggeration.

        From then on it is used instead of preparing ``audio_path``, which need not be on this machine. ``exaggeration``
        is what the file was saved with; it is not needed, since a voice serves every exaggeration. A file of what
        ``ChatterboxVC`` has prepared is for such models alone, and any other file for all others.
        Raises OSError when the file can't be read, VoiceFileError when it holds no conditionals.
        """
        from .upstream import pt_file

        self.serving.brought[self.serving.name_of(audio_path)] = pt_file.read(Path(filepath), device)

    def clear_memory(self) -> int:
        """Drop what is in memory, with all that ``load`` took in; says how many entries."""
        count = self.serving.store.memory.clear() + len(self.serving.brought)
        self.serving.brought.clear()
        return count

    def clear_disk(self) -> int:
        """Drop what is on disk; says how many entries."""
        self.serving.ledger.clear()
        return self.serving.store.clear_disk()

    def clear_all(self) -> int:
        """Drop everything on this machine; says how many entries, each once for every tier that had it."""
        return self.clear_memory() + self.clear_disk()

    def clear_shared(self) -> int:
        """Drop every voice of this namespace from the stores that machines share; says how many entries.

        What machines have in memory and on their disks stays, and so does what was forgotten for all of them.
        Raises SharedStoreError where a store can't be reached.
        """
        return self.serving.store.shared.clear()

    def forget(self, audio_path: Any) -> int:
        """Drop everything that was ever made of the voice in ``audio_path``, in all tiers; says how many entries.

        With a store that machines share, no machine may keep the voice from then on, until ``lift``: those that have
        it drop it within seconds. Raises SharedStoreError where the store can't be reached; it is then forgotten on
        this machine only.
        """
        voice = self.serving.name_of(audio_path)
        brought = self.serving.brought.pop(voice, None)
        self.serving.ledger.forget(voice)
        self.serving.naming.forget(frozenset({voice}))
        return self.serving.store.forget(voice) + (brought is not None)

    def lift(self, audio_path: Any) -> bool:
        """Let machines keep the voice in ``audio_path`` again after ``forget``; says whether they might not.

        Raises SharedStoreError where a store can't be reached.
        """
        return self.serving.store.shared.lift(self.serving.name_of(audio_path))

    def check(self, fix: bool = True) -> CheckReport:
        """Look through what is on disk, as after a crash or an outage, and drop what is damaged or left over.

        It reads every entry. ``fix=False`` only looks. What kept it from being done is in the report's ``error``.
        """
        return self.serving.ledger.also_checked(self.serving.store.check(fix), fix)

    def get_cache_stats(self) -> dict[str, Any]:
        """What is kept and what was done so far; the keys are listed in docs/statistics.md."""
        kept = self.serving.store.figures()
        kept["memory_cached_items"] += len(self.serving.brought)
        return {**kept, **self.serving.stats.snapshot()}

    def close(self) -> None:
        """Put what still waits into the shared stores, and let go of files and connections; the next call opens them
        again."""
        self.serving.store.lower.close()
        self.serving.store.shared.close()  # where names are beside the entries
        self.serving.ledger.flush()  # with what was given up just now

    def __repr__(self) -> str:
        now = self.get_cache_stats()
        disk = f", {now['disk_cached_items']} on disk in {now['cache_dir']}" if now["cache_dir"] else ""
        counted = f"{now['memory_hits']} memory hits, {now['disk_hits']} disk hits, {now['misses']} misses"
        bypassed = f"{sum(now['bypasses'].values())} bypasses, {now['saved_seconds']:.1f} s saved"
        return f"<ConditionalCache: {now['memory_cached_items']} in memory{disk}; {counted}, {bypassed}>"
