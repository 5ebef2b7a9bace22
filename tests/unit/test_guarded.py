"""A tier that fails is answered for, told of, and left alone for a while; nothing that it raises comes through."""

from __future__ import annotations

import pytest

from chatterbox_cached.concurrency.breaker import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS
from chatterbox_cached.errors import EntryError
from chatterbox_cached.tiers.guarded import GuardedTier
from tests.support.chains import chain_of, first

KEY = "v3/voice/rest"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Scripted:
    """A tier that counts its calls and raises what it is told to."""

    name = "scripted"

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.broken: dict[str, Exception] = {}
        self.values: dict[str, bytes] = {}

    def _called(self, what: str) -> None:
        self.calls.append(what)
        error = self.broken.get(what) or self.broken.get("all")
        if error is not None:
            raise error

    def open(self) -> None:
        self._called("open")

    def get(self, key: str) -> bytes | None:
        self._called("get")
        return self.values.get(key)

    def put(self, key: str, value: bytes) -> None:
        self._called("put")
        self.values[key] = value

    def delete(self, key: str) -> bool:
        self._called("delete")
        return self.values.pop(key, None) is not None

    def delete_voice(self, prefix: str) -> int:
        self._called("delete_voice")
        return 0

    def clear(self) -> int:
        self._called("clear")
        return 0

    def keys(self, prefix: str = "") -> list[str]:
        self._called("keys")
        return list(self.values)

    def __len__(self) -> int:
        self._called("len")
        return len(self.values)

    def nbytes(self) -> int:
        self._called("nbytes")
        return 0

    def close(self) -> None:
        self._called("close")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tier() -> Scripted:
    return Scripted()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def guarded(tier: Scripted, told: list[str], clock: Clock) -> GuardedTier:
    return GuardedTier(tier, lambda place, error: told.append(place), clock)


def use(guarded: GuardedTier) -> None:
    """What a miss asks of the tiers."""
    guarded.get(KEY)
    guarded.open()
    guarded.get(KEY)
    guarded.put(KEY, b"value")


def test_a_tier_that_fails_is_asked_once_and_not_once_a_call(
    guarded: GuardedTier, tier: Scripted, told: list[str]
) -> None:
    tier.broken["all"] = OSError("gone")
    for _ in range(100):
        use(guarded)
    assert tier.calls == ["get"]
    assert told == ["scripted get"]


def test_the_pause_grows_to_a_bound_and_each_pause_costs_one_call(
    guarded: GuardedTier, tier: Scripted, clock: Clock
) -> None:
    tier.broken["all"] = OSError("gone")
    use(guarded)
    pauses, last = [], clock.now
    while len(pauses) < 12:
        clock.now += 0.25
        before = len(tier.calls)
        use(guarded)
        if len(tier.calls) > before:
            assert tier.calls[before:] == ["get"]
            pauses.append(clock.now - last)
            last = clock.now
    assert pauses == [min(FIRST_PAUSE_SECONDS * 2**n, LONGEST_PAUSE_SECONDS) for n in range(12)]


def test_it_works_again_by_itself_and_the_next_pause_is_short_again(
    guarded: GuardedTier, tier: Scripted, clock: Clock
) -> None:
    tier.broken["all"] = OSError("gone")
    for _ in range(5):
        use(guarded)
        clock.now += LONGEST_PAUSE_SECONDS
    tier.broken.clear()
    use(guarded)
    assert guarded.get(KEY) == b"value"
    tier.broken["all"] = OSError("gone again")
    use(guarded)
    clock.now += FIRST_PAUSE_SECONDS
    tier.broken.clear()
    assert guarded.get(KEY) == b"value"


def test_a_damaged_entry_is_no_failing_tier(guarded: GuardedTier, tier: Scripted, told: list[str]) -> None:
    tier.broken["get"] = EntryError("damaged")
    for _ in range(3):
        assert guarded.get(KEY) is None
    assert tier.calls == ["get"] * 3
    assert told == ["scripted get"] * 3


def test_a_tier_that_can_not_be_written_still_gives_what_it_has(
    guarded: GuardedTier, tier: Scripted, told: list[str], clock: Clock
) -> None:
    tier.values["v3/there/rest"] = b"kept"
    tier.broken["put"] = OSError("full")
    for _ in range(10):
        use(guarded)
        assert guarded.get("v3/there/rest") == b"kept"
    assert tier.calls.count("put") == 1
    assert told == ["scripted put"]
    tier.broken.clear()
    clock.now += FIRST_PAUSE_SECONDS
    use(guarded)
    assert guarded.get(KEY) == b"value"


def test_opening_a_folder_well_ends_no_pause_and_uses_up_no_trial(
    guarded: GuardedTier, tier: Scripted, clock: Clock
) -> None:
    tier.broken["put"] = OSError("full")
    use(guarded)
    clock.now += FIRST_PAUSE_SECONDS
    guarded.open()
    guarded.open()
    tier.broken.clear()
    guarded.put(KEY, b"value")
    assert tier.values == {KEY: b"value"}


def test_what_a_user_asks_to_drop_is_always_tried(guarded: GuardedTier, tier: Scripted, told: list[str]) -> None:
    tier.broken["all"] = OSError("gone")
    use(guarded)
    tier.calls.clear()
    assert guarded.delete_voice("v3/voice/") == 0
    assert guarded.clear() == 0
    assert tier.calls == ["delete_voice", "clear"]
    assert told == ["scripted get", "scripted delete", "scripted clear"]


def test_looking_at_a_broken_tier_waits_once_and_counts_nothing(
    guarded: GuardedTier, tier: Scripted, told: list[str]
) -> None:
    tier.broken["all"] = OSError("gone")
    for _ in range(5):
        assert (len(guarded), guarded.nbytes()) == (0, 0)
    assert tier.calls == ["len"]
    assert told == []


def test_after_a_repair_it_is_tried_at_once(guarded: GuardedTier, tier: Scripted) -> None:
    tier.broken["all"] = OSError("gone")
    use(guarded)
    tier.broken.clear()
    guarded.try_again()
    use(guarded)
    assert tier.values == {KEY: b"value"}


def test_one_broken_tier_does_not_keep_the_others_from_working(told: list[str], clock: Clock) -> None:
    near, far = Scripted(), Scripted()
    chain = chain_of([near, far], lambda place, error: told.append(place), clock)
    near.broken["all"] = OSError("gone")
    far.values[KEY] = b"value"
    assert [first(chain, KEY) for _ in range(3)] == [("scripted", b"value")] * 3
    assert (near.calls, far.calls) == (["get"], ["get"] * 3)
