"""All stores that machines share, of one cache: what is done to every one of them by hand, and to the nearest."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from ..errors import SharedStoreError, in_short
from ..settings import Settings
from ..voice.key_format import voice_prefix
from .guarded import Failed
from .shared.stores import names_at, store_at
from .shared_names import NamesTier
from .sharing import SharingTier

_Result = TypeVar("_Result")


class Fleet:
    """Those of these settings, nearest first. ``forgot`` is told of voices that no machine may keep.

    What is done by hand raises SharedStoreError where it fails in one of them, after it was tried in all.
    """

    def __init__(self, settings: Settings, failed: Failed, forgot: Callable[[frozenset[str]], None]) -> None:
        self.tiers = [
            SharingTier(
                store_at(address, settings.namespace, settings.connect_seconds, settings.operation_seconds),
                failed,
                writes=settings.shared_mode != "read" and not settings.only_checks,
                forgot=forgot,
            )
            for address in settings.shared
        ]
        self.names = {
            tier: NamesTier(
                names_at(address, settings.namespace, settings.connect_seconds, settings.operation_seconds),
                tier,
                failed,
            )
            for address, tier in zip(settings.shared, self.tiers, strict=True)
        }

    def __bool__(self) -> bool:
        return bool(self.tiers)

    def may_not_keep(self, voice: str) -> bool:
        """Whether the audio with this digest is of a voice that no machine may keep."""
        return any(tier.has_forgotten(voice) for tier in self.tiers)

    def reach(self) -> None:
        """Raises SharedStoreError where a store can't be reached."""
        self._each(lambda tier: tier.shared.forgotten(""), "Nothing can be found or kept")

    def forget(self, voice: str) -> int:
        """Drop all that was made of the voice with this digest, which no machine may keep from now on; says how many
        entries it was."""

        prefix = voice_prefix(voice)
        for tier in self.tiers:
            tier.writer.drop_voice(prefix)  # whatever comes of the rest

        def forget(tier: SharingTier) -> int:
            tier.forget(voice)  # first, lest another machine stores it again meanwhile
            self.names[tier].forget(voice)
            return tier.delete_voice(prefix)

        return max(self._each(forget, "The voice was not forgotten, and other machines may still have it,"), default=0)

    def lift(self, voice: str) -> bool:
        """Let machines keep the voice with this digest again; says whether they might not."""
        return any(self._each(lambda tier: tier.lift(voice), "The voice may still not be kept"))

    def offer(self, key: str, value: bytes) -> None:
        """Have an entry put that this machine has on its disk, where it is missing; see SharingTier."""
        for tier in self.tiers:
            tier.offer(key, value)

    def clear(self) -> int:
        """Drop every voice of this namespace, and every name; says how many entries. What is forgotten stays so."""

        def clear(tier: SharingTier) -> int:
            self.names[tier].tier.clear()
            return tier.shared.clear()

        return sum(self._each(clear, "Voices were not dropped"))

    def sizes(self) -> dict[str, dict[str, int]]:
        """By store, the bytes of every entry there, by key."""
        return dict(self._each(lambda tier: (tier.name, tier.shared.sizes()), "Voices were not listed"))

    def forgotten(self) -> dict[str, dict[str, float]]:
        """By store, the voices that no machine may keep, with when they were forgotten, in seconds since the epoch."""
        what = "What is forgotten was not listed"
        return dict(self._each(lambda tier: (tier.name, tier.shared.forgotten_since()), what))

    def close(self) -> None:
        """Let go of connections."""
        for tier in self.tiers:
            tier.close()  # and write what waits, names among it
            self.names[tier].close()

    def figures(self) -> dict[str, dict[str, Any]]:
        """By store, what is not counted as a hit or an error: what waits to be put there, and what never was."""
        return {
            tier.name: {
                "mode": "read-write" if tier.writes else "read",
                "waiting": len(tier.writer),
                "dropped": tier.writer.dropped,
            }
            for tier in self.tiers
        }

    def lease(self, key: str, deadline: float) -> AbstractContextManager[None]:
        """Be the only one of all machines at ``key``; see SharingTier. The nearest store that is written to decides."""
        nearest = next((tier for tier in self.tiers if tier.writes), None)
        return nullcontext() if nearest is None else nearest.lease(key, deadline)

    def _each(self, act: Callable[[SharingTier], _Result], what: str) -> list[_Result]:
        tried = [_tried(act, tier) for tier in self.tiers]
        if failed := [
            f"{tier.name} ({in_short(error)})" for tier, (_, error) in zip(self.tiers, tried, strict=True) if error
        ]:
            raise SharedStoreError(f"{what} in {' and '.join(failed)}. Try again when it can be reached.")
        return [result for results, _ in tried for result in results]


def _tried(act: Callable[[SharingTier], _Result], tier: SharingTier) -> tuple[list[_Result], Exception | None]:
    try:
        return [act(tier)], None
    except Exception as error:
        return [], error
