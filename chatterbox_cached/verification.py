"""Cached voices compared with what upstream makes of the same audio now: a share of all hits, or those asked for."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .accounting.failures import Failures
from .accounting.stats import Stats
from .concurrency.turns import turn
from .errors import Unidentifiable, UnknownVoiceError
from .identity.key import Key
from .identity.origin import elsewhere, origin_of, setup_of
from .settings import Settings
from .tiers.store import VoiceStore
from .upstream import slots
from .upstream.calls import Preparation, unproxied
from .upstream.context import disabled
from .upstream.encodings import EncodingCall
from .upstream.families import Family, family_of, overrides
from .upstream.run import run, without_graph
from .voice.snapshot import Snapshot, differing

if TYPE_CHECKING:
    import torch

# What a cache has for one call: key, emotion_adv, and a snapshot from memory and from below it.
Known = Callable[[Preparation], "tuple[Key, torch.Tensor, list[Snapshot]] | None"]
# A model, its family, audio and an exaggeration to the call that prepares it.
Asked = Callable[[Any, Family, object, Any], Preparation]


@dataclass(frozen=True)
class Verification:
    """What came of a comparison, by the voices as they were given.

    ``same``: bit for bit. ``different``: with the fields that differ; upstream's have taken their place in the cache.
    ``not_compared``: nothing is cached of them, or they can't be compared. ``elsewhere``: in what the set-up differs,
    of those that were made on another one; that alone can make the last bits differ.
    """

    same: tuple[str, ...]
    different: Mapping[str, tuple[str, ...]]
    not_compared: tuple[str, ...]
    elsewhere: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return not self.different


class Verifier:
    """Prepares again what a hit gave, and reports the first difference in each voice.

    Every so many hits in turn, not by chance: no random numbers are drawn, so seeded scripts stay as they are. The
    first such hit is another one in each process, or processes with few hits would never compare.
    """

    def __init__(self, settings: Settings, store: VoiceStore, stats: Stats, failures: Failures) -> None:
        self._every = round(1 / settings.verify) if settings.verify else 0
        self._process, self._hits = 0, itertools.count()
        self._store, self._stats, self._failures = store, stats, failures
        self._durable = settings.stores

    def due(self) -> bool:
        """Whether the hit that calls this is one of those to be compared."""
        if not self._every:
            return False
        if self._process != os.getpid():  # also a forked child, whose parent may have counted for long
            self._process = os.getpid()
            self._hits = itertools.count(hash((self._process, time.time_ns(), id(self))))
        return next(self._hits) % self._every == 0

    def differences(
        self, call: Preparation, key: Key, snapshot: Snapshot, emotion: torch.Tensor, *more: Snapshot
    ) -> tuple[str, ...] | None:
        """The fields that upstream makes otherwise now, in any of the snapshots; None where that can't be found out.

        Leaves upstream's conditionals on the model, or what was there where upstream fails. An entry that differs is
        replaced.
        """
        if key.maker is None:
            return None  # the user vouches for this voice, and its audio need not be here
        before = slots.held(call.model, call.family)
        try:
            with disabled():  # the encoders too are to run
                done = run(call)
            fresh = done.snapshot(emotion, key.audio.unchanged, done.seconds, origin_of(call.model, call.family))
            found = [differing(kept, fresh) for kept in (snapshot, *more)]
            fields = tuple(dict.fromkeys(itertools.chain(*found)))
            if fields:
                apart = elsewhere(snapshot.origin, setup_of(call.device))
                self._replace(call.audio, call.device, key, fresh, fields, apart)
            return fields
        except Unidentifiable:
            return None  # upstream's conditionals are there, and they are the caller's
        except UnknownVoiceError:  # it has no recording, so there is nothing to compare it with
            slots.hold(call.model, call.family, before)
            return None
        except Exception as error:
            slots.hold(call.model, call.family, before)
            self._failures.report("verification", error)
            return None

    def compare_encoding(self, call: EncodingCall, key: Key, kept: Snapshot, device: Any) -> None:
        """The same for what an encoder gave; an entry that differs is replaced."""
        try:
            with disabled():
                made = call.family.results.taken(without_graph(call.upstream))
            fresh = replace(kept, parts=made, origin=origin_of(call.model, call.family))
            if fields := differing(kept, fresh):
                audio, apart = key.audio.name or "a waveform", elsewhere(kept.origin, setup_of(call.device))
                self._replace(audio, device, key, fresh, fields, apart)
        except Unidentifiable:
            return
        except Exception as error:
            self._failures.report("verification", error)

    def compare(self, model: Any, audio_paths: Iterable[Any], known: Known, asked: Asked) -> Verification:
        """Compare all that is ``known`` of these voices; ``model.conds`` is afterwards what it was before."""
        model = unproxied(model)
        same, different, not_compared = list[str](), dict[str, tuple[str, ...]](), list[str]()
        made = dict[str, tuple[str, ...]]()
        for audio in audio_paths:
            fields, apart = self._compared(model, audio, known, asked)
            if apart:
                made[str(audio)] = apart
            if fields:
                different[str(audio)] = fields
            else:
                (not_compared if fields is None else same).append(str(audio))
        return Verification(tuple(same), different, tuple(not_compared), made)

    def _compared(
        self, model: Any, audio: object, known: Known, asked: Asked
    ) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
        """The fields that differ, as ``differences`` gives them, and in what the set-up does."""
        family = family_of(model)
        if family is None or overrides(model, family.prepare, family):
            return None, ()
        try:
            call = asked(model, family, audio, 0.5)
        except Unidentifiable:
            return None, ()
        with (its := turn(model)).lock:
            its.let_finish()
            before = slots.held(model, family)
            try:
                if (found := known(call)) is None or not found[2]:
                    return None, ()
                key, emotion, kept = found
                fields = self.differences(call, key, kept[0], emotion, *kept[1:])
                return fields, elsewhere(kept[-1].origin, setup_of(model.device))
            finally:
                slots.hold(model, family, before)

    def _replace(
        self, audio: object, device: Any, key: Key, fresh: Snapshot, fields: tuple[str, ...], apart: tuple[str, ...]
    ) -> None:
        self._stats.error("verify")
        self._failures.warn_once(
            f"verify {key.text}",
            f"The cached voice of {audio} is not what upstream makes of it now: {', '.join(fields)} differ."
            " Upstream's was used and has taken its place. "
            + (f"It was made elsewhere ({'; '.join(apart)}). " if apart else "")
            + "Kinds of CPU or GPU and numbers of threads make small differences; otherwise the entry was changed.",
        )
        durable = self._durable and not key.uncertain
        if not durable:
            self._store.lower.delete(key.text)
        self._store.keep(key.text, device, fresh, durable=durable, made_by=key.made_by)
