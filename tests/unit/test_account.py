"""The account of a folder, in one process: what is added up, what is dropped, and what is never written."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from chatterbox_cached.accounting import account
from chatterbox_cached.accounting.account import Batch, VoiceAccount
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
