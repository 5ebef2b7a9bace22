"""ConditionalCache: asks identity for the key, the store for the entry, and upstream for a miss."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .accounting.failures import Failures
from .accounting.ledger import Ledger
from .accounting.stats import Stats, in_a_line
from .concurrency.one_by_one import one_by_one
from .concurrency.singleflight import SingleFlight
from .concurrency.turns import turn, watch
from .errors import NotCachedError, Unidentifiable
from .identity.audio import UNKNOWN_AUDIO
from .identity.key import Identity, Key
from .settings import Settings, resolve, switched_off
from .tiers.disk.folder import entries_of, is_usable
from .tiers.disk.repair import CheckReport
from .tiers.store import Find, VoiceStore
from .upstream import guard, slots
from .upstream.calls import Preparation, Served, asked_for, unproxied
from .upstream.context import doing, goes_round, is_doing
from .upstream.families import FAMILIES, family_of, overrides
from .verification import Verification, Verifier
from .voice.key_format import voice_prefix
from .voice.snapshot import Snapshot

if TYPE_CHECKING:
    import torch

    Identified = tuple[Key, torch.Tensor, Snapshot | None]


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
        self._identity, self._stats = Identity(), Stats()
        self._voice = self._identity.audio.name_of
        self._failures = Failures(self._stats, settings.cache_dir)
        self._ledger = Ledger(settings, self._stats, self._failures)
        self._store = VoiceStore(settings, self._failures.report)
        self._flights = _flights_of(settings)
        self._verifier = Verifier(settings, self._store, self._stats, self._failures)
        # Voices that the user brought in, by the digest of their audio, or by path where the audio is not here.
        self._brought: dict[str, Snapshot] = {}

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

        ``audio_path``: a path or a binary file object. ``force_refresh`` prepares it anew and replaces what was kept.
        ``verbose`` prints where it came from. Raises whatever upstream raises for this audio.
        """
        started, plain = time.perf_counter(), unproxied(model)
        served = self._asked_for(plain, audio_path, exaggeration, force_refresh)
        if verbose:
            print(f"{audio_path}: {served.source}, {(time.perf_counter() - started) * 1000:.2f} ms")
        return served.conditionals  # the model may have another thread's by now

    def _asked_for(self, model: Any, audio: object, exaggeration: Any, refresh: bool) -> Served:
        family = family_of(model)
        if family is None or overrides(model, family.prepare, family):
            self._stats.bypass("class is not cached" if family is None else "prepare method is overridden")
            returned = model.prepare_conditionals(audio, exaggeration=exaggeration)
            guard.remember(conditionals := slots.held(model, family or FAMILIES[0]), exaggeration)
            return Served("round the cache", returned, conditionals)
        return self.prepare(asked_for(model, family, audio, exaggeration), refresh=refresh)

    def prepare(self, call: Preparation, *, refresh: bool = False) -> Served:
        """Serve one call of a prepare method: set the model's conditionals as upstream would have.

        Raises upstream's own errors, unchanged, and none of the cache's.
        """
        model = call.model
        if is_doing("prepare", model):  # this is upstream's own work on a miss, seen from below
            return Served("upstream", call.upstream(), slots.held(model, call.family))
        # In turn whatever the settings: another's conditionals on this model would be kept as this voice.
        with turn(model):
            served = self._serve(call, refresh)
            served.conditionals = slots.held(model, call.family)
            guard.remember(served.conditionals, call.exaggeration)
            return served

    def went_round(self, reason: str) -> None:
        """Count a call that was not even taken apart."""
        self._stats.bypass(reason)

    def saw_mismatch(self) -> None:
        """Count a ``generate`` that was about to speak with another exaggeration than was prepared."""
        self._stats.mismatch()

    def _serve(self, call: Preparation, refresh: bool) -> Served:
        started = time.perf_counter()
        identified = one_by_one.run(lambda: self._from_memory(call, refresh, started))
        if isinstance(identified, str):
            self._stats.bypass(identified)
            with doing("prepare", call.model):
                return Served("round the cache", call.upstream())
        key, emotion, snapshot = identified
        if snapshot is not None:
            return self._served("memory", call, key, snapshot, emotion)
        if (
            not refresh
            and (served := self._below(self._store.from_lower_tiers, call, key, emotion, started)) is not None
        ):
            return served
        if self.settings.auto_save:
            self._store.lower.open()  # the first of several processes makes the folder that they meet in
        with self._flights.flight(key.text):
            # Whoever was in flight before may have prepared it.
            if not refresh and (served := self._below(self._store.find, call, key, emotion, started)) is not None:
                return served
            return self._miss(call, key, emotion)

    def _below(self, find: Find, call: Preparation, key: Key, emotion: torch.Tensor, started: float) -> Served | None:
        found = find(key.text, call.model.device)
        if found is None or not self._hit(found[0], call, key, found[1], emotion, started):
            return None
        return self._served(found[0], call, key, found[1], emotion)

    def _from_memory(self, call: Preparation, refresh: bool, started: float) -> Identified | str:
        """As ``_identify``; where there is a snapshot, the model has been given it."""
        identified = self._identify(call, refresh)
        if isinstance(identified, str):
            return identified
        key, emotion, snapshot = identified
        given = snapshot is not None and self._hit("memory", call, key, snapshot, emotion, started)
        return identified if given else (key, emotion, None)

    def _identify(self, call: Preparation, refresh: bool) -> Identified | str:
        """Key, emotion_adv and, if it is near, the snapshot; or the reason for which the call goes round the cache."""
        try:
            if self.off or goes_round():
                raise Unidentifiable("switched off" if self.off else "disabled")
            emotion = slots.emotion_adv(call.exaggeration, call.model.device)
            if refresh:
                self._identity.forget(call.model, call.audio)
                self._brought.pop(self._voice(call.audio), None)
            elif self._brought and (brought := self._brought.get(self._voice(call.audio))) is not None:
                return Key("brought in", UNKNOWN_AUDIO), emotion, brought.to(call.model.device)
            key = self._identity.key(call.model, call.family, call.audio, call.key_arguments)
            return key, emotion, None if refresh else self._store.from_memory(key.text, call.model.device)
        except Unidentifiable as doubt:
            if doubt.advice:
                self._failures.warn_once(doubt.reason, doubt.advice)
            return doubt.reason
        except Exception as error:
            self._failures.report("identity", error)
            return "cache failed"

    def _hit(
        self, tier: str, call: Preparation, key: Key, snapshot: Snapshot, emotion: torch.Tensor, started: float
    ) -> bool:
        try:
            slots.hold(call.model, call.family, slots.revive(snapshot, call.family, emotion))
        except Exception as error:
            self._failures.report("hit", error)
            return False
        saved = self._stats.hit(tier, snapshot.prepare_seconds, time.perf_counter() - started)
        self._ledger.used(key.audio.digest, call.audio, saved)
        return True

    def _served(self, tier: str, call: Preparation, key: Key, snapshot: Snapshot, emotion: torch.Tensor) -> Served:
        """A hit from ``tier``, compared with upstream's where it is this one's turn."""
        if self._verifier.due():
            self._verifier.differences(call, key, snapshot, emotion)
        return Served(tier)

    def _miss(self, call: Preparation, key: Key, emotion: torch.Tensor) -> Served:
        import torch

        self._stats.miss()
        self._ledger.used(key.audio.digest, call.audio, None)
        undisturbed, started = watch(call.model), time.perf_counter()
        # Upstream prepares with gradients on, and 290 MB of graph would stay alive with each voice.
        with doing("prepare", call.model), torch.no_grad():
            returned = call.upstream()
        seconds = time.perf_counter() - started
        self._stats.prepared(seconds)
        try:
            snapshot = slots.take(slots.held(call.model, call.family), emotion, seconds)
            if not undisturbed():  # another generate() may have put the speaker of its own voice there
                raise Unidentifiable("another call was on the model")
            if not key.audio.unchanged():
                raise Unidentifiable("audio changed during the preparation")
            durable, device = self.settings.auto_save, call.model.device
            self._store.keep(key.text, device, snapshot, durable=durable, made_by=key.made_by)
        except Unidentifiable as doubt:
            self._stats.not_stored(doubt.reason)
        except Exception as error:
            self._failures.report("store", error)
        return Served("upstream", returned)

    def verify(self, model: Any, audio_paths: Iterable[Any]) -> Verification:
        """Compare what is cached of these voices with what ``model`` makes of them now, bit for bit.

        What differs is replaced, counted and warned of. ``model.conds`` is afterwards what it was before.
        """
        return self._verifier.compare(unproxied(model), audio_paths, self.known)

    def known(self, call: Preparation) -> tuple[Key, torch.Tensor, list[Snapshot]] | None:
        """What is kept for this call, in memory and below it; not counted as a hit. None where that can't be known."""
        if isinstance(identified := self._identify(call, refresh=False), str):
            return None
        key, emotion, near = identified
        found = self._store.peek_lower_tiers(
            key.text, call.model.device
        )  # the next process has what is there, not what is near
        return key, emotion, [*([] if near is None else [near]), *([] if found is None else [found[1]])]

    def save(self, audio_path: Any, exaggeration: Any, filepath: str | os.PathLike[str]) -> Path:
        """Write a cached voice to ``filepath`` as a ``.pt`` file that upstream's ``Conditionals.load`` reads.

        Where several models have prepared this audio, the last one used is written.
        Raises NotCachedError when nothing is cached of it, and ChatterboxCachedError when this is no audio.
        """
        voice = self._voice(audio_path)
        snapshot = self._brought.get(voice) or self._store.latest(voice_prefix(voice))
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
        is what the file was saved with; it is not needed, since a voice serves every exaggeration.
        Raises OSError when the file can't be read, VoiceFileError when it holds no conditionals.
        """
        from .upstream import pt_file

        self._brought[self._voice(audio_path)] = pt_file.read(Path(filepath), device)

    def clear_memory(self) -> int:
        """Drop what is in memory, with all that ``load`` took in; says how many entries."""
        count = self._store.memory.clear() + len(self._brought)
        self._brought.clear()
        return count

    def clear_disk(self) -> int:
        """Drop what is on disk; says how many entries."""
        self._ledger.clear()
        return self._store.clear_disk()

    def clear_all(self) -> int:
        """Drop everything; says how many entries, each once for every tier that had it."""
        return self.clear_memory() + self.clear_disk()

    def forget(self, audio_path: Any) -> int:
        """Drop everything that was ever made of the voice in ``audio_path``, in all tiers; says how many entries."""
        voice = self._voice(audio_path)
        brought = self._brought.pop(voice, None)
        self._ledger.forget(voice)
        return self._store.forget(voice_prefix(voice)) + (brought is not None)

    def check(self, fix: bool = True) -> CheckReport:
        """Look through what is on disk, as after a crash or an outage, and drop what is damaged or left over.

        It reads every entry. ``fix=False`` only looks. What kept it from being done is in the report's ``error``.
        """
        return self._store.check(fix)

    def get_cache_stats(self) -> dict[str, Any]:
        """What is kept and what was done so far; the keys are listed in the README."""
        kept = self._store.figures()
        kept["memory_cached_items"] += len(self._brought)
        return {**kept, **self._stats.snapshot()}

    def close(self) -> None:
        """Let go of files and connections; the next call opens them again."""
        self._ledger.flush()
        self._store.lower.close()

    def __repr__(self) -> str:
        return f"<ConditionalCache: {in_a_line(self.get_cache_stats())}>"


def _flights_of(settings: Settings) -> SingleFlight:
    """Single flight among all threads and processes that use the cache folder of these settings."""
    root, trusted = settings.cache_dir, settings.trust_cache_dir
    if root is None:
        return SingleFlight(None, settings.wait_seconds)
    return SingleFlight(entries_of(root), settings.wait_seconds, lambda _: is_usable(root, trusted=trusted))
