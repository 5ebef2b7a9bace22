"""SIGKILL at any moment: every entry is whole or absent, the index opens, and leftovers do not grow for ever.

Each test is a scene: a fork takes ten times as long in a process that has loaded models.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from chatterbox_cached.tiers.disk import repair
from chatterbox_cached.tiers.disk.folder import entries_of
from chatterbox_cached.tiers.disk.tier import DiskTier
from tests.support.children import KEYS, assert_whole, child, value_of
from tests.support.stage import Stage

KILLS, ROOMY = 100, 10**8

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")


def work(root: Path, limit: int, chance: random.Random) -> None:
    """Stores, replaces, drops, and with a small ``limit`` evicts."""
    tier = DiskTier(root, limit)
    for generation in range(10**6):
        key = chance.choice(KEYS)
        tier.put(key, value_of(key, generation))
        if generation % 5 == 0:
            tier.delete(chance.choice(KEYS))
        if generation % 11 == 0:
            tier.delete_voice(f"v3/{chance.randrange(8)}/")
        if generation % 31 == 0:
            tier.clear()


def files_of(root: Path) -> list[Path]:
    return list(entries_of(root).rglob("*.val"))


def assert_every_entry_is_whole_or_absent(root: Path, limit: int) -> int:
    """How many there are. A row may have lost its file, which is a miss."""
    tier = DiskTier(root, limit)
    found = {key: tier.get(key) for key in KEYS}
    for key, value in found.items():
        if value is not None:
            assert_whole(key, value)
    tier.close()
    return sum(value is not None for value in found.values())


def killed_at_work(root: Path, limit: int, seed: int, chance: random.Random) -> None:
    """A child that is killed some milliseconds after its first store, however long a slow machine takes for that."""
    told, tells = os.pipe()

    def begin_and_work(rng: random.Random) -> None:
        DiskTier(root, limit).put(KEYS[seed % 8], value_of(KEYS[seed % 8], seed))
        os.write(tells, b".")
        work(root, limit, rng)

    with child(begin_and_work, seed):
        os.close(tells)
        os.read(told, 1)
        time.sleep(chance.uniform(0.0, 0.015))
    os.close(told)


def a_writer_is_killed(folder: Path, limit: int) -> None:
    root, chance, seen = folder / "voices", random.Random(limit), 0
    if limit < ROOMY:
        repair.WRITER_SECONDS = 0.1  # in this process alone; who was killed takes no longer to store
    for seed in range(KILLS // 2):
        if seed % 4:
            killed_at_work(root, limit, seed, chance)
        else:  # or while it begins
            with child(lambda rng: work(root, limit, rng), seed):
                time.sleep(chance.uniform(0.0, 0.03))
        if seed % 5 == 0:
            seen += assert_every_entry_is_whole_or_absent(root, limit)
        if seed % 30 == 29:  # a check after an outage leaves nothing over
            tier = DiskTier(root, limit)
            report = tier.check(assert_whole)
            assert (report.damaged, report.database) == (0, 0)
            assert len(files_of(root)) == report.entries == len(tier.keys())
            assert tier.check(assert_whole).sound
            tier.close()
    assert seen > 0, "the children got to work"
    assert not list(entries_of(root).glob("*.damaged"))


def one_of_two_writers_is_killed(folder: Path) -> None:
    root, chance = folder / "voices", random.Random(0)
    with child(lambda rng: work(root, ROOMY, rng), 0) as survivor:
        for seed in range(1, 30):
            with child(lambda rng: work(root, ROOMY, rng), seed):
                time.sleep(chance.uniform(0.0, 0.03))
        assert os.waitpid(survivor, os.WNOHANG) == (0, 0), "it still works"
    assert_every_entry_is_whole_or_absent(root, ROOMY)
    assert DiskTier(root, ROOMY).check(assert_whole).damaged == 0


def the_first_opening_is_killed(folder: Path) -> None:
    chance = random.Random(1)
    repair.WRITER_SECONDS = 0.1  # in this process alone; who was killed takes no longer to store
    for seed in range(30):
        root = folder / str(seed)
        with child(lambda rng, root=root: work(root, ROOMY, rng), seed):  # type: ignore[misc]
            time.sleep(chance.uniform(0.0, 0.02))
        tier = DiskTier(root, ROOMY)
        tier.put(KEYS[0], value_of(KEYS[0], 0))
        assert tier.get(KEYS[0]) == value_of(KEYS[0], 0)
        assert tier.check(assert_whole).damaged == 0
        tier.close()


def leftovers_are_swept(folder: Path) -> None:
    root, chance = folder / "voices", random.Random(2)
    for seed in range(30):
        killed_at_work(root, ROOMY, seed, chance)
    tier = DiskTier(root, ROOMY)
    tier.close()
    yesterday = time.time() - 90_000
    for path in (*files_of(root), entries_of(root) / "swept"):
        os.utime(path, (yesterday, yesterday))
    tier.open()
    rows_with_files = sum(tier.get(key) is not None for key in tier.keys())  # noqa: SIM118
    assert len(files_of(root)) == rows_with_files
    tier.close()


@pytest.mark.parametrize("limit", [ROOMY, 900_000], ids=["roomy", "evicting"])
def test_a_writer_that_is_killed_at_any_moment(stage: Stage, tmp_path: Path, limit: int) -> None:
    stage(a_writer_is_killed, limit, folder=tmp_path, seconds=300)


def test_two_writers_of_which_one_is_killed_do_not_keep_each_other_waiting(stage: Stage, tmp_path: Path) -> None:
    stage(one_of_two_writers_is_killed, folder=tmp_path, seconds=300)


def test_the_first_opening_killed_at_any_moment(stage: Stage, tmp_path: Path) -> None:
    stage(the_first_opening_is_killed, folder=tmp_path, seconds=300)


def test_what_kills_leave_over_is_swept_without_being_asked(stage: Stage, tmp_path: Path) -> None:
    stage(leftovers_are_swept, folder=tmp_path, seconds=300)
