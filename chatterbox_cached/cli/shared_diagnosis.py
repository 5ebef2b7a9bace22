"""Whether the stores that machines share are in order, and what to do where one is not."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import in_short
from ..figures import size, span
from ..library.tier_states import to_reach
from ..settings import Settings, variable_of
from ..tiers.shared.inspection import CONDITION, Inspection, inspected
from ..tiers.shared.protocol import About
from ..tiers.shared.stores import store_at
from .diagnosis import Finding

_IN_STEP_SECONDS = 2.0  # S3 tells its time in whole seconds
_TOO_FAR_SECONDS = 300.0  # S3 refuses what was signed 15 minutes from its own time
_TENANTS = 'docs/fleet.md has under "Tenants" what a user must be allowed to do'


def diagnose_shared(settings: Settings) -> Iterator[Finding]:
    """Look at each store, nearest first; one that can't be reached costs its timeouts. "its" is the store before."""
    if settings.shared:
        yield _signatures(settings)
    writes = settings.shared_mode != "read" and not settings.only_checks
    for address in settings.shared:
        tier = store_at(address, settings.namespace, settings.connect_seconds, settings.operation_seconds)
        try:
            found = inspected(tier, writes=writes)
        except Exception as error:  # whatever its client raises
            yield Finding("shared store", f"{tier.name}: {in_short(error)}", to_reach(tier.name))
            continue
        finally:
            tier.close()
        yield from _findings(tier.name, settings.namespace, found, writes)


def _signatures(settings: Settings) -> Finding:
    if not settings.keyring.trusted:
        return Finding("shared entries", "are not signed: all that is in the stores is believed")
    if settings.only_checks:
        return Finding("shared entries", "must be signed; none is put there, since there is no key to sign with")
    return Finding("shared entries", "must be signed, and are signed here")


def _findings(name: str, namespace: str, found: Inspection, writes: bool) -> Iterator[Finding]:
    trip = "" if found.round_trip is None else f", round trip {found.round_trip * 1000:.2f} ms"
    yield Finding("shared store", f"{name}, namespace {namespace}: {found.about.server or 'a server'}{trip}")
    yield from _eviction(found.about)
    if found.ahead is not None:
        yield _clock(name, found.ahead)
    yield _permissions(name, found.tried, writes)
    if CONDITION in found.tried:
        yield _conditions(name, found.tried[CONDITION])


def _eviction(about: About) -> Iterator[Finding]:
    if about.policy is not None:
        limit = f"{about.policy} at {size(about.limit)}" if about.limit else f"{about.policy}, and no limit"
        yield Finding("its eviction", f"{limit}: {_meaning(about.policy, about.limit)}")


def _meaning(policy: str, limit: int | None) -> str:
    if not limit:
        return "nothing is ever evicted"
    if policy == "noeviction":
        return "a server that is full takes nothing more; volatile-lru would have it drop voices that are not used"
    if policy.startswith("allkeys"):
        return "may evict what is noted of forgotten voices, too; volatile-lru evicts voices alone"
    return "evicts voices, and nothing that must stay"


def _clock(name: str, ahead: float) -> Finding:
    if abs(ahead) < _IN_STEP_SECONDS:
        return Finding("its clock", "in step with ours")
    advice = f"Set the clock of this machine or of {name}." if abs(ahead) > _TOO_FAR_SECONDS else ""
    return Finding("its clock", f"{span(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} ours", advice)


def _permissions(name: str, tried: dict[str, Exception | None], writes: bool) -> Finding:
    may = [what for what, error in tried.items() if error is None and what != CONDITION]
    refused = {what: error for what, error in tried.items() if error is not None and what != CONDITION}
    only_read = "" if writes else "; nothing is put there, by the settings"
    found = "; ".join(
        [
            *([f"may {', '.join(may)}{only_read}"] if may else []),
            *(f"can't {what} ({in_short(error)})" for what, error in refused.items()),
        ]
    )
    return Finding("its permissions", found, _advice(name, refused))


def _advice(name: str, refused: dict[str, Exception]) -> str:
    if not refused:
        return ""
    if "read" in refused:
        return f"See whether the user or the credentials for {name} are right; {_TENANTS}."
    return (
        f"See whether {name} is full or read-only, or this user may not write; {_TENANTS}. On a machine that is only to"
        f" read: {variable_of('shared_mode')}=read."
    )


def _conditions(name: str, error: Exception | None) -> Finding:
    if error is None:
        return Finding("its conditional puts", "refused where they should be")
    return Finding(
        "its conditional puts",
        in_short(error),
        f"{name} does not keep to the conditions of puts, so leases and forgetting are not safe there: machines may"
        " prepare one voice several times, and what one machine forgets may be lost to another's. Use another store.",
    )
