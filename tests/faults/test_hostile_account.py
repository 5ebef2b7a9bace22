"""Whatever is put in the account's place: it is followed nowhere, nothing of anybody else is touched, nothing hangs."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chatterbox_cached import ConditionalCache
from chatterbox_cached.accounting import account, account_file, ledger
from chatterbox_cached.errors import CacheWarning, ChatterboxCachedError
from chatterbox_cached.tiers.disk.database import PARTS
from tests.support.desk import DIGEST, Desk
from tests.support.hostile_databases import ENDLESS, make_endless, super_journal
from tests.support.scenery import another_holds, ended_well, forked, voices
from tests.support.stage import Stage
from tests.support.tally import tried

Attack = Callable[[Path, Path], object]  # with the account, and a file of another program's
_FOREVER = "SELECT max(i) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n)"


def _free(path: Path, part: str) -> Path:
    Path(f"{path}{part}").unlink(missing_ok=True)
    return Path(f"{path}{part}")


def a_link(part: str) -> Attack:
    return lambda path, precious: _free(path, part).symlink_to(precious)


def a_pipe(part: str) -> Attack:
    return lambda path, _: os.mkfifo(_free(path, part))


def sql(*statements: str) -> Attack:
    def run(path: Path, _: Path) -> None:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
            for statement in statements:
                database.execute(statement)

    return run


HOLDS_UP: dict[str, Attack] = {
    **{f"a pipe as account.db{part}": a_pipe(part) for part in PARTS},
    "an endless view": sql(
        "DROP TABLE totals", f"CREATE VIEW totals AS SELECT key AS name, '' AS reason, value AS n FROM ({ENDLESS})"
    ),
    "an endless trigger": sql(
        "CREATE TABLE more (a)",
        f"CREATE TRIGGER a AFTER INSERT ON totals BEGIN INSERT INTO more {_FOREVER}; END",
        f"CREATE TRIGGER b AFTER UPDATE ON totals BEGIN INSERT INTO more {_FOREVER}; END",
        f"CREATE TRIGGER c AFTER DELETE ON voices BEGIN INSERT INTO more {_FOREVER}; END",
    ),
}
ATTACKS: dict[str, Attack] = {
    **HOLDS_UP,
    **{f"a link as account.db{part}": a_link(part) for part in PARTS},
    "a journal that names another file": lambda path, precious: Path(f"{path}-journal").write_bytes(
        super_journal(precious)
    ),
    "a table more": sql("CREATE TABLE more (a)"),
    "a column more": sql("ALTER TABLE voices ADD COLUMN more"),
    "an index more": sql("CREATE INDEX more ON voices (path)"),
    "a table less": sql("DROP TABLE totals"),
    "no database": lambda path, _: path.write_bytes(b"no database " * 1000),
}
every_attack = pytest.mark.parametrize("attack", ATTACKS)


class Scene:
    """A folder with an account in which one hit is counted, and the database of another program."""

    def __init__(self, folder: Path) -> None:
        self.root, self.precious = folder / "voices", folder / "songs.sqlite"
        self.account = self.root / "account.db"
        (self.root / "entries").mkdir(mode=0o700, parents=True)
        desk = Desk(self.root)
        desk.hit()
        assert not desk.ledger.flush()
        foreign_database(self.precious)
        self._before = self.precious.read_bytes()

    def plant(self, attack: str) -> None:
        ATTACKS[attack](self.account, self.precious)

    def play(self, act: Callable[[], object]) -> None:
        """In a process of its own, which must end in time."""
        tried("hostile accounts")
        assert ended_well(forked(act))
        assert self.precious.read_bytes() == self._before
        assert not list(self.precious.parent.glob("songs.sqlite-*"))

    def hits(self) -> Any:
        return account.read(self.root).totals["memory_hits"]


def foreign_database(path: Path) -> None:
    sql("CREATE TABLE voices (digest, song)", "INSERT INTO voices VALUES ('x', 'precious')")(path, path)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


# What is put in its place


@every_attack
def test_what_is_no_account_is_moved_aside_and_a_new_one_begun(scene: Scene, attack: str) -> None:
    def tell() -> None:
        desk = Desk(scene.root)
        desk.hit()
        with pytest.warns(CacheWarning, match="account"):
            assert not desk.ledger.flush()
        assert desk.errors == {"disk account": 1}

    scene.plant(attack)
    scene.play(tell)
    assert scene.hits() == 1
    assert os.path.lexists(f"{scene.account}.damaged")


@every_attack
def test_what_is_no_account_is_not_read(scene: Scene, attack: str) -> None:
    def read() -> None:
        with pytest.raises(ChatterboxCachedError, match=r"account\.db can't be used"):
            account.read(scene.root)

    scene.plant(attack)
    scene.play(read)


@every_attack
def test_nothing_is_dropped_from_what_is_no_account(scene: Scene, attack: str) -> None:
    def drop() -> None:
        desk = Desk(scene.root)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            desk.ledger.forget(DIGEST)
            desk.ledger.clear()
        assert [warning.category for warning in warned] == [CacheWarning]
        assert desk.errors == {"disk account": 2}

    if attack == "a table less":
        sql("DROP TABLE voices")(scene.account, scene.precious)  # the one that is to be emptied
    scene.plant(attack)
    scene.play(drop)
    assert not os.path.lexists(f"{scene.account}.damaged")


@every_attack
def test_a_check_finds_what_is_no_account_and_moves_it_aside(scene: Scene, attack: str) -> None:
    def check() -> None:
        cache = ConditionalCache(scene.root)
        assert cache.check(fix=False) == cache.check(fix=False)
        found = [cache.check(fix).account for fix in (False, True, True)]
        assert found == [1, 1, 0]
        assert cache.check(fix=True).sound

    scene.plant(attack)
    scene.play(check)
    assert os.path.lexists(f"{scene.account}.damaged")


@pytest.mark.parametrize("attack", HOLDS_UP)
def test_a_program_ends_whatever_is_in_the_accounts_place(scene: Scene, attack: str) -> None:
    scene.plant(attack)
    program = f"from pathlib import Path; from tests.support.desk import Desk; Desk(Path({str(scene.root)!r})).hit()"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[2], timeout=60, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert scene.hits() == 1


def through_a_link(folder: Path) -> Any:
    """What each method of a cache makes of an account that is a link to another program's database."""
    from chatterbox.tts import ChatterboxTTS

    (voice,), model, left = voices(folder, 1), ChatterboxTTS(), {}
    acts: dict[str, Callable[[ConditionalCache], object]] = {
        "forget": lambda cache: cache.forget(voice),
        "clear_disk": lambda cache: cache.clear_disk(),
        "clear_all": lambda cache: cache.clear_all(),
        "close": lambda cache: (cache.get_or_prepare(model, voice), cache.close()),
    }
    for name, act in acts.items():
        root, precious = folder / name / "voices", folder / name / "songs.sqlite"
        first = ConditionalCache(root)
        first.get_or_prepare(model, voice)
        first.close()
        foreign_database(precious)
        before = precious.read_bytes()
        a_link("")(root / "account.db", precious)
        cache = ConditionalCache(root)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            act(cache)
        left[name] = precious.read_bytes() == before, cache.get_cache_stats()["errors"], len(warned)
    return left


