"""What a cache folder was good for: seconds saved, hits, why calls were none, what would help, and the set-up.

What all programs did that used the folder, as they wrote it down; nothing is made and nothing is changed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..accounting import account
from ..accounting.account import VoiceAccount
from ..accounting.bypasses import advice_for
from ..accounting.days import DayAccount
from ..errors import VoiceLibraryError
from ..named.library import Library
from ..settings import Settings, folder_of, source_of, switched_off, variable_of
from . import tier_states, voices
from .tier_states import TierState

MISS, NOT_KEPT, BYPASS = "miss", "miss, not kept", "bypass"
_FIRST_TIME = "nothing was kept of it yet"
_WARM = "`chatterbox-cached warm` prepares voices before they are needed."


@dataclass(frozen=True)
class VoiceSavings:
    """One voice: ``name`` is the one that it was given, or else that of its file, or else the beginning of its digest.

    ``last_used``: seconds since the epoch. ``duration``: seconds of audio, None where that is not known.
    """

    digest: str
    name: str
    hits: int
    saved_seconds: float
    last_used: float
    duration: float | None


@dataclass(frozen=True)
class NoHit:
    """Calls that were no hits: ``kind`` is MISS, NOT_KEPT or BYPASS. ``advice``: what would help, "" for nothing."""

    kind: str
    reason: str
    calls: int
    advice: str


@dataclass(frozen=True)
class SettingInForce:
    """``value`` as it may be shown, without secrets. ``source``: KEYWORD, ENVIRONMENT or DEFAULT (of ``settings``)."""

    name: str
    value: str
    source: str
    variable: str


@dataclass(frozen=True)
class Savings:
    """``looked_at`` and ``since``, when the first event was counted, are seconds of the epoch; ``since`` may be None.

    ``hits``, ``misses`` and ``bypasses`` are calls. ``prepare_seconds`` is what upstream took for the misses, and
    ``saved_seconds`` what the hits saved, less what they took. ``days``: the oldest first. ``voices``: those first that
    saved most; forgotten ones are not among them. ``hits_by_tier``: by "memory", "disk" and the addresses of stores.
    ``no_hits``: the most frequent first. ``errors``: failures of the cache itself, by place. ``tiers``: nearest first.
    """

    looked_at: float
    cache_dir: str
    since: float | None
    saved_seconds: float
    prepare_seconds: float
    hits: int
    misses: int
    bypasses: int
    days: tuple[DayAccount, ...]
    voices: tuple[VoiceSavings, ...]
    hits_by_tier: Mapping[str, int]
    no_hits: tuple[NoHit, ...]
    errors: Mapping[str, int]
    tiers: tuple[TierState, ...]
    settings: tuple[SettingInForce, ...]
    switched_off: bool

    def figures(self) -> dict[str, Any]:
        """The same for a program to read."""
        return asdict(self)


def read(settings: Settings, tell: Callable[[str], None], keywords: Collection[str] = ()) -> Savings:
    """The savings in the cache folder of these settings, which were resolved with these ``keywords``.

    ``tell`` is told in a sentence of what was passed over. Raises ChatterboxCachedError where the account can't be
    read, and as ``voices.opened`` does. Shared stores are asked, so one that can't be reached costs its timeouts.
    """
    counted = account.read(folder_of(settings), trusted=settings.trust_cache_dir)
    named = Library(settings)
    names = _names(named)
    with voices.opened(settings, tell) as folder:
        tiers = tuple(tier_states.look(folder, named))
    totals, by_tier = counted.totals, _hits_by_tier(counted.totals)
    return Savings(
        looked_at=time.time(),
        cache_dir=str(folder.root),
        since=counted.since,
        saved_seconds=float(totals["saved_seconds"]),
        prepare_seconds=float(totals["prepare_seconds"]),
        hits=sum(by_tier.values()),
        misses=int(totals["misses"]),
        bypasses=sum(_counts(totals, "bypasses").values()),
        days=counted.days,
        voices=_by_voice(counted.voices.values(), names),
        hits_by_tier=by_tier,
        no_hits=tuple(sorted(_no_hits(totals), key=lambda each: -each.calls)),
        errors=_counts(totals, "errors"),
        tiers=tiers,
        settings=tuple(in_force(settings, keywords)),
        switched_off=switched_off(),
    )


def in_force(settings: Settings, keywords: Collection[str]) -> list[SettingInForce]:
    """Every setting with where it came from; secrets are not shown."""
    shown = settings.without_secrets()
    values = {name: _said(shown[name]) if name in shown else _hidden(keys) for name, keys in settings._asdict().items()}
    return [SettingInForce(name, said, source_of(name, keywords), variable_of(name)) for name, said in values.items()]


def _hidden(keys: tuple[bytes, ...]) -> str:
    return f"{len(keys)} of them, not shown" if keys else "none"


def _said(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _counts(totals: Mapping[str, Any], name: str) -> dict[str, int]:
    return {reason: int(n) for reason, n in totals[name].items()}


def _hits_by_tier(totals: Mapping[str, Any]) -> dict[str, int]:
    near = {tier: int(totals[f"{tier}_hits"]) for tier in ("memory", "disk")}
    return {**near, **_counts(totals, "shared_hits_in")}


def _names(named: Library) -> dict[str, str]:
    """What voices are called that were given names, by digest; none where that can't be read, which the tiers say."""
    with contextlib.suppress(VoiceLibraryError):
        return {voice.digest: voice.name for voice in reversed(named.names().voices)}
    return {}


def _by_voice(known: Iterable[VoiceAccount], names: Mapping[str, str]) -> tuple[VoiceSavings, ...]:
    found = [
        VoiceSavings(
            digest=each.digest,
            name=names.get(each.digest) or voices.label(each.digest, each),
            hits=each.hits,
            saved_seconds=each.saved_seconds,
            last_used=each.last_used,
            duration=each.duration,
        )
        for each in known
    ]
    return tuple(sorted(found, key=lambda each: -each.saved_seconds))


def _no_hits(totals: Mapping[str, Any]) -> list[NoHit]:
    not_kept = _counts(totals, "not_stored")
    first = int(totals["misses"]) - sum(not_kept.values())
    found = [NoHit(MISS, _FIRST_TIME, first, _WARM)] if first > 0 else []
    for kind, counts in ((NOT_KEPT, not_kept), (BYPASS, _counts(totals, "bypasses"))):
        found += [NoHit(kind, voices.plain(reason), calls, advice_for(reason)) for reason, calls in counts.items()]
    return found
