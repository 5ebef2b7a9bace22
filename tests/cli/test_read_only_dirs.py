"""Folders that are only read, in what the verbs show and do, and ``warm --into``, which fills one."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatterbox_cached import ConditionalCache
from chatterbox_cached.library import exchange
from chatterbox_cached.settings import Settings
from chatterbox_cached.tiers.disk.folder import let_all_read
from chatterbox_cached.tiers.disk.frozen import FrozenFolder
from chatterbox_cached.voice import bundle
from tests.support import breakages
from tests.support.commands import Cli
from tests.support.filled_folders import digest, fill, name
from tests.support.people import AS_ROOT, as_user, within_reach

ANNA, BEN, CLEO = b"anna", b"ben", b"cleo"
VARIABLE = "CHATTERBOX_CACHED_READ_ONLY_DIRS"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "voices"
    fill(folder, ANNA)
    return folder


@pytest.fixture
def also(tmp_path: Path) -> dict[str, str]:
    """The setting for two more folders; the first has two voices, of one of which the name is known."""
    folder = tmp_path / "also"
    fill(folder, ANNA, BEN)
    name(folder, BEN, "/there/ben.wav")
    fill(tmp_path / "third", CLEO)
    return {VARIABLE: f"{folder}:{tmp_path / 'third'}"}


def test_ls_lists_their_voices_and_says_where_they_are(
    cli: Cli, root: Path, also: dict[str, str], tmp_path: Path
) -> None:
    shown = cli("ls", "--cache-dir", root, **also).stdout.splitlines()
    assert any("/there/ben.wav" in line for line in shown)
    assert "3 voices in 3 entries" in shown[-3]
    assert shown[-2:] == [f"1 voice in {tmp_path / part}, which is only read" for part in ("also", "third")]
    data = json.loads(cli("ls", "--json", "--cache-dir", root, **also).stdout)
    assert data["read_only_dirs"] == [str(tmp_path / "also"), str(tmp_path / "third")]
    where = {voice["digest"]: voice["only_read_in"] for voice in data["voices"]}
    assert where == {digest(ANNA): [], digest(BEN): [str(tmp_path / "also")], digest(CLEO): [str(tmp_path / "third")]}


def test_stats_counts_them_by_themselves(cli: Cli, root: Path, also: dict[str, str], tmp_path: Path) -> None:
    data = json.loads(cli("stats", "--json", "--cache-dir", root, **also).stdout)
    assert (data["kept"]["entries"], data["read_only"]) == (1, False)
    assert {path: kept["entries"] for path, kept in data["read_only_dirs"].items()} == {
        str(tmp_path / "also"): 2,
        str(tmp_path / "third"): 1,
    }
    shown = cli("stats", "--cache-dir", root, COLUMNS="200", **also).stdout.splitlines()
    assert [line.split()[-1] for line in shown if line.startswith("only read")] == [
        str(tmp_path / "also"),
        str(tmp_path / "third"),
    ]


def test_doctor_says_what_they_hold_and_what_is_wrong_with_them(
    cli: Cli, root: Path, also: dict[str, str], unladen: dict[str, str], tmp_path: Path
) -> None:
    found = json.loads(cli("doctor", "--json", "--cache-dir", root, **also, **unladen).stdout)
    rows = [row["found"] for row in found["findings"] if row["what"] == "read-only folder"]
    assert rows == [f"{tmp_path / 'also'}, 2 entries", f"{tmp_path / 'third'}, 1 entry"]
    (tmp_path / "also").chmod(0o777)
    amiss = {VARIABLE: f"{tmp_path / 'also'}:{tmp_path / 'missing'}"}
    found = json.loads(cli("doctor", "--json", "--cache-dir", root, code=1, **amiss, **unladen).stdout)
    advice = [row["advice"] for row in found["findings"] if row["what"] == "read-only folder"]
    assert "chmod go-w" in advice[0]
    assert "warm VOICES --into" in advice[1]
    assert not (tmp_path / "missing").exists()


def test_one_that_cant_be_used_is_passed_over_in_one_line(
    cli: Cli, root: Path, also: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "also").chmod(0o777)
    shown = cli("ls", "--json", "--cache-dir", root, **also)
    assert {voice["digest"] for voice in json.loads(shown.stdout)["voices"]} == {digest(ANNA), digest(CLEO)}
    assert len(shown.stderr.splitlines()) == 1
    assert "is passed over" in shown.stderr
    assert digest(CLEO) in cli("show", digest(CLEO), "--json", "--cache-dir", root, **also).stdout


def test_nothing_is_removed_from_them(cli: Cli, root: Path, also: dict[str, str], tmp_path: Path) -> None:
    shown = cli("rm", digest(ANNA), digest(BEN), "--cache-dir", root, code=1, **also)
    assert "can only be read, so nothing was removed" in shown.stderr
    assert len(shown.stderr.splitlines()) == 1
    told = json.loads(cli("prune", "--to", "0", "--json", "--cache-dir", root, **also).stdout)
    assert (told["entries"], told["bytes_left"]) == (1, 0)
    fill(root, ANNA)
    assert json.loads(cli("clear", "--yes", "--json", "--cache-dir", root, **also).stdout)["entries"] == 1
    assert (len(FrozenFolder(tmp_path / "also")), len(FrozenFolder(tmp_path / "third"))) == (2, 1)


def test_export_takes_from_all_of_them(cli: Cli, english: Any, voice: Path, other_voice: Path, tmp_path: Path) -> None:
    for folder, clip in ((tmp_path / "mine", voice), (tmp_path / "filled", other_voice)):
        with contextlib.closing(ConditionalCache(folder)) as cache:
            cache.get_or_prepare(english, clip)
    also = {VARIABLE: f"{tmp_path / 'filled'}"}
    cli("export", other_voice, "-o", "one.cbv", "--cache-dir", tmp_path / "mine", **also)
    cli("export", "--all", "-o", "all.cbv", "--cache-dir", tmp_path / "mine", **also)
    one, every = (list(bundle.read(tmp_path / name)) for name in ("one.cbv", "all.cbv"))
    assert (len(one), len(every)) == (1, 2)
    assert one[0].header in [each.header for each in every]


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[Path]:
    """A cache folder with one voice on a file system that can only be read."""
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(breakages.small_file_system(mounted, "10m"))
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("this user may not mount a file system")
        fill(mounted / "voices", ANNA)
        name(mounted / "voices", ANNA, "/here/anna.wav")
        breakages.read_only(mounted)
        yield mounted / "voices"


def test_a_cache_folder_that_can_only_be_read_is_shown_and_not_changed(
    cli: Cli, frozen: Path, unladen: dict[str, str], voice: Path, tmp_path: Path
) -> None:
    where = ("--cache-dir", frozen)
    assert "anna.wav" in cli("ls", *where).stdout
    assert "/here/anna.wav" in cli("show", "anna.wav", *where).stdout
    assert "only read" in cli("stats", *where).stdout
    assert json.loads(cli("check", "--json", *where).stdout)["entries"] == 1
    (tmp_path / "all.cbv").write_bytes(b"PK\3\4")
    found = json.loads(cli("doctor", "--json", *where, **unladen).stdout)
    (row,) = [row["found"] for row in found["findings"] if row["what"] == "only read"]
    assert row == f"{frozen}, 1 entry; new voices are kept in memory only"
    assert "Removed 0 entries" in cli("prune", "--to", "1KB", *where).stdout
    for verb in (("rm", "anna.wav"), ("clear", "--yes"), ("import", tmp_path / "all.cbv"), ("warm", voice)):
        shown = cli(*verb, *where, code=1)
        assert "can only be read" in shown.stderr
        assert len(shown.stderr.splitlines()) == 1
    assert len(FrozenFolder(frozen)) == 1


# warm --into


@pytest.fixture
def reachable() -> Iterator[Path]:
    yield from within_reach()


def test_warm_fills_a_folder_for_an_image_with_all_voices_for_everybody_to_read(
    chatterbox_cli: Cli, reachable: Path, english: Any, voice: Path, other_voice: Path
) -> None:
    into, clips = reachable / "image" / "voices", (voice, other_voice)
    with contextlib.closing(ConditionalCache(reachable / "elsewhere")) as cache:
        cache.get_or_prepare(english, voice)
    settings = {VARIABLE: f"{reachable / 'elsewhere'}:{into}"}
    found = json.loads(chatterbox_cli("warm", *clips, "--into", into, "--json", **settings).stdout)
    assert sorted(found["prepared"]) == sorted(map(str, clips))
    assert found["folder"] == str(into)
    assert not list((into / "entries").glob("cache.db-*"))
    assert {path.stat().st_mode & 0o077 for path in into.rglob("*") if path.is_dir()} == {0o055}
    assert {path.stat().st_mode & 0o077 for path in into.rglob("*") if path.is_file()} == {0o044}
    assert into.stat().st_mode & 0o777 == 0o755
    again = json.loads(chatterbox_cli("warm", *clips, "--into", into, "--json", **settings).stdout)
    assert len(again["there_already"]) == 2


def test_a_folder_with_other_things_in_it_is_not_opened_to_everybody(tmp_path: Path) -> None:
    into = tmp_path / "mine"
    into.mkdir(mode=0o700)
    (into / "book.txt").touch(mode=0o600)
    fill(into, ANNA)
    let_all_read(into)
    modes = [path.stat().st_mode & 0o777 for path in (into, into / "book.txt", into / "entries")]
    assert modes == [0o700, 0o600, 0o755]


@AS_ROOT
def test_what_was_opened_to_everybody_is_there_for_another_user(reachable: Path) -> None:
    into = reachable / "voices"
    fill(into, ANNA, BEN)
    let_all_read(into)

    def reads() -> None:
        assert len(FrozenFolder(into)) == 2
        assert len(exchange.open_folder(Settings(cache_dir=into)).listing()) == 2

    as_user(reads)


def test_into_and_cache_dir_are_not_given_both(cli: Cli, voice: Path, tmp_path: Path) -> None:
    shown = cli("warm", voice, "--into", tmp_path / "a", "--cache-dir", tmp_path / "b", code=2)
    assert "not both" in shown.stderr
    shutil.rmtree(tmp_path / "home", ignore_errors=True)
    assert not (tmp_path / "a").exists()
