"""What every tier promises. A new tier joins by adding itself to TIERS, or, where its server bounds it, to SHARED."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from benchmarks.servers import Server
from chatterbox_cached.tiers.base import Tier
from chatterbox_cached.tiers.disk.either import FolderTier
from chatterbox_cached.tiers.disk.tier import DiskTier
from chatterbox_cached.tiers.memory import MemoryTier
from chatterbox_cached.tiers.shared.stores import store_at

Make = Callable[[Path, int], Tier[bytes]]

ROOMY = 10**8
# What a tier may use for itself, besides the values.
OVERHEAD = 200_000

# Each makes a tier that holds `limit` bytes and keeps what it must below `root`.
TIERS: dict[str, Make] = {
    "memory": lambda root, limit: MemoryTier(10_000, limit, size_of=len),
    "disk": lambda root, limit: DiskTier(root / "voices", limit),
    "folder": lambda root, limit: FolderTier(root / "voices", limit),
}
SHARED = ("valkey", "s3")
SECONDS = 30.0  # what is promised is looked at on busy machines, too


@pytest.fixture(params=[*TIERS, *SHARED])
def make(request: pytest.FixtureRequest) -> Make:
    if request.param in TIERS:
        return TIERS[request.param]
    server: Server = request.getfixturevalue(request.param)
    return lambda root, _: store_at(server.url, f"{abs(hash(root))}", SECONDS, SECONDS)


@pytest.fixture(params=TIERS.values(), ids=TIERS.keys())
def make_bounded(request: pytest.FixtureRequest) -> Make:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def tier(make: Make, tmp_path: Path) -> Iterator[Tier[bytes]]:
    made = make(tmp_path, ROOMY)
    yield made
    made.close()


def key(voice: object, rest: object = "rest") -> str:
    return f"v3/{voice}/{rest}"


def prefix(voice: object) -> str:
    return f"v3/{voice}/"


def test_it_has_a_name(tier: Tier[bytes]) -> None:
    assert tier.name in TIERS or "://" in tier.name


@pytest.mark.parametrize("size", [0, 1, 1000, 100_000, 2_000_000])
def test_a_value_comes_back_as_it_was(tier: Tier[bytes], size: int) -> None:
    value = random.Random(size).randbytes(size)
    tier.put(key("anna"), value)
    got = tier.get(key("anna"))
    assert type(got) is bytes
    assert got == value
    assert tier.get(key("anna")) == value


def test_a_missing_key_is_none(tier: Tier[bytes]) -> None:
    assert tier.get(key("anna")) is None
    tier.put(key("anna"), b"value")
    for other in (key("bob"), key("anna", "other"), prefix("anna"), "", key("anna").upper()):
        assert tier.get(other) is None


def test_a_second_put_replaces(tier: Tier[bytes]) -> None:
    for value in (b"one", b"two" * 100, b""):
        tier.put(key("anna"), value)
        assert tier.get(key("anna")) == value
        assert len(tier) == 1


def test_what_was_replaced_takes_no_room(tier: Tier[bytes]) -> None:
    for number in range(30):
        tier.put(key("anna"), bytes([number]) * 100_000)
    assert tier.nbytes() < 100_000 + OVERHEAD


def test_delete_drops_one_and_says_whether_it_was_there(tier: Tier[bytes]) -> None:
    tier.put(key("anna"), b"one")
    tier.put(key("anna", "other"), b"two")
    assert tier.delete(key("anna")) is True
    assert tier.delete(key("anna")) is False
    assert tier.get(key("anna")) is None
    assert tier.get(key("anna", "other")) == b"two"


def test_delete_voice_drops_all_of_one_voice_and_says_how_many(tier: Tier[bytes]) -> None:
    for voice in ("anna", "anna2", "ann", "bob"):
        for rest in range(3):
            tier.put(key(voice, rest), b"value")
    assert tier.delete_voice(prefix("anna")) == 3
    assert tier.delete_voice(prefix("anna")) == 0
    assert tier.delete_voice(prefix("carol")) == 0
    assert sorted(tier.keys()) == sorted(key(voice, rest) for voice in ("anna2", "ann", "bob") for rest in range(3))


def test_delete_voice_drops_more_than_a_batch(tier: Tier[bytes]) -> None:
    for rest in range(250):
        tier.put(key("anna", rest), b"value")
    assert tier.delete_voice(prefix("anna")) == 250
    assert len(tier) == 0


def test_clear_drops_all_and_says_how_many(tier: Tier[bytes]) -> None:
    for voice in range(5):
        tier.put(key(voice), b"value" * 1000)
    assert tier.clear() == 5
    assert tier.clear() == 0
    assert (len(tier), tier.keys(), tier.get(key(0))) == (0, [], None)
    assert tier.nbytes() < OVERHEAD


def test_after_clear_it_takes_values_again(tier: Tier[bytes]) -> None:
    tier.put(key("anna"), b"one")
    tier.clear()
    tier.put(key("anna"), b"two")
    assert tier.get(key("anna")) == b"two"


def test_keys_are_those_with_the_prefix(tier: Tier[bytes]) -> None:
    added = {key("bob"), key("anna", 2), key("anna", 1), key("annabel")}
    for name in added:
        tier.put(name, b"value")
    assert sorted(tier.keys()) == sorted(added)
    assert sorted(tier.keys(prefix("anna"))) == [key("anna", 1), key("anna", 2)]
    assert tier.keys("nothing") == []


@pytest.mark.parametrize(
    "odd", ["%", "_", "'", '"', "*", "?", "[a]", "\\", "ü\N{PILE OF POO}", "a b", "../..", "a" * 700]
)
def test_a_key_may_be_any_text(tier: Tier[bytes], odd: str) -> None:
    tier.put(key("anna"), b"other")
    tier.put(key(odd), b"value")
    assert tier.get(key(odd)) == b"value"
    assert tier.keys(prefix(odd)) == [key(odd)]
    assert tier.delete_voice(prefix(odd)) == 1
    assert tier.keys() == [key("anna")]


def test_its_size_is_that_of_its_values(tier: Tier[bytes]) -> None:
    empty = tier.nbytes()
    for voice in range(4):
        tier.put(key(voice), bytes(100_000))
    assert 400_000 <= tier.nbytes() - empty < 400_000 + OVERHEAD
    tier.delete(key(0))
    assert 300_000 <= tier.nbytes() - empty < 300_000 + OVERHEAD


def test_after_close_the_next_call_opens_it_again(tier: Tier[bytes]) -> None:
    tier.close()
    tier.put(key("anna"), b"value")
    tier.close()
    tier.close()
    assert tier.get(key("anna")) == b"value"


LIMIT = 1_000_000
ENTRY = 60_000


def test_it_stays_within_its_bound_and_the_oldest_go_first(make_bounded: Make, tmp_path: Path) -> None:
    tier = make_bounded(tmp_path, LIMIT)
    for number in range(50):
        tier.put(key(number), bytes(ENTRY))
        assert tier.nbytes() <= LIMIT + ENTRY + OVERHEAD
    kept = tier.keys()
    assert set(kept) == {key(number) for number in range(50 - len(kept), 50)}
    tier.close()


def test_what_was_stored_again_is_no_longer_the_oldest(make_bounded: Make, tmp_path: Path) -> None:
    tier = make_bounded(tmp_path, LIMIT)
    for number in range(50):
        tier.put(key(number), bytes(ENTRY))
        tier.put(key("anna"), bytes(ENTRY))
    assert tier.get(key("anna")) is not None
    tier.put(key("bob"), bytes(ENTRY))
    assert key("anna") in tier.keys()  # noqa: SIM118
    tier.close()


def test_older_entries_make_room_for_a_new_one_and_no_more_than_that(make_bounded: Make, tmp_path: Path) -> None:
    tier = make_bounded(tmp_path, LIMIT)
    fits = (LIMIT - OVERHEAD) // ENTRY
    for number in range(50):
        tier.put(key(number), bytes(ENTRY))
        assert tier.get(key(number)) is not None
        assert len(tier) >= min(number + 1, fits)
    tier.close()


def test_entries_of_many_sizes_stay_within_the_bound(make_bounded: Make, tmp_path: Path) -> None:
    tier, sizes = make_bounded(tmp_path, LIMIT), random.Random(0)
    for number in range(60):
        tier.put(key(number), bytes(sizes.choice([100, 10_000, 50_000, 300_000])))
        assert tier.nbytes() <= LIMIT + 300_000 + OVERHEAD
    tier.close()


def test_a_value_that_can_never_fit_does_not_drive_out_the_others(make_bounded: Make, tmp_path: Path) -> None:
    tier = make_bounded(tmp_path, LIMIT)
    tier.put(key("anna"), b"value")
    tier.put(key("huge"), bytes(2 * LIMIT))
    assert tier.get(key("anna")) == b"value"
    assert tier.nbytes() <= LIMIT
    tier.close()


def value_of(name: str, version: int) -> bytes:
    """A value that says whose it is, and is recognisably whole."""
    return f"{name}:{version}:".encode() * 200


def test_threads_do_not_disturb_each_other(tier: Tier[bytes]) -> None:
    names = [key(voice, rest) for voice in range(4) for rest in range(3)]

    def hammer(seed: int) -> None:
        dice = random.Random(seed)
        for turn in range(60):
            name = dice.choice(names)
            act = dice.random()
            if act < 0.45:
                got = tier.get(name)
                assert got is None or got.startswith(f"{name}:".encode())
                assert got is None or len(set(got.split(b":")[1:-1:2])) == 1
            elif act < 0.75:
                tier.put(name, value_of(name, seed * 1000 + turn))
            elif act < 0.85:
                tier.delete(name)
            elif act < 0.9:
                tier.delete_voice(prefix(dice.randrange(4)))
            elif act < 0.95:
                assert set(tier.keys()) <= set(names)
            else:
                assert 0 <= len(tier) <= len(names)
                assert tier.nbytes() >= 0

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hammer, range(8)))
    kept = tier.keys()
    assert len(tier) == len(kept) == len(set(kept))
    for name in kept:
        got = tier.get(name)
        assert got is not None
        assert got.startswith(f"{name}:".encode())
    assert tier.clear() == len(kept)
    assert tier.nbytes() < OVERHEAD


def test_threads_that_open_it_at_once_all_find_it(make: Make, tmp_path: Path) -> None:
    tier = make(tmp_path, ROOMY)

    def put(number: int) -> None:
        tier.put(key(number), b"value")
        assert tier.get(key(number)) == b"value"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(8)))
    assert len(tier) == 8
    tier.close()


VOICES, RESTS = st.sampled_from("abc"), st.sampled_from("xyz")
KEYS = st.builds(key, VOICES, RESTS)


class LikeADict(RuleBasedStateMachine):
    """Whatever is done to a tier with room enough, it holds what a dict would hold."""

    make: Make

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.tier = type(self).make(self.root, ROOMY)
        self.model: dict[str, bytes] = {}

    def teardown(self) -> None:
        self.tier.close()
        shutil.rmtree(self.root)

    @rule(name=KEYS, size=st.sampled_from([0, 1, 100, 50_000]), fill=st.sampled_from(b"12"))
    def put(self, name: str, size: int, fill: int) -> None:
        value = bytes([fill]) * size
        self.tier.put(name, value)
        self.model[name] = value

    @rule(name=KEYS)
    def get(self, name: str) -> None:
        assert self.tier.get(name) == self.model.get(name)

    @rule(name=KEYS)
    def delete(self, name: str) -> None:
        assert self.tier.delete(name) is (self.model.pop(name, None) is not None)

    @rule(voice=VOICES)
    def delete_voice(self, voice: str) -> None:
        gone = [name for name in self.model if name.startswith(prefix(voice))]
        for name in gone:
            del self.model[name]
        assert self.tier.delete_voice(prefix(voice)) == len(gone)

    @rule()
    def clear(self) -> None:
        assert self.tier.clear() == len(self.model)
        self.model.clear()

    @rule()
    def close(self) -> None:
        self.tier.close()

    @rule(voice=VOICES)
    def list_one_voice(self, voice: str) -> None:
        of_it = [name for name in self.model if name.startswith(prefix(voice))]
        assert sorted(self.tier.keys(prefix(voice))) == sorted(of_it)

    @invariant()
    def holds_the_same_keys(self) -> None:
        assert sorted(self.tier.keys()) == sorted(self.model)
        assert len(self.tier) == len(self.model)
        assert self.tier.nbytes() >= sum(map(len, self.model.values()))


# Not shrunk: that would open thousands of databases, and a failing example of 15 steps can be read as it is.
ENOUGH = settings(max_examples=12, stateful_step_count=15, phases=[Phase.generate])


def test_it_is_like_a_dict(make: Make) -> None:
    machine: Any = type("LikeADictOfThisKind", (LikeADict,), {"make": staticmethod(make)})
    run_state_machine_as_test(machine, settings=ENOUGH)
