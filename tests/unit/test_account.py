"""The account of a folder, in one process: what is added up, what is dropped, and what is never written."""

from __future__ import annotations

import contextlib
import datetime
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from chatterbox_cached.accounting import account
from chatterbox_cached.accounting.account import Batch, VoiceAccount
from chatterbox_cached.accounting.days import KEPT
from chatterbox_cached.accounting.failures import Failures
from chatterbox_cached.accounting.ledger import Ledger
from chatterbox_cached.accounting.stats import Stats
from chatterbox_cached.errors import ChatterboxCachedError
from chatterbox_cached.settings import resolve

DIGEST = "a" * 64


def _ledger(root: Path, **settings: Any) -> tuple[Ledger, Stats]:
    stats = Stats()
    return Ledger(resolve({"cache_dir": root, **settings}), stats, Failures(stats, root)), stats


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A cache folder such as the disk tier makes it."""
    (tmp_path / "voices" / "entries").mkdir(mode=0o700, parents=True)
    return tmp_path / "voices"


def test_a_folder_without_an_account_has_an_empty_one_and_stays_as_it_is(tmp_path: Path) -> None:
    empty = account.read(tmp_path / "none")
    assert (empty.since, empty.voices, empty.totals["misses"]) == (None, {}, 0)
    account.clear(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_every_counter_is_added_up_over_flushes_and_writers(root: Path) -> None:
    for _ in range(2):
        ledger, stats = _ledger(root)
        for _ in range(3):
            stats.hit("memory", 2.5, 0.5)
            stats.miss()
            stats.bypass("because")
            stats.prepared(0.25)
            assert not ledger.flush()
    assert account.read(root).totals == {
        **Stats().snapshot(),
        "memory_hits": 6,
        "seams": {"voices": 6},
        "misses": 6,
        "bypasses": {"because": 6},
        "prepare_seconds": 1.5,
        "saved_seconds": 12.0,
    }


def test_a_voice_has_the_name_and_path_it_was_last_seen_under(root: Path, voice: Path) -> None:
    ledger, _ = _ledger(root)
    ledger.used(DIGEST, "/elsewhere/old.wav", "old.wav", None)
    ledger.flush()
    ledger.used(DIGEST, str(voice), voice.name, 2.0)
    ledger.used(DIGEST, str(voice), voice.name, 3.0)
    ledger.flush()
    seen = account.read(root).voices[DIGEST]
    assert (seen.name, seen.path, seen.hits, seen.saved_seconds) == (voice.name, str(voice), 2, 5.0)


def test_the_duration_is_that_of_the_audio_or_unknown(root: Path, voice: Path, tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no audio")
    ledger, _ = _ledger(root)
    ledger.used(DIGEST, str(voice), voice.name, 1.0)
    ledger.used("b" * 64, str(tmp_path / "text.wav"), "text.wav", 1.0)
    ledger.used("c" * 64, "", "", 1.0)
    ledger.flush()
    seen = account.read(root).voices
    assert seen[DIGEST].duration == pytest.approx(2, abs=0.1)
    assert seen["b" * 64].duration is None
    assert (seen["c" * 64].duration, seen["c" * 64].path, seen["c" * 64].name) == (None, None, None)


def test_a_late_writer_does_not_bring_back_an_old_name(root: Path) -> None:
    for when, name in ((20.0, "new.wav"), (10.0, "old.wav")):
        row = VoiceAccount(DIGEST, name, f"/{name}", None, when, 1, 1.0)
        account.add(root, Batch(when, {}, [row]), lambda _: None)
    seen = account.read(root).voices[DIGEST]
    assert (seen.name, seen.last_used, seen.hits) == ("new.wav", 20.0, 2)


def _day(root: Path, when: str, **totals: float) -> None:
    """Have a batch written that began at noon of this day."""
    noon = datetime.datetime.fromisoformat(f"{when}T12:00:00+00:00").timestamp()
    account.add(root, Batch(noon, {(name, ""): n for name, n in totals.items()}, []), lambda _: None)


def test_each_day_has_its_own_counts(root: Path) -> None:
    _day(root, "2026-11-27", memory_hits=2, saved_seconds=3.5)
    _day(root, "2026-11-26", disk_hits=1, misses=4, prepare_seconds=8.0, saved_seconds=1.0)
    _day(root, "2026-11-27", memory_hits=1, shared_hits=5, saved_seconds=-0.5)
    yesterday, today = account.read(root).days
    assert (yesterday.day, yesterday.disk_hits, yesterday.misses) == ("2026-11-26", 1, 4)
    assert (yesterday.prepare_seconds, yesterday.saved_seconds) == (8.0, 1.0)
    assert (today.day, today.memory_hits, today.shared_hits, today.hits) == ("2026-11-27", 3, 5, 8)
    assert today.saved_seconds == 3.0


def test_what_a_cache_counts_is_of_today(root: Path) -> None:
    before = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    ledger, stats = _ledger(root)
    stats.hit("memory", 2.5, 0.5)
    stats.hit("valkey://store", 2.5, 0.5)
    stats.miss()
    stats.bypass("because")
    stats.bypass("for another reason")
    stats.prepared(0.25)
    assert not ledger.flush()
    (day,) = account.read(root).days
    assert day.day in (before, datetime.datetime.now(datetime.timezone.utc).date().isoformat())
    assert (day.memory_hits, day.disk_hits, day.shared_hits, day.misses, day.bypasses) == (1, 0, 1, 1, 2)
    assert (day.prepare_seconds, day.saved_seconds) == (0.25, 4.0)


def test_the_last_days_are_kept_and_older_ones_dropped(root: Path) -> None:
    first = datetime.date(2026, 1, 1)
    for number in (2, 0, *range(3, KEPT + 2), 1):
        _day(root, (first + datetime.timedelta(number)).isoformat(), misses=1)
    seen = account.read(root)
    assert [len(seen.days), seen.days[0].day, seen.totals["misses"]] == [KEPT, "2026-01-03", KEPT + 2]
    assert seen.days == tuple(sorted(seen.days, key=lambda day: day.day))


# As the first version made it.
FIRST = """
CREATE TABLE IF NOT EXISTS began (one INTEGER PRIMARY KEY CHECK (one = 1), at REAL);
CREATE TABLE IF NOT EXISTS totals (name TEXT, reason TEXT, n, PRIMARY KEY (name, reason));
CREATE TABLE IF NOT EXISTS voices (digest TEXT PRIMARY KEY, path TEXT, name TEXT, duration REAL, last_used REAL,
    hits INTEGER, saved_seconds REAL);