def test_no_method_of_a_cache_touches_another_programs_database(stage: Stage, tmp_path: Path) -> None:
    names = ("forget", "clear_disk", "clear_all", "close")
    assert stage(through_a_link, folder=tmp_path) == {name: [True, {"disk account": 1}, 1] for name in names}


# What its tables say


@pytest.mark.timeout(60)
@pytest.mark.parametrize("table", ["began", "totals", "voices", "days"])
def test_a_table_that_has_no_end_is_given_up(scene: Scene, monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    monkeypatch.setattr(account_file, "WORK_SECONDS", 0.5)
    make_endless(scene.account, table)

    def use() -> None:
        desk = Desk(scene.root)
        desk.hit()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            desk.ledger.clear()
            desk.ledger.flush()
        with contextlib.suppress(ChatterboxCachedError):
            account.read(scene.root)

    scene.play(use)


ROWS = [
    "INSERT INTO totals VALUES ('misses', '', 'many')",
    "INSERT INTO totals VALUES ('misses', 'why', 1)",
    "INSERT INTO totals VALUES ('bypasses', '', 1)",
    "INSERT INTO totals VALUES (x'00', 1.5, x'00')",
    "INSERT INTO totals VALUES (CAST(x'ff' AS TEXT), '', 1)",
    "UPDATE began SET at = 'long ago'",
    "UPDATE voices SET digest = NULL",
    "UPDATE voices SET path = CAST(x'ff' AS TEXT)",
    "UPDATE voices SET last_used = 'today'",
    "UPDATE voices SET hits = 'many'",
    "UPDATE voices SET saved_seconds = 9e999",
    "INSERT INTO totals VALUES ('prepare_seconds', '', 9e999) ON CONFLICT DO UPDATE SET n = 9e999",
    "UPDATE days SET day = NULL",
    "UPDATE days SET day = 'today'",
    "UPDATE days SET day = '2026-02-30'",
    "UPDATE days SET day = CAST(x'ff' AS TEXT)",
    "UPDATE days SET memory_hits = -1",
    "UPDATE days SET misses = 'many'",
    "UPDATE days SET saved_seconds = 9e999",
    "UPDATE days SET saved_seconds = 'long'",
]


@pytest.mark.parametrize("row", ROWS)
def test_a_row_that_nobody_can_have_written_is_passed_over(scene: Scene, row: str) -> None:
    before = account.read(scene.root)
    sql(row)(scene.account, scene.precious)
    after = account.read(scene.root)
    assert after.totals == before.totals
    assert after.since == (None if "began" in row else before.since)
    assert set(after.voices) == (set() if "voices" in row else {DIGEST})
    assert len(before.days) == 1
    assert after.days == (() if "days" in row else before.days)
    tried("hostile accounts")


def test_an_account_of_a_later_version_is_left_to_it(scene: Scene) -> None:
    sql("CREATE TABLE more (a)", "PRAGMA user_version = 3")(scene.account, scene.precious)
    before = scene.account.read_bytes()
    desk = Desk(scene.root)
    desk.hit()
    with pytest.warns(CacheWarning, match="later version"):
        assert desk.ledger.flush()
    with pytest.raises(ChatterboxCachedError, match="later version"):
        account.read(scene.root)
    assert scene.account.read_bytes() == before


# Who can write to it, and who is writing


def test_an_account_that_others_can_write_to_is_used_only_if_that_is_trusted(scene: Scene) -> None:
    scene.account.chmod(0o666)
    desk = Desk(scene.root)
    desk.hit()
    with pytest.warns(CacheWarning, match=r"chmod go-w .*account\.db"):
        assert desk.ledger.flush()
    desk.ledger.clear()
    for refused in (account.read, account.clear):
        with pytest.raises(ChatterboxCachedError, match="writable by other users"):
            refused(scene.root)
    assert list(account.read(scene.root, trusted=True).voices) == [DIGEST]
    account.clear(scene.root, trusted=True)
    assert account.read(scene.root, trusted=True).voices == {}


def test_whoever_drops_a_voice_does_not_wait_for_ever(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_WAIT_SECONDS", 0.1)
    desk = Desk(scene.root)

    def drop() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            desk.ledger.forget(DIGEST)
            desk.ledger.clear()

    with another_holds(desk.ledger._lock):
        thread = threading.Thread(target=drop, daemon=True)
        thread.start()
        thread.join(5)
        assert not thread.is_alive()
    assert desk.errors == {"disk account": 2}


# What a voice is called


@pytest.mark.parametrize("name", [b"odd\xff.wav", "\ud800".encode("utf-8", "surrogatepass") + b".wav"])
def test_a_name_that_is_no_text_loses_no_count(scene: Scene, name: bytes) -> None:
    path = scene.root / os.fsdecode(name)
    path.touch()
    desk = Desk(scene.root)
    desk.ledger.used("b" * 64, str(path), path.name, desk.stats.hit("memory", 2.0, 0.0))
    desk.hit()
    assert not desk.ledger.flush()
    assert desk.errors == {}
    seen = account.read(scene.root)
    assert seen.totals["memory_hits"] == 3
    row = seen.voices["b" * 64]
    assert (row.hits, row.saved_seconds) == (1, 2.0)
    assert row.name is not None
    assert row.name.endswith(".wav")
    assert row.path == f"{scene.root}{os.sep}{row.name}"
    desk.ledger.forget(str(path))  # what a voice goes by that is not here
    desk.ledger.forget("b" * 64)
    assert desk.errors == {}
    assert list(account.read(scene.root).voices) == [DIGEST]


def test_an_audio_whose_name_is_no_text_loses_no_count(scene: Scene) -> None:
    desk = Desk(scene.root)
    started = time.time()
    desk.ledger.used(DIGEST, "", "half \ud800", desk.stats.hit("memory", 1.0, 0.0))
    assert not desk.ledger.flush()
    seen = account.read(scene.root).voices[DIGEST]
    assert (seen.hits, seen.last_used >= started) == (2, True)
