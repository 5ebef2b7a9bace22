"""What a store that machines share can do, besides what every tier can."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol


class Forgotten(NamedTuple):
    """The voices that no machine may keep, by the SHA-256 of their audio; ``state`` tells one such set from another.

    ``lifted``: those that were among them and are not any more. What is in neither, the store never knew, or has lost.
    """

    state: str
    voices: frozenset[str]
    lifted: frozenset[str] = frozenset()


def noted(state: str, notes: Mapping[str, float | str]) -> Forgotten:
    """From when each was forgotten; what is lifted has no such time."""
    voices = frozenset(voice for voice, when in notes.items() if when)
    return Forgotten(state, voices, frozenset(notes) - voices)


class About(NamedTuple):
    """What a server says of itself; None is what it does not tell us.

    ``server``: its name and version. ``clock``: seconds since the epoch. ``limit``: the bytes of memory that it may
    use, 0 for no limit, and ``policy`` what it evicts then; of Valkey and its kin only.
    """

    server: str | None
    clock: float | None
    limit: int | None = None
    policy: str | None = None


class SharedTier(Protocol):
    """A Tier (see tiers.base) with one namespace of a store on other machines; safe from any thread, and in a forked
    child, where connections are made anew.

    Any method may raise whatever its client raises. None of its requests takes longer than the two timeouts together,
    and on the way of a call there is one, but for a set of forgotten voices that has changed.
    """

    name: str

    def open(self) -> None: ...

    def get(self, key: str) -> bytes | None:
        """Raises EntryError, and reads nothing, where the value is larger than any voice."""
        ...

    def contains(self, key: str) -> bool:
        """Whether there is a value under ``key``; it is not read."""
        ...

    def put(self, key: str, value: bytes) -> None: ...

    def delete(self, key: str) -> bool: ...

    def delete_voice(self, prefix: str) -> int: ...

    def clear(self) -> int: ...

    def keys(self, prefix: str = "") -> list[str]: ...

    def __len__(self) -> int: ...

    def nbytes(self) -> int: ...

    def sizes(self) -> dict[str, int]:
        """The bytes of everything that is there, by key."""
        ...

    def close(self) -> None: ...

    def forgotten(self, known: str) -> Forgotten | None:
        """The voices that no machine may keep; None where the set is still that of the state ``known``."""
        ...

    def forgotten_since(self) -> dict[str, float]:
        """The same voices with when they were forgotten, in seconds since the epoch."""
        ...

    def forget(self, voice: str) -> None:
        """No machine may keep this voice from now on."""
        ...

    def note_again(self, voices: Collection[str]) -> None:
        """As ``forget`` each of these, of which the store knows nothing any more; not what was lifted meanwhile."""
        ...

    def lift(self, voice: str) -> bool:
        """Machines may keep this voice again; says whether they might not, as far as the store knew."""
        ...

    def acquire(self, name: str, token: str, seconds: float) -> bool:
        """Take the lease ``name`` for so many seconds, unless another token has it."""
        ...

    def renew(self, name: str, token: str, seconds: float) -> bool:
        """Have it for so many seconds from now on; says whether the token still had it."""
        ...

    def release(self, name: str, token: str) -> None:
        """Let go of it, if the token still has it."""
        ...

    def about(self) -> About:
        """What the server says of itself; what it refuses to say is left out."""
        ...

    def keeps_conditions(self, name: str) -> bool:
        """Whether the server refuses to put what may be put only under a condition, where that does not hold. It is
        tried at the lease ``name``."""
        ...
