"""One call of an encoder served, whatever program makes it: for preparations that must run themselves.

The program's own code loads the audio, calls the encoders, and does with their results what it likes. Where it is known
which preparation that is, the preparation is counted and not its single calls.
"""

from __future__ import annotations

import inspect
import time
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from ..accounting.stats import ENCODERS
from ..errors import Unidentifiable
from ..identity.key import Key, still_of
from ..identity.origin import origin_of
from ..tiers.store import Find
from ..upstream.context import doing, goes_round, is_doing
from ..upstream.encodings import Encoding, EncodingCall, encoding_call
from ..upstream.families import class_of
from ..upstream.run import without_graph
from ..voice.snapshot import Snapshot
from .around import Part, around_now

if TYPE_CHECKING:
    from .voices import Serving

_ENCODE = "encode"


class Encodings:
    """Serves the calls of the encoders for one cache."""

    def __init__(self, serving: Serving) -> None:
        self._cache = serving
        self._named = weakref.WeakSet[type]()

    def serve(
        self,
        model: Any,
        encoding: Encoding,
        function: Callable[..., Any],
        signature: inspect.Signature | None,
        upstream: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """What ``upstream(*args, **kwargs)`` returns, the method ``function`` of ``model``, or a like of it.

        Raises upstream's own errors, unchanged, and none of the cache's.
        """
        if self._cache.off or goes_round() or is_doing(_ENCODE, None):  # the last is upstream's own work on a miss
            return upstream(*args, **kwargs)
        started = time.perf_counter()
        try:
            call = encoding_call(model, encoding, function, signature, upstream, args, kwargs)
            if call is None:
                return upstream(*args, **kwargs)
            key = self._identify(call)
        except Unidentifiable as doubt:
            self._refused(doubt)
            with doing(_ENCODE, None):  # and with its graph: whoever trains an encoder needs that
                return upstream(*args, **kwargs)
        return self._served(call, key, started)

    def _identify(self, call: EncodingCall) -> Key:
        around = around_now()
        try:
            return self._cache.identity.key_of_encoding(call, around.audio if around else None)
        except Unidentifiable:
            raise
        except Exception as error:
            self._cache.failures.report("identity", error)
            raise Unidentifiable("cache failed") from error

    def _served(self, call: EncodingCall, key: Key, started: float) -> Any:
        store, around = self._cache.store, around_now()
        from_memory, find = store.find_in_memory, store.find_in_memory if key.uncertain else store.find
        # Memory first, without waiting for anyone. Whoever waits for a voice as a whole already has its turn.
        if (part := self._found(from_memory, call, key, started)) is not None:
            return self._given(part, call, key)
        if around is not None and around.waits:
            return self._found_or_made(find, call, key, started)
        if not key.uncertain and (part := self._found(store.from_lower_tiers, call, key, started)) is not None:
            return self._given(part, call, key)
        with self._cache.flights.flight(key.text, everywhere=self._cache.settings.stores and not key.uncertain):
            return self._found_or_made(find, call, key, started)

    def _found_or_made(self, find: Find, call: EncodingCall, key: Key, started: float) -> Any:
        part = self._found(find, call, key, started) or self._within_a_voice(call, key, started)
        return self._given(part, call, key) if part is not None else self._made(call, key)

    def _found(self, find: Find, call: EncodingCall, key: Key, started: float) -> Part | None:
        key, found = self._cache.finder.look(find, key, self._kept_on(call))
        return None if found is None else self._part(call, key, found[1], found[0], started)

    def _within_a_voice(self, call: EncodingCall, key: Key, started: float) -> Part | None:
        """Found in what is kept of the same audio as a whole, perhaps by another class."""
        found = None
        around = around_now()
        if around is not None and around.audio is not None and not key.uncertain:
            found = self._cache.finder.part(call.family.name, key, self._kept_on(call))
        return None if found is None else self._part(call, key, found[1], found[0], started)

    def _kept_on(self, call: EncodingCall) -> Any:
        return call.family.results.device or call.device

    def _part(self, call: EncodingCall, key: Key, snapshot: Snapshot, tier: str | None, started: float) -> Part:
        keep, took = partial(self._keep, call, key, snapshot), time.perf_counter() - started
        return Part(call.family.name, _maker_of(key), snapshot, tier, took, key.uncertain, keep)

    def _given(self, part: Part, call: EncodingCall, key: Key) -> Any:
        try:
            given = call.family.results.given(part.snapshot)
        except Exception as error:
            self._cache.failures.report("hit", error)
            return self._made(call, key)
        if self._cache.verifier.due():
            self._cache.verifier.compare_encoding(call, key, part.snapshot, self._kept_on(call))
        self._count(part, key)
        self._name(call)
        return given

    def _made(self, call: EncodingCall, key: Key) -> Any:
        started = time.perf_counter()
        with doing(_ENCODE, None):
            result = without_graph(call.upstream)
        seconds = time.perf_counter() - started
        try:
            snapshot = Snapshot(call.family.results.taken(result), seconds, origin_of(call.model, call.family))
            if snapshot.flaw() is not None:
                raise Unidentifiable("unexpected result")
            if not still_of(key, call):
                raise Unidentifiable("audio changed during the preparation")
            part = self._part(call, key, snapshot, None, started)
            if (around := around_now()) is None or around.keep_parts:  # else it is kept as a part of the voice
                part.keep()
        except Unidentifiable as doubt:
            self._not_kept(doubt, seconds)
        except Exception as error:
            self._cache.failures.report("store", error)
        else:
            self._count(part, key)
            self._name(call)
        return result

    def _keep(self, call: EncodingCall, key: Key, snapshot: Snapshot) -> None:
        self._cache.finder.keep(key, self._kept_on(call), snapshot)

    def _count(self, part: Part, key: Key) -> None:
        if (around := around_now()) is not None:
            around.parts.append(part)
            return
        stats, saved, audio = self._cache.stats, None, key.audio
        if part.tier is None:
            stats.miss()
            stats.prepared(part.took)
            self._cache.finder.count_where_kept(part.uncertain)
        else:
            saved = stats.hit(part.tier, part.snapshot.prepare_seconds, part.took, ENCODERS)
        if not self._cache.store.shared.may_not_keep(audio.digest):
            self._cache.ledger.used(audio.digest, audio.path, audio.name, saved)

    def _name(self, call: EncodingCall) -> None:
        """Have the statistics name an encoder that a program calls itself, outside of a known preparation."""
        kind = class_of(call.model, call.family)
        if around_now() is None and kind not in self._named:
            self._named.add(kind)
            self._cache.stats.found_class(f"{kind.__module__}.{kind.__qualname__}", ENCODERS)

    def _not_kept(self, doubt: Unidentifiable, seconds: float) -> None:
        if (around := around_now()) is not None:
            around.refused.append(doubt)
            return
        self._cache.stats.miss()
        self._cache.stats.prepared(seconds)
        self._cache.bypasses.count_not_stored(doubt)

    def _refused(self, doubt: Unidentifiable) -> None:
        if (around := around_now()) is not None:
            around.refused.append(doubt)
        else:
            self._cache.bypasses.count(doubt)


def _maker_of(key: Key) -> str:
    assert key.maker is not None, "of an encoding"
    return key.maker.digest
