"""``chatterbox-cached path``, and what holds for every verb."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import chatterbox_cached

from .conftest import Cli


def test_path_prints_the_folder_that_a_program_would_use(cli: Cli, tmp_path: Path) -> None:
    assert cli("path").stdout == f"{tmp_path / 'home' / '.cache' / 'chatterbox-cached'}\n"
    assert cli("path", CHATTERBOX_CACHED_DIR=str(tmp_path / "theirs")).stdout == f"{tmp_path / 'theirs'}\n"
    assert cli("path", "--cache-dir", tmp_path / "mine").stdout == f"{tmp_path / 'mine'}\n"


def test_the_version_is_that_of_the_package(cli: Cli) -> None:
    assert cli("--version").stdout == f"chatterbox-cached {chatterbox_cached.__version__}\n"


def test_wrong_usage_ends_with_2_and_says_what_to_do(cli: Cli) -> None:
    assert "--help" in cli("pth", code=2).stderr


def test_the_module_is_the_command_too(environment: dict[str, str]) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "chatterbox_cached", "--help"], env=environment, capture_output=True, text=True
    )
    assert shown.returncode == 0
    assert shown.stdout.startswith("Usage: chatterbox-cached")


def test_an_error_is_one_line_that_says_what_to_do(cli: Cli) -> None:
    shown = cli("path", code=1, CHATTERBOX_CACHED_SIZE_LIMIT="lots")
    assert shown.stdout == ""
    assert len(shown.stderr.splitlines()) == 1
    assert "CHATTERBOX_CACHED_SIZE_LIMIT" in shown.stderr or "size_limit" in shown.stderr
