"""``chatterbox-cached stats``: totals of all processes, and what is in the folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chatterbox_cached import ConditionalCache
from tests.support.commands import Cli


def test_a_folder_that_nobody_used_has_nothing_counted_and_is_not_made(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "none"
    shown = cli("stats", "--cache-dir", folder)
    assert "nothing counted yet" in shown.stdout
    data = json.loads(cli("stats", "--cache-dir", folder, "--json").stdout)
    assert (data["since"], data["totals"]["misses"], data["kept"]["voices"]) == (None, 0, 0)
    assert not folder.exists()


def test_totals_are_those_of_everybody_who_used_the_folder(cli: Cli, used: Path) -> None:
    folder = used
    data = json.loads(cli("stats", "--cache-dir", folder, "--json").stdout)
    totals, kept = data["totals"], data["kept"]
    assert (totals["misses"], totals["memory_hits"], totals["disk_hits"]) == (1, 2, 1)
    assert totals["saved_seconds"] > 0
    assert (kept["voices"], kept["entries"], kept["size_limit"]) == (1, 1, 2**30)
    assert kept["bytes"] > 50_000

    shown = cli("stats", "--cache-dir", folder, NO_COLOR="1", COLUMNS="80").stdout
    assert "\x1b" not in shown
    assert all(len(line) <= 80 for line in shown.splitlines()[1:])
    rows = {line.split("  ")[0].strip(): line.split()[-1] for line in shown.splitlines()[1:] if line.strip()}
    assert (rows["misses"], rows["memory hits"], rows["disk hits"], rows["voices"]) == ("1", "2", "1", "1")


def test_looking_drops_nothing_that_is_over_the_limit(cli: Cli, tmp_path: Path, english: Any, voice: Path) -> None:
    folder = tmp_path / "voices"
    cache = ConditionalCache(folder)
    cache.get_or_prepare(english, voice)
    cache.close()
    data = json.loads(cli("stats", "--json", "--cache-dir", folder, CHATTERBOX_CACHED_SIZE_LIMIT="1000").stdout)
    assert (data["kept"]["entries"], data["kept"]["size_limit"]) == (1, 1000)


def test_an_account_that_cannot_be_read_is_one_line_of_advice(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "account.db").write_bytes(b"no database " * 100)
    shown = cli("stats", "--cache-dir", tmp_path, code=1)
    assert shown.stdout == ""
    assert len(shown.stderr.splitlines()) == 1
    assert "delete it" in shown.stderr
