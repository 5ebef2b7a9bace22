"""The installed command says and does what the tests' own way to call it does: a fork of a preloaded process."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from chatterbox_cached.cli.app import VERBS
from tests.support.commands import REPOSITORY, STANDIN, Cli, Write
from tests.support.filled_folders import digest, entries, fill

ANNA = b"anna"
# What each verb is called with, and the code that it then ends with.
CALLS: dict[str, tuple[tuple[str, ...], int]] = {
    "run": (("script.py", "an argument"), 7),
    "stats": ((), 0),
    "report": (("-o", "report.html"), 0),
    "ls": ((), 0),
    "show": ((digest(ANNA),), 0),
    "warm": (("new.wav", "missing.wav"), 1),
    "verify": (("new.wav",), 1),
    "voices": (("show", "nobody"), 1),
    "page": (("--host", "0.0.0.0"), 1),
    "rm": ((digest(ANNA), "nobody"), 1),
    "lift": ((digest(ANNA),), 1),
    "prune": (("--to", "1"), 0),
    "clear": (("--yes",), 0),
    "check": (("--look",), 1),
    "path": ((), 0),
    "export": (("--all", "-o", "anna.pt"), 0),
    "import": (("missing.cbv",), 1),
    "keys": (("--to", "missing/private.env"), 1),
    "doctor": ((), 0),
    "demo": (("--voice", "missing.wav"), 2),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with one voice of three days ago, and beside it a damaged file that no entry is in."""
    root = tmp_path / "voices"
    fill(root, ANNA)
    database = sqlite3.connect(root / "entries" / "cache.db", isolation_level=None)
    database.execute("UPDATE Cache SET store_time = store_time - 3 * 86400")
    database.close()
    left_over = root / "entries" / "00" / "11" / ("a" * 28 + ".val")
    left_over.parent.mkdir(parents=True)
    left_over.touch()
    os.utime(left_over, (0, 0))
    return root


def outcome(cli: Cli, verb: str, root: Path, **more: str) -> tuple[str, str, set[str]]:
    """What it says, without times, and of which entries there are then."""
    arguments, code = CALLS[verb]
    if verb not in ("demo", "keys", "voices"):
        arguments = ("--cache-dir", str(root), *arguments)
    done = cli(verb, *arguments, code=code, **more)
    said = [re.sub(r"\d+\.\d+ ms", "ms", text) for text in (done.stdout, done.stderr)]
    return said[0], said[1], set(entries(root))


@pytest.mark.parametrize("verb", VERBS)
def test_the_installed_command_is_what_the_other_tests_call(
    installed: Cli, cli: Cli, write: Write, unladen: dict[str, str], root: Path, verb: str
) -> None:
    write("script.py", "import os, sys\nprint(sys.argv, os.environ['CHATTERBOX_CACHED_DIR'])\nsys.exit(7)\n")
    write("new.wav", "a voice")
    more = {"PYTHONPATH": f"{STANDIN}{os.pathsep}{REPOSITORY}"} if verb in ("warm", "verify") else unladen
    before = Path(shutil.copytree(root, root.with_name("before")))
    by_itself = outcome(installed, verb, root, **more)
    shutil.rmtree(root)
    before.rename(root)
    (root.parent / "anna.pt").unlink(missing_ok=True)
    assert outcome(cli, verb, root, **more) == by_itself


def test_the_installed_command_ends_with_the_code_of_an_error(installed: Cli) -> None:
    assert "Usage: chatterbox-cached" in installed(code=2).stderr
    assert installed("show", "nobody", code=1).stderr.startswith("chatterbox-cached: ")
