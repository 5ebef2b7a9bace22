"""What a cache folder was good for, from its account and its settings; and how a report draws it."""

from __future__ import annotations

import datetime
import time
from pathlib import Path

import pytest

from chatterbox_cached.accounting import account
from chatterbox_cached.accounting.account import Batch, Totals, VoiceAccount
from chatterbox_cached.accounting.days import DayAccount
from chatterbox_cached.cli.report import chart
from chatterbox_cached.cli.report.document import document
from chatterbox_cached.figures import duration
from chatterbox_cached.library import savings
from chatterbox_cached.library.savings import BYPASS, MISS, NOT_KEPT, NoHit, Savings
from chatterbox_cached.library.tier_states import NAMED
from chatterbox_cached.named.library import Library
from chatterbox_cached.named.record import NamedVoice
from chatterbox_cached.settings import resolve
from tests.support.filled_folders import fill

TODAY = datetime.date(2026, 11, 27)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A cache folder such as the disk tier makes it."""
    (tmp_path / "voices" / "entries").mkdir(mode=0o700, parents=True)
    return tmp_path / "voices"


def counted(root: Path, totals: Totals, *voices: VoiceAccount) -> Savings:
    account.add(root, Batch(time.time(), totals, [*voices]), lambda _: None)
    return savings.read(resolve({"cache_dir": root}), pytest.fail)


def voice(number: int, saved: float) -> VoiceAccount:
    return VoiceAccount(f"{number:064x}", f"voice {number}", f"/voice {number}", 2.0, 1000.0, 3, saved)


def day(when: str, saved: float, hits: int = 1) -> DayAccount:
    return DayAccount(when, hits, 0, 0, 0, 0, 0.0, saved)


def test_every_call_that_was_no_hit_has_its_reason_once(root: Path) -> None:
    found = counted(
        root,
        {
            ("memory_hits", ""): 5,
            ("misses", ""): 7,
            ("not_stored", "unexpected result"): 2,
            ("bypasses", "disabled"): 3,
            ("bypasses", "hooks on the encoders"): 1,
        },
    )
    assert (found.hits, found.misses, found.bypasses) == (5, 7, 4)
    assert [(why.kind, why.reason, why.calls) for why in found.no_hits] == [
        (MISS, "nothing was kept of it yet", 5),
        (BYPASS, "disabled", 3),
        (NOT_KEPT, "unexpected result", 2),
        (BYPASS, "hooks on the encoders", 1),
    ]
    assert sum(why.calls for why in found.no_hits) == found.misses + found.bypasses


def test_what_a_program_is_told_to_do_is_what_the_savings_say_would_help(root: Path) -> None:
    (why,) = counted(root, {("bypasses", "file object is not at its start"): 2}).no_hits
    assert why == NoHit(BYPASS, "file object is not at its start", 2, "Call seek(0) on it first.")


def test_voices_that_saved_most_come_first(root: Path) -> None:
    found = counted(root, {}, voice(1, 1.0), voice(2, 30.0), voice(3, -2.0))
    assert [each.name for each in found.voices] == ["voice 2", "voice 1", "voice 3"]


def test_a_voice_is_called_by_the_name_that_it_was_given(root: Path, tmp_path: Path) -> None:
    counted(root, {}, voice(1, 2.0), voice(2, 1.0))
    settings = resolve({"cache_dir": root, "voices_dir": tmp_path / "named"})
    library = Library(settings)
    library.register.add(NamedVoice("Narrator", voice(1, 2.0).digest))
    fill(library.places.prepared, b"anna")
    found = savings.read(settings, pytest.fail)
    assert [each.name for each in found.voices] == ["Narrator", "voice 2"]
    tier = next(each for each in found.tiers if each.kind == NAMED)
    assert (tier.where, tier.voices, tier.entries, tier.advice) == (str(library.places.prepared), 1, 1, "")


def test_a_library_of_names_that_can_not_be_read_is_a_tier_out_of_order(root: Path, tmp_path: Path) -> None:
    counted(root, {}, voice(1, 2.0))
    (tmp_path / "named").mkdir(mode=0o700)
    (tmp_path / "named" / "voices.db").write_bytes(b"no database " * 100)
    found = savings.read(resolve({"cache_dir": root, "voices_dir": tmp_path / "named"}), pytest.fail)
    assert [each.name for each in found.voices] == ["voice 1"]
    tier = next(each for each in found.tiers if each.kind == NAMED)
    assert tier.state == "can't be used"
    assert str(tmp_path / "named") in tier.advice


def test_looking_changes_nothing(root: Path) -> None:
    counted(root, {("misses", ""): 1})
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    savings.read(resolve({"cache_dir": root}), pytest.fail)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_voices_that_are_too_many_for_a_page_are_one_row(root: Path) -> None:
    found = counted(root, {("saved_seconds", ""): 1.0}, *(voice(number, 700.0 - number) for number in range(700)))
    page = document(found, "1.0")
    assert "<summary>685 other voices</summary>" in page
    assert page.count("<bdi>voice ") == 500
    assert "200 more</td><td>600</td>" in page
    assert len(page) < 300_000


@pytest.mark.parametrize(
    ("first", "bars", "unit"),
    [("2026-11-27", 14, "day"), ("2026-10-01", 58, "day"), ("2026-08-27", 14, "week"), ("2020-01-01", 53, "week")],
)
def test_a_bar_is_a_day_or_where_they_are_many_a_week(first: str, bars: int, unit: str) -> None:
    drawn = chart.by_day([day(first, 5.0), day("2026-11-26", 1.0)], TODAY)
    assert drawn.count("<g>") == bars
    assert f"Each bar is a {unit}" in drawn
    assert "2026-11-27</span></div>" in drawn


def test_a_week_is_the_sum_of_its_days() -> None:
    monday_to_sunday = [day(f"2026-11-{number}", 60.0, 2) for number in range(16, 23)]
    drawn = chart.by_day([day("2026-06-01", 1.0), *monday_to_sunday], TODAY)
    assert "2026-11-16 to 2026-11-22: 7 min 0 s saved, 14 hits" in drawn
    assert "2026-11-23 to 2026-11-27: 0.0 s saved, 0 hits" in drawn


@pytest.mark.parametrize("when", ["0001-01-01", "2026-11-28", "9999-12-31"])
def test_a_day_that_can_not_have_been_is_not_drawn_and_breaks_nothing(when: str) -> None:
    drawn = chart.by_day([day(when, 1e9), day("2026-11-26", 60.0)], TODAY)
    assert (
        "2026-11-26: 1 min 0 s saved, 1 hit<" in drawn or "2026-11-23 to 2026-11-27: 1 min 0 s saved, 1 hit<" in drawn
    )
    assert '<div class="scale"><span>1 min 0 s</span>' in drawn


def test_days_that_saved_nothing_are_said_in_words() -> None:
    assert "No seconds were saved" in chart.by_day([day("2026-11-26", -1.0)], TODAY)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0.0 s"),
        (-0.04, "0.0 s"),
        (-2.5, "-2.5 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (3_599.4, "59 min 59 s"),
        (3_599.6, "1 h 0 min"),
        (11_520.0, "3 h 12 min"),
        (48 * 3_600.0, "2 d 0 h"),
        (1e300, ">99,999 d"),
    ],
)
def test_a_time_is_shown_in_its_two_largest_units(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
