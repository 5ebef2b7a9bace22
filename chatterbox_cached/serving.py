"""One call served: from memory, from the tiers below it, or by upstream, whose work is then kept."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from .accounting.bypasses import Bypasses
from .accounting.failures import Failures
from .accounting.ledger import Ledger
from .accounting.stats import Stats
from .concurrency.one_by_one import one_by_one
from .concurrency.singleflight import SingleFlight
from .concurrency.turns import turn
from .errors import Unidentifiable
from .identity import compatibility
from .identity.key import Identity, Key, on_setup
from .identity.origin import elsewhere, is_from, origin_of, setup_of
from .log import logger
from .settings import Settings
from .tiers.disk.folder import entries_of, is_usable
from .tiers.disk.rights import rights_in
from .tiers.store import Find, VoiceStore
from .upstream import guard, slots
from .upstream.calls import Preparation, Prepared, asked_for, unproxied
from .upstream.context import doing, done_now, goes_round, is_doing
from .upstream.families import FAMILIES, family_of, overrides
from .upstream.run import run, without_graph
from .verification import Verifier
from .voice.snapshot import Snapshot

if TYPE_CHECKING:
    import torch

    # The key of a call, its emotion_adv, and what memory has under the key.
    Identified = tuple[Key, torch.Tensor, Snapshot | None]


DEBUG = 10  # logging's own number, looked at on every hit
_ASKED_FOR = ("switched off", "disabled")


class Serving:
    """Serves the calls of one cache with these settings; where it is ``off``, they all go to upstream."""

    def __init__(self, settings: Settings, *, off: bool = False) -> None:
        self.settings, self.off = settings, off
        self.exact = settings.exact == "setup"
        self.identity, self.stats = Identity(), Stats()
        self.name_of = self.identity.audio.name_of
        self.failures = Failures(self.stats, settings.cache_dir)
        self.bypasses = Bypasses(self.stats, self.failures)
        self.ledger = Ledger(settings, self.stats, self.failures)
        self.store = VoiceStore(settings, self.failures.report)
        self.flights = _flights_of(settings)
        self.verifier = Verifier(settings, self.store, self.stats, self.failures)
        self.log = logger()
        self.log.info("Voices are kept in memory%s.", f" and in {settings.cache_dir}" if settings.cache_dir else "")
        # Voices that the user brought in, by the digest of their audio, or by path where the audio is not here.
        self.brought: dict[str, Snapshot] = {}

    def serve(self, call: Preparation, refresh: bool = False) -> Prepared:
        """Set the model's conditionals as upstream would have; ``refresh`` has upstream prepare them anew.

        Raises upstream's own errors, unchanged, and none of the cache's.
        """
        model, around = call.model, done_now()
        if ("prepare", id(model)) in around:  # this is upstream's own work on a miss, seen from below
            return Prepared("upstream", call.upstream(), slots.held(model, call.family))
        by_the_way = ("generate", id(model)) in around
        # In turn whatever the settings: another's conditionals on this model would be kept as this voice.
        with (its := turn(model)).lock:
            if its.reserved and not by_the_way:
                its.let_finish()
            prepared = self._in_turn(call, refresh)
            prepared.conditionals = slots.held(model, call.family)
            guard.remember(prepared.conditionals, call.exaggeration, on_purpose=not by_the_way)
            return prepared

    def serve_by_hand(self, model: Any, audio: object, exaggeration: Any, *, refresh: bool) -> Prepared:
        """``serve`` for a model, or a proxy around one, of any class that has upstream's ``prepare_conditionals``."""
        model = unproxied(model)
        family = family_of(model)
        if family is None or overrides(model, family.prepare, family):
            self.bypasses.count(
                Unidentifiable("class is not cached" if family is None else "prepare method is overridden")
            )
            returned = without_graph(lambda: model.prepare_conditionals(audio, exaggeration=exaggeration))
            conditionals = slots.held(model, family or FAMILIES[0])
            guard.remember(conditionals, exaggeration, on_purpose=not is_doing("generate", model))
            return Prepared("round the cache", returned, conditionals)
        return self.serve(asked_for(model, family, audio, exaggeration), refresh)

    def has(self, model: Any, audio: object) -> bool:
        """Whether what ``model`` would make of this audio is kept; not counted as a hit."""
        family = family_of(model)
        known = None if family is None else self.known(asked_for(model, family, audio, 0.5))
        return known is not None and bool(known[2])

    def known(self, call: Preparation) -> tuple[Key, torch.Tensor, list[Snapshot]] | None:
        """What is kept for this call, in memory and below it; not counted as a hit. None where that can't be known."""
        try:
            key, emotion, in_memory = self._identify(call, refresh=False)
        except Unidentifiable:
            return None
        # Also below it, since the next process will not have memory.
        key, below = self._look(self.store.peek_lower_tiers, key, call.model.device)
        return key, emotion, [snapshot for snapshot in (in_memory, below and below[1]) if snapshot is not None]

    def _in_turn(self, call: Preparation, refresh: bool) -> Prepared:
        started = time.perf_counter()
        try:
            key, emotion, snapshot = one_by_one.run(self._from_memory, call, refresh, started)
        except Unidentifiable as doubt:
            return self.round_the_cache(call, doubt)
        if snapshot is not None:
            return self._given("memory", call, key, snapshot, emotion, started)
        from_lower_tiers, find = self.store.from_lower_tiers, self.store.find
        if key.uncertain:
            from_lower_tiers = find = self.store.find_in_memory
        if not refresh and (prepared := self._found(from_lower_tiers, call, key, emotion, started)) is not None:
            return prepared
        if self.settings.auto_save and not key.uncertain:
            self.store.lower.open()  # the first of several processes makes the folder that they meet in
        with self.flights.flight(key.text):
            # The caller that was in flight before may have prepared it.
            if not refresh and (prepared := self._found(find, call, key, emotion, started)) is not None:
                return prepared
            return self._miss(call, key, emotion, refresh)

    def round_the_cache(self, call: Preparation, doubt: Unidentifiable) -> Prepared:
        """Have upstream prepare, because of a ``doubt``."""
        self.bypasses.count(doubt)
        self.log.debug(
            "%s: goes round the cache: %s", call.audio, ": ".join(filter(None, (doubt.reason, doubt.detail)))
        )
        with doing("prepare", call.model):
            if doubt.reason in _ASKED_FOR:
                return Prepared("round the cache", call.upstream())
            return Prepared("round the cache", without_graph(call.upstream))

    def _found(self, find: Find, call: Preparation, key: Key, emotion: torch.Tensor, started: float) -> Prepared | None:
        key, found = self._look(find, key, call.model.device)
        if found is None or not self._hit(found[0], call, key, found[1], emotion, started):
            return None
        return self._given(found[0], call, key, found[1], emotion, started)

    def _from_memory(self, call: Preparation, refresh: bool, started: float) -> Identified:
        """As ``_identify``; where there is a snapshot, the model has been given it."""
        identified = self._identify(call, refresh)
        key, emotion, snapshot = identified
        given = snapshot is not None and self._hit("memory", call, key, snapshot, emotion, started)
        if not given and key.maker is None:  # brought in, so there is no entry of it to look for or to keep
            raise Unidentifiable("cache failed")
        return identified if given else (key, emotion, None)

    def _identify(self, call: Preparation, refresh: bool) -> Identified:
        """Raises Unidentifiable for a call that goes round the cache."""
        try:
            if self.off or goes_round():
                raise Unidentifiable("switched off" if self.off else "disabled")
            emotion = slots.emotion_adv(call.exaggeration, call.model.device)
            if refresh:
                self.identity.forget(call.model, call.audio)
                self.brought.pop(self.name_of(call.audio), None)
            elif self.brought and (brought := self.brought.get(self.name_of(call.audio))) is not None:
                return self.identity.of_what_was_brought_in(call), emotion, brought.to(call.model.device)
            key = self.identity.key(call)
            if refresh:
                return key, emotion, None
            if self.exact:
                used, found = self._look(self.store.find_in_memory, key, call.model.device)
                return (used, emotion, found[1]) if found else (key, emotion, None)
            return key, emotion, self.store.from_memory(key.text, call.model.device)
        except Unidentifiable:
            raise
        except Exception as error:
            self.failures.report("identity", error)
            raise Unidentifiable("cache failed") from error

    def _look(self, find: Find, key: Key, device: Any) -> tuple[Key, tuple[str, Snapshot] | None]:
        """What ``find`` finds that may be used, and under which key: this set-up's own, where another's is under it."""
        found = find(key.text, device)
        if not self.exact or (found is not None and is_from(found[1].origin, setup_of(device))):
            return key, found
        own = on_setup(key, setup_of(device))
        return own, find(own.text, device)

    def _place(self, key: Key, device: Any) -> Key:
        """Where to keep what was made here: nothing of another set-up goes for it, or two would replace each other."""
        if self.exact and (there := self.store.find(key.text, device)) is not None:
            here = setup_of(device)
            return key if is_from(there[1].origin, here) else on_setup(key, here)
        return key

    def _hit(
        self, tier: str, call: Preparation, key: Key, snapshot: Snapshot, emotion: torch.Tensor, started: float
    ) -> bool:
        try:
            slots.hold(call.model, call.family, slots.revive(snapshot, call.model, call.family, emotion))
        except Exception as error:
            self.failures.report("hit", error)
            return False
        saved = self.stats.hit(tier, snapshot.prepare_seconds, time.perf_counter() - started)
        audio = key.audio
        self.ledger.used(audio.digest, audio.path, audio.name, saved)
        return True

    def _given(
        self, tier: str, call: Preparation, key: Key, snapshot: Snapshot, emotion: torch.Tensor, started: float
    ) -> Prepared:
        """A hit from ``tier``, compared with upstream's where it is this one's turn."""
        if self.log.isEnabledFor(DEBUG):
            took = 1000 * (time.perf_counter() - started)
            self.log.debug("%s: from %s in %.2f ms%s", call.audio, tier, took, _made_elsewhere(call, snapshot))
        if self.verifier.due():
            self.verifier.differences(call, key, snapshot, emotion)
        return Prepared(tier, slots.held(call.model, call.family) if key.gives_conditionals else None)

    def _miss(self, call: Preparation, key: Key, emotion: torch.Tensor, refresh: bool) -> Prepared:
        self.stats.miss()
        audio = key.audio
        self.ledger.used(audio.digest, audio.path, audio.name, None)
        why = self._why_no_hit(key, refresh) if self.log.isEnabledFor(DEBUG) else ""
        done = run(call)
        self.log.debug("%s: prepared by upstream in %.2f s, for %s", call.audio, done.seconds, why)
        self.stats.prepared(done.seconds)
        try:
            snapshot = done.snapshot(emotion, audio.unchanged, origin_of(call.model, call.family))
            durable, device = self.settings.auto_save and not key.uncertain, call.model.device
            key = self._place(key, device)
            self.store.keep(key.text, device, snapshot, durable=durable, made_by=key.made_by)
            if key.uncertain and self.settings.cache_dir and self.settings.auto_save:
                self.bypasses.count_kept_here_only(key.uncertain)
        except Unidentifiable as doubt:
            self.bypasses.count_not_stored(doubt)
            self.log.debug("%s: not kept: %s", call.audio, doubt.reason)
        except Exception as error:
            self.failures.report("store", error)
        return Prepared("upstream", done.returned)

    def _why_no_hit(self, key: Key, refresh: bool) -> str:
        """For the log: which part of the key is new, going by what is kept below memory of the same voice."""
        kept = self.store.made_by(key.audio.digest)
        if refresh or not kept:
            return "it was asked to be prepared anew" if refresh else "nothing is kept of this audio"
        parts = compatibility.new_parts(key.made_by, kept)
        return f"this voice is kept of other {' and '.join(parts)}" if parts else "what is kept of it can't be used"


def _made_elsewhere(call: Preparation, snapshot: Snapshot) -> str:
    """For the log: that another set-up made it, and which."""
    with contextlib.suppress(Exception):  # a device that can't be asked
        if apart := elsewhere(snapshot.origin, setup_of(call.model.device)):
            return f"; made elsewhere: {'; '.join(apart)}"
    return ""


def _flights_of(settings: Settings) -> SingleFlight:
    """Single flight among all threads and processes that use the cache folder of these settings."""
    root, trusted = settings.cache_dir, settings.trust_cache_dir
    if root is None:
        return SingleFlight(None, settings.wait_seconds)
    return SingleFlight(
        entries_of(root),
        settings.wait_seconds,
        usable=lambda _: is_usable(root, trusted=trusted),
        mode_in=lambda folder: rights_in(folder).file,
    )