PRAGMA user_version = 1;
INSERT INTO began VALUES (1, 1000.0);
INSERT INTO totals VALUES ('memory_hits', '', 3);
"""


def test_an_account_without_days_is_read_as_it_is_and_counts_them_from_now_on(root: Path) -> None:
    with contextlib.closing(sqlite3.connect(root / "account.db")) as database:
        database.executescript(FIRST)
    before = (root / "account.db").read_bytes()
    (root / "account.db").chmod(0o600)
    seen = account.read(root)
    assert (seen.since, seen.totals["memory_hits"], seen.days) == (1000.0, 3, ())
    assert not account.check(root, fix=True)
    assert (root / "account.db").read_bytes() == before
    ledger, stats = _ledger(root)
    ledger.used(DIGEST, "/voice.wav", "voice.wav", stats.hit("memory", 2.0, 0.0))
    assert not ledger.flush()
    assert stats.snapshot()["errors"] == {}
    seen = account.read(root)
    assert (seen.since, seen.totals["memory_hits"], [day.memory_hits for day in seen.days]) == (1000.0, 4, [1])
    assert not account.check(root, fix=False)


def test_only_its_owner_may_read_it(root: Path) -> None:
    ledger, stats = _ledger(root)
    stats.miss()
    ledger.flush()
    assert stat.S_IMODE((root / "account.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("why", ["no folder", "auto_save off", "switched off", "not to be trusted"])
def test_nothing_is_written_where_voices_would_not_be(root: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    if why == "no folder":
        (root / "entries").rmdir()
    elif why == "not to be trusted":
        root.chmod(0o777)
    elif why == "switched off":
        monkeypatch.setenv("CHATTERBOX_CACHED_DISABLE", "1")
    ledger, stats = _ledger(root, auto_save=why != "auto_save off")
    stats.miss()
    ledger.used(DIGEST, "/voice.wav", "voice.wav", None)
    assert not ledger.flush()
    assert not (root / "account.db").exists()
    assert stats.snapshot()["errors"] == {}


def test_a_forgotten_voice_leaves_no_row_and_no_trace_of_its_name(root: Path) -> None:
    ledger, _ = _ledger(root)
    ledger.used(DIGEST, "/people/annabel.wav", "annabel.wav", 1.0)
    ledger.used("b" * 64, "/people/bertram.wav", "bertram.wav", 1.0)
    ledger.flush()
    ledger.used(DIGEST, "/people/annabel.wav", "annabel.wav", 1.0)  # noted and not yet written
    ledger.forget(DIGEST)
    ledger.flush()
    assert list(account.read(root).voices) == ["b" * 64]
    assert b"annabel" not in (root / "account.db").read_bytes()
    ledger.clear()
    assert account.read(root).voices == {}


def test_an_account_that_cannot_be_read_is_one_line_of_advice(root: Path) -> None:
    (root / "account.db").write_bytes(b"no database " * 100)
    with pytest.raises(ChatterboxCachedError, match=r"account\.db can't be used .* delete it"):
        account.read(root)
