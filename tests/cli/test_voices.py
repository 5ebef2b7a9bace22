"""``ls``, ``show``, ``rm``, ``clear``, ``prune`` and ``check``, on folders of which no account was kept."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chatterbox_cached.tiers.disk.tier import DiskTier
from chatterbox_cached.voice import entry_format
from tests.support.commands import COMMAND, Cli, Start
from tests.support.filled_folders import ENGLISH, MULTILINGUAL, digest, fill, name

VERBS = [("ls",), ("show", "abcd"), ("rm", "abcd"), ("clear", "--yes"), ("prune", "--to", "1MB"), ("check",)]
ANNA, BEN, CLEO = b"anna", b"ben", b"cleo"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "voices"


def listed(cli: Cli, root: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(cli("ls", "--json", "--cache-dir", root).stdout)["voices"]
    return found


def digests(cli: Cli, root: Path) -> set[str]:
    return {voice["digest"] for voice in listed(cli, root)}


def execute(root: Path, statement: str) -> list[Any]:
    database = sqlite3.connect(root / "entries" / "cache.db", isolation_level=None)
    found = database.execute(statement).fetchall()
    database.close()
    return found


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_a_folder_that_is_not_there_is_not_made(cli: Cli, root: Path, verb: tuple[str, ...]) -> None:
    cli(*verb, "--cache-dir", root, code=1 if "abcd" in verb else 0)
    assert not root.exists()


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_a_folder_that_others_can_write_to_is_refused_in_one_line(cli: Cli, root: Path, verb: tuple[str, ...]) -> None:
    fill(root, ANNA)
    root.chmod(0o777)
    shown = cli(*verb, "--cache-dir", root, code=1)
    assert "chmod go-w" in shown.stderr
    assert len(shown.stderr.splitlines()) == 1
    root.chmod(0o700)
    assert len(listed(cli, root)) == 1


def test_ls_has_a_row_per_voice_within_the_width(cli: Cli, root: Path) -> None:
    fill(root, ANNA, models=(ENGLISH, MULTILINGUAL))
    fill(root, BEN)
    for more in ({}, {"NO_COLOR": "1"}, {"TERM": "dumb"}):
        shown = cli("ls", "--cache-dir", root, **more).stdout
        assert max(map(len, shown.splitlines())) <= 80
        assert "\x1b" not in shown
        rows = [line for line in shown.splitlines() if digest(ANNA)[:12] in line or digest(BEN)[:12] in line]
        assert len(rows) == 2
        assert "english, multilingual" in shown
        assert "2 voices in 3 entries" in shown


def test_a_row_says_all_that_is_known_of_a_voice(cli: Cli, root: Path) -> None:
    (key,) = fill(root, ANNA)
    name(root, ANNA, "/clips/anna.wav", duration=65.0, hits=1234, saved=90.0)
    fill(root, BEN, models=(ENGLISH, MULTILINGUAL))
    execute(root, f"UPDATE Cache SET store_time = store_time - 3 * 3600, size = 167499 WHERE key = '{key}'")
    head, *rows, _ = cli("ls", "--cache-dir", root).stdout.splitlines()
    assert head.split() == ["Voice", "Length", "Models", "Size", "Age", "Hits", "Saved"]
    cells = {row[0]: row[1:] for row in (re.split(r"\s{2,}", row) for row in rows)}
    assert cells["/clips/anna.wav"] == ["1:05", "english", "167 KB", "3 h", "1,234", "90 s"]
    length, models, _, age, hits, saved = cells[digest(BEN)[:12]]
    assert (length, models, hits, saved) == ("-", "english, multilingual", "-", "-")
    assert re.fullmatch(r"\d+ s", age)


def test_ls_gives_the_figures_to_programs(cli: Cli, root: Path) -> None:
    keys = fill(root, ANNA, models=(ENGLISH, MULTILINGUAL))
    (voice,) = listed(cli, root)
    sizes = [size for (size,) in execute(root, "SELECT size FROM Cache")]
    assert voice["digest"] == digest(ANNA)
    assert voice["models"] == ["english", "multilingual"]
    assert (voice["entries"], voice["bytes"]) == (len(keys), sum(sizes))


def test_a_thousand_voices_are_listed_without_loading_torch(installed: Cli, root: Path) -> None:
    fill(root, *(b"%d" % number for number in range(1000)))
    shown = installed("ls", "--cache-dir", root, PYTHONPROFILEIMPORTTIME="1")
    assert "1,000 voices in 1,000 entries" in shown.stdout
    assert " chatterbox_cached.tiers.store\n" in shown.stderr
    assert not [line for line in shown.stderr.splitlines() if line.endswith((" torch", " numpy", " chatterbox"))]


def test_show_says_what_made_each_entry(cli: Cli, root: Path) -> None:
    keys = fill(root, ANNA, models=(ENGLISH, MULTILINGUAL))
    shown = cli("show", digest(ANNA)[:4], "--cache-dir", root).stdout
    assert max(map(len, shown.splitlines())) <= 80
    for said in (digest(ANNA), ENGLISH, MULTILINGUAL, "chatterbox-tts 0.1.7", "torch 2.6.0", "cpu", "c0ffee" * 5):
        assert said in shown
    told = json.loads(cli("show", digest(ANNA), "--json", "--cache-dir", root).stdout)
    assert [entry["key"] for entry in told["entries"]] == keys
    assert told["entries"][0]["made_by"]["numerics"] == ["torch.float32", "highest", ""]
    assert told["entries"][0]["prepare_seconds"] == 1.5


@pytest.mark.parametrize("impossible", ["1e300", "9e999", "-1e300"])
def test_a_date_that_is_none_keeps_nothing_from_being_shown(cli: Cli, root: Path, impossible: str) -> None:
    fill(root, ANNA)
    execute(root, f"UPDATE Cache SET store_time = {impossible}")
    assert "no date" in cli("show", digest(ANNA), "--cache-dir", root).stdout
    assert digest(ANNA)[:8] in cli("ls", "--cache-dir", root).stdout


def test_a_damaged_entry_is_shown_as_unusable(cli: Cli, root: Path) -> None:
    fill(root, ANNA)
    (file,) = (root / "entries").glob("*/*/*.val")
    os.truncate(file, 200)
    assert "unusable" in cli("ls", "--cache-dir", root).stdout
    assert "cut short" in cli("show", digest(ANNA)[:8], "--cache-dir", root).stdout


def test_an_audio_file_names_its_voice_wherever_it_is(cli: Cli, root: Path, tmp_path: Path) -> None:
    fill(root, ANNA, BEN)
    (tmp_path / "any name.wav").write_bytes(ANNA)
    shown = cli("show", "any name.wav", "--json", "--cache-dir", root).stdout
    assert json.loads(shown)["digest"] == digest(ANNA)
    (tmp_path / "new.wav").write_bytes(CLEO)
    assert "Nothing is cached of the audio in new.wav" in cli("rm", "new.wav", "--cache-dir", root, code=1).stderr


def test_a_beginning_that_fits_several_voices_lists_them(cli: Cli, root: Path) -> None:
    by_beginning: dict[str, bytes] = {}
    number = 0
    while (first := by_beginning.setdefault(digest(b"%d" % number)[:4], b"%d" % number)) == b"%d" % number:
        number += 1
    fill(root, first, b"%d" % number)
    shown = cli("rm", digest(first)[:4], "--cache-dir", root, code=1)
    assert len(shown.stderr.splitlines()) == 1
    assert digest(first)[:12] in shown.stderr
    assert digest(b"%d" % number)[:12] in shown.stderr
    assert len(listed(cli, root)) == 2
    assert "chatterbox-cached ls" in cli("show", digest(first)[:3], "--cache-dir", root, code=1).stderr


def test_rm_removes_these_voices_and_no_other(cli: Cli, root: Path) -> None:
    fill(root, ANNA, BEN, CLEO, models=(ENGLISH, MULTILINGUAL))
    cli("rm", digest(ANNA)[:8], "nobody", "--cache-dir", root, code=1)
    assert len(listed(cli, root)) == 3
    shown = cli("rm", digest(ANNA)[:8], digest(BEN), "--cache-dir", root).stdout
    assert shown.count("2 entries") == 2
    assert digests(cli, root) == {digest(CLEO)}


def test_clear_removes_everything_only_when_told_so(cli: Cli, root: Path) -> None:
    fill(root, ANNA, BEN)
    assert "--yes" in cli("clear", "--cache-dir", root, code=1).stderr
    assert len(listed(cli, root)) == 2
    assert "2 entries" in cli("clear", "--yes", "--cache-dir", root).stdout
    assert listed(cli, root) == []


def test_clear_whose_stdin_is_closed_is_one_line(start: Start, root: Path) -> None:
    fill(root, ANNA)
    shown = start(["sh", "-c", f'exec "{COMMAND}" clear --cache-dir "{root}" <&-'])
    assert (shown.returncode, len(shown.stderr.splitlines())) == (1, 1)
    assert "--yes" in shown.stderr


def test_prune_to_a_size_drops_what_was_stored_longest_ago(cli: Cli, root: Path) -> None:
    fill(root, ANNA, BEN, CLEO)
    each = listed(cli, root)[0]["bytes"]
    told = json.loads(cli("prune", "--to", f"{2 * each}", "--dry-run", "--json", "--cache-dir", root).stdout)
    assert (told["entries"], told["bytes_left"]) == (1, 2 * each)
    assert len(listed(cli, root)) == 3
    cli("prune", "--to", f"{2 * each}", "--cache-dir", root)
    assert digests(cli, root) == {digest(BEN), digest(CLEO)}


def test_prune_drops_what_was_not_used_for_so_long(cli: Cli, root: Path) -> None:
    (old, _) = fill(root, ANNA, BEN)
    execute(root, f"UPDATE Cache SET store_time = store_time - 91 * 86400 WHERE key = '{old}'")
    assert "Removed 0 entries" in cli("prune", "--older-than", "92d", "--cache-dir", root).stdout
    assert "Removed 1 entry" in cli("prune", "--older-than", "90d", "--cache-dir", root).stdout
    assert digests(cli, root) == {digest(BEN)}


@pytest.mark.parametrize("wrong", [(), ("--to", "much"), ("--older-than", "90"), ("--older-than", "-1d")])
def test_prune_without_a_usable_bound_is_wrong_usage(cli: Cli, root: Path, wrong: tuple[str, ...]) -> None:
    assert "prune" in cli("prune", *wrong, "--cache-dir", root, code=2).stderr


def test_check_looks_or_repairs(cli: Cli, root: Path) -> None:
    fill(root, ANNA, BEN)
    os.truncate(next((root / "entries").glob("*/*/*.val")), 200)
    assert "Found: 1 damaged entry" in cli("check", "--look", "--cache-dir", root, code=1).stdout
    assert json.loads(cli("check", "--json", "--cache-dir", root).stdout)["damaged"] == 1
    assert "1 entry is whole" in cli("check", "--look", "--cache-dir", root).stdout
    assert len(listed(cli, root)) == 1


def test_looking_makes_no_room_in_a_folder_that_holds_more_than_the_usual_limit(cli: Cli, root: Path) -> None:
    fill(root, ANNA, BEN)
    assert "2 voices" in cli("ls", "--cache-dir", root, CHATTERBOX_CACHED_SIZE_LIMIT="1").stdout
    assert len(listed(cli, root)) == 2


def test_show_says_when_a_voice_was_made_elsewhere(cli: Cli, root: Path) -> None:
    from chatterbox_cached.identity.origin import setup_of

    here = setup_of("cpu")
    (key,) = fill(root, ANNA)
    tier = DiskTier(root, 10**9)
    for processor, apart in (("GRAPE", f"processor GRAPE, here {here['processor']}"), (here["processor"], "")):
        header, payload = entry_format.opened(key, tier.entry(key))
        origin = json.dumps({"class": ENGLISH, **here, "processor": processor})
        tier.put(key, entry_format.seal(replace(header, origin=origin), payload))
        shown = cli("show", digest(ANNA), "--cache-dir", root).stdout
        assert ("made elsewhere" in shown) is bool(apart)
        told = json.loads(cli("show", digest(ANNA), "--json", "--cache-dir", root).stdout)
        assert told["entries"][0]["elsewhere"] == ([apart] if apart else [])
    tier.close()
