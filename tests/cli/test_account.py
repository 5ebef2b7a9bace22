"""The command line where the account of names and counts is malformed: said, and repaired."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.commands import Cli
from tests.support.filled_folders import fill


def test_a_malformed_account_is_found_and_repaired(cli: Cli, unladen: dict[str, str], tmp_path: Path) -> None:
    root = tmp_path / "voices"
    fill(root, b"anna")
    (root / "account.db").write_bytes(b"no database " * 100)
    assert "Found: 1 malformed account" in cli("check", "--look", "--cache-dir", root, code=1).stdout
    doctor = json.loads(cli("doctor", "--json", "--cache-dir", root, code=1, **unladen).stdout)
    assert {"what": "account", "found": "malformed", "advice": "Run: chatterbox-cached check"} in doctor["findings"]
    report = json.loads(cli("check", "--json", "--cache-dir", root).stdout)
    assert (report["account"], report["entries"], report["repaired"]) == (1, 1, True)
    assert "1 entry is whole" in cli("check", "--look", "--cache-dir", root).stdout
    assert "nothing counted yet" in cli("stats", "--cache-dir", root).stdout
