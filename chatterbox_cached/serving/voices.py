"""One preparation served: from memory, from the tiers below it, or by upstream, whose work is then kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..accounting.bypasses import Bypasses
from ..accounting.failures import Failures
from ..accounting.ledger import Ledger
from ..accounting.stats import ENCODERS, Stats
from ..concurrency.one_by_one import one_by_one
from ..concurrency.signals import pass_on
from ..concurrency.turns import turn
from ..errors import Unidentifiable
from ..identity.audio import Audio, NamedAudio
from ..identity.key import Identity, Key
from ..identity.origin import origin_of, with_parts
from ..log import logger
from ..named.library import Library
from ..settings import Settings
from ..tiers.store import Find, VoiceStore
from ..upstream import builtin, guard, slots
from ..upstream.calls import Preparation, Prepared
from ..upstream.context import disabled, doing, done_now, goes_round
from ..upstream.run import is_to_come, run, without_graph
from ..verification import Verifier
from ..voice.snapshot import Snapshot
from .around import Around
from .by_hand import ByHand
from .encodings import Encodings
from .explaining import made_elsewhere, why_no_hit
from .finding import Finder
from .flights import flights_of
from .naming import Naming

if TYPE_CHECKING:
    import torch

    # The key of a call, its emotion_adv, and what memory has under the key.
    Identified = tuple[Key, torch.Tensor, Snapshot | None]


DEBUG = 10  # logging's own number, looked at on every hit
# Why a voice is not kept, this time and the next.
_LASTING = (
    "unexpected conditionals", "conditionals on several devices", "the preparation left the conditionals as they were",
)  # fmt: skip
_ASKED_FOR = ("switched off", "disabled")


class Serving:
    """Serves the calls of one cache with these settings; where it is ``off``, they all go to upstream."""

    def __init__(self, settings: Settings, *, off: bool = False) -> None:
        self.settings, self.off = settings, off
        self.identity, self.stats = Identity(), Stats()
        self.failures = Failures(self.stats, settings.cache_dir)
        self.bypasses = Bypasses(self.stats, self.failures)
        self.ledger = Ledger(settings, self.stats, self.failures)
        library = Library(settings)
        self.store = VoiceStore(settings, self.failures.report, library.tier())
        self.store.on_forgotten = self._forget_all
        self.finder = Finder(self.store, settings, self.bypasses)
        self.flights = flights_of(settings, self.store)
        self.verifier = Verifier(settings, self.store, self.stats, self.failures)
        self.log = logger()
        self.log.info("Voices are kept in memory%s.", f" and in {settings.cache_dir}" if settings.cache_dir else "")
        self.encodings, self.by_hand, self.naming = Encodings(self), ByHand(self), Naming(self, library)
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
            if builtin.is_meant(call.audio):
                builtin.put_back(model, call.family, call.exaggeration)
                prepared = Prepared("the model itself")
            else:
                builtin.keep(model, call.family)
                prepared = self._in_turn(call, refresh)
            prepared.conditionals = slots.held(model, call.family)
            if not is_to_come(prepared.returned):
                guard.remember(prepared.conditionals, call.exaggeration, on_purpose=not by_the_way)
            return prepared

    def known(self, call: Preparation) -> tuple[Key, torch.Tensor, list[Snapshot]] | None:
        """What is kept for this call, in memory and below it; not counted as a hit. None where that can't be known."""
        try:
            key, emotion, in_memory = self._identify(call, refresh=False)
        except Unidentifiable:
            return None
        # Also below it, since the next process will not have memory.
        key, below = self.finder.look(self.store.peek_lower_tiers, key, call.model.device)
        return key, emotion, [snapshot for snapshot in (in_memory, below and below[1]) if snapshot is not None]

    def name_of(self, audio: object) -> str:
        """What a voice goes by: see AudioIndex.name_of. Raises UnknownVoiceError for a name that no voice has."""
        return self.identity.audio.name_of(self.naming.resolved(audio))

    def _forget_all(self, digests: frozenset[str]) -> None:
        self.ledger.forget_all(digests)
        self.naming.forget(digests)

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
        shared = self.settings.stores and not key.uncertain
        with self.flights.flight(key.text, everywhere=shared):
            # The caller that was in flight before may have prepared it.
            if not refresh and (prepared := self._found(find, call, key, emotion, started)) is not None:
                return prepared
            return self._miss(call, key, emotion, refresh)

    def round_the_cache(self, call: Preparation, doubt: Unidentifiable) -> Prepared:
        """Have upstream prepare, because of a ``doubt``, and serve what its encoders are asked for."""
        with doing("prepare", call.model):
            if doubt.reason not in _ASKED_FOR:
                return self.by_encoders(call.audio, doubt, call.upstream)
            self._bypassed(call.audio, doubt)
            return Prepared("round the cache", call.upstream())

    def _bypassed(self, audio: object, doubt: Unidentifiable) -> None:
        self.bypasses.count(doubt)
        self.log.debug("%s: goes round the cache: %s", audio, ": ".join(filter(None, (doubt.reason, doubt.detail))))

    def by_encoders(self, audio: object, doubt: Unidentifiable, upstream: Callable[[], Any]) -> Prepared:
        """Have ``upstream`` prepare, which can't be served as a whole because of a ``doubt``; and count that."""
        around = Around(self._identified(audio), keep_parts=True, waits=False)
        started, returned = time.perf_counter(), None
        try:
            with around.entered():
                returned = without_graph(upstream)
        finally:
            took = time.perf_counter() - started
            if is_to_come(returned):
                pass  # what its encoders are then asked for counts by itself
            elif around.refused or not around.parts:
                self._bypassed(audio, next(iter(around.refused), doubt))
            else:
                self._count(around, took)
                if around.tier is None:
                    self.finder.count_where_kept(around.uncertain)
        return Prepared(around.tier or ("upstream" if around.parts else "round the cache"), returned)

    def _identified(self, audio: object) -> Audio | None:
        try:
            return self.identity.audio.identify(audio)
        except Exception as error:  # whatever it is, it is upstream's affair
            pass_on(error)
            return None

    def _count(self, around: Around, took: float) -> None:
        """A preparation that upstream has run, and whose encoders may all have been served."""
        saved, audio = None, around.audio
        if around.tier is None:
            self.stats.miss()
            self.stats.prepared(took)
        else:
            saved = self.stats.hit(
                around.tier, around.seconds_of_served, sum(part.took for part in around.parts), ENCODERS
            )
            self.log.debug("its encoders' calls were served from %s, the rest took %.2f s", around.tier, took)
        if audio is not None and not self.store.shared.may_not_keep(audio.digest):
            self.ledger.used(audio.digest, audio.path, audio.name, saved)

    def _found(self, find: Find, call: Preparation, key: Key, emotion: torch.Tensor, started: float) -> Prepared | None:
        key, found = self.finder.look(find, key, call.model.device)
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
            elif (
                self.brought
                and (brought := self.brought.get(voice := self.name_of(call.audio))) is not None
                and not self.store.shared.may_not_keep(voice)
                and slots.fits(brought, call.family)
            ):
                return self.identity.of_what_was_brought_in(call), emotion, brought.to(call.model.device)
            key = self.identity.key(call)
            if refresh:
                return key, emotion, None
            if self.finder.exact:
                used, found = self.finder.look(self.store.find_in_memory, key, call.model.device)
                return (used, emotion, found[1]) if found else (key, emotion, None)
            return key, emotion, self.store.from_memory(key.text, call.model.device)
        except Unidentifiable:
            raise
        except Exception as error:
            self.failures.report("identity", error)
            raise Unidentifiable("cache failed") from error

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
            self.log.debug("%s: from %s in %.2f ms%s", call.audio, tier, took, made_elsewhere(snapshot, call.device))
        if type(call.audio) is NamedAudio:
            self.naming.keep_too(key, snapshot)
        if self.verifier.due():
            self.verifier.differences(call, key, snapshot, emotion)
        return Prepared(tier, slots.held(call.model, call.family) if key.gives_conditionals else None)

    def _miss(self, call: Preparation, key: Key, emotion: torch.Tensor, refresh: bool) -> Prepared:
        audio = key.audio
        why = why_no_hit(self.store, key, refresh) if self.log.isEnabledFor(DEBUG) else ""
        # Without what the encoders have made where all is to be made anew.
        around, anew = (
            Around(audio, keep_parts=bool(key.uncertain), waits=True),
            disabled() if refresh else nullcontext(),
        )
        try:
            with around.entered(), anew:
                done = run(call)
        except BaseException:
            self._count(around, 0.0)
            raise
        self._count(around, done.seconds)
        self.log.debug("%s: prepared by upstream in %.2f s, for %s", call.audio, done.seconds, why)
        try:
            seconds = done.seconds + around.seconds_of_served
            snapshot = done.snapshot(emotion, audio.unchanged, seconds, origin_of(call.model, call.family))
            snapshot = replace(snapshot, origin=with_parts(snapshot.origin, around.links(snapshot)))
            self.finder.keep(key, call.model.device, snapshot)
            self.finder.count_where_kept(key.uncertain)
        except Unidentifiable as doubt:
            self._not_kept(call, around, doubt)
        except Exception as error:
            self.failures.report("store", error)
        return Prepared(around.tier or "upstream", done.returned)

    def _not_kept(self, call: Preparation, around: Around, doubt: Unidentifiable) -> None:
        """What its encoders made is kept, where it would be so the next time as well."""
        self.log.debug("%s: not kept: %s", call.audio, doubt.reason)
        if doubt.reason in _LASTING:
            around.keep_all()
        if around.tier is None:
            self.bypasses.count_not_stored(doubt)
