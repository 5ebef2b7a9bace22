"""``chatterbox-cached path``, and what holds for every verb."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import chatterbox_cached
from chatterbox_cached.cli.app import VERBS
from tests.support.commands import COMMAND, Cli


def test_path_prints_the_folder_that_a_program_would_use(cli: Cli, tmp_path: Path) -> None:
    assert cli("path").stdout == f"{tmp_path / 'home' / '.cache' / 'chatterbox-cached'}\n"
    assert cli("path", CHATTERBOX_CACHED_DIR=str(tmp_path / "theirs")).stdout == f"{tmp_path / 'theirs'}\n"
    assert cli("path", "--cache-dir", tmp_path / "mine").stdout == f"{tmp_path / 'mine'}\n"


def test_the_version_is_that_of_the_package(cli: Cli) -> None:
    assert cli("--version").stdout == f"chatterbox-cached {chatterbox_cached.__version__}\n"


def test_wrong_usage_ends_with_2_and_says_what_to_do(cli: Cli) -> None:
    for wrong, said in {
        ("pth",): "No such command 'pth'. See: chatterbox-cached --help",
        ("ls", "--nope"): "No such option: --nope. See: chatterbox-cached ls --help",
        ("show",): "Missing argument 'VOICE'. See: chatterbox-cached show --help",
        ("ls", "--cache-dir", ""): "Invalid value for '--cache-dir': it is empty; give a folder. See: ",
        ("warm", "a.wav", "--model", "french"): "Invalid value for '--model': 'french' is not one of",
        ("demo", "--voice", "missing.wav"): "Invalid value for '--voice': ",
        ("export",): "Missing option '--output'",
        ("export", "-o", "x.cbv"): "Give the voices to export, or --all. See: chatterbox-cached export --help",
    }.items():
        shown = cli(*wrong, code=2)
        assert shown.stdout == ""
        assert len(shown.stderr.splitlines()) == 1, shown.stderr
        assert shown.stderr.startswith(f"chatterbox-cached: {said}")
    assert "Usage: chatterbox-cached" in cli(code=2).stderr


def test_the_module_is_the_command_too(environment: dict[str, str]) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "chatterbox_cached", "--help"], env=environment, capture_output=True, text=True
    )
    assert shown.returncode == 0
    assert shown.stdout.startswith("Usage: chatterbox-cached")


def test_an_error_is_one_line_that_says_what_to_do(cli: Cli, tmp_path: Path) -> None:
    shown = cli("path", code=1, CHATTERBOX_CACHED_SIZE_LIMIT="lots")
    assert shown.stdout == ""
    assert len(shown.stderr.splitlines()) == 1
    assert "CHATTERBOX_CACHED_SIZE_LIMIT" in shown.stderr or "size_limit" in shown.stderr
    (tmp_path / "file").touch()
    assert "cache_dir is 'file', but must be a folder" in cli("ls", "--cache-dir", "file", code=1).stderr


def test_the_folder_comes_out_as_it_is_named_whatever_stdout_can_show(
    environment: dict[str, str], tmp_path: Path
) -> None:
    folder = os.fsencode(tmp_path) + b"/\xc3\xa4\xff"
    shown = subprocess.run(
        [str(COMMAND), "path", "--cache-dir", folder],
        env={**environment, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert (shown.stdout, shown.stderr) == (folder + b"\n", b"")


LOADED = """
import atexit, sys
atexit.register(lambda: print(*(name for name in sys.modules if name.startswith("chatterbox_cached.cli.")), file=out))
out = open(sys.argv.pop(1), "w")
from chatterbox_cached.cli.app import main
main()
"""


@pytest.mark.parametrize("verb", ["--help", "--version", "path", "ls", "stats", "show", "check", "doctor"])
def test_a_verbs_module_is_loaded_only_when_it_is_called(
    environment: dict[str, str], unladen: dict[str, str], tmp_path: Path, verb: str
) -> None:
    arguments = [verb, *(["abcd"] if verb == "show" else [])]
    subprocess.run(
        [sys.executable, "-c", LOADED, tmp_path / "loaded", *arguments],
        env={**environment, **unladen},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    loaded = {name.rpartition(".")[2] for name in (tmp_path / "loaded").read_text().split()}
    called = {verb} & set(VERBS)
    assert loaded & {each.module for each in VERBS.values()} == called
    assert "app" in loaded
    if verb in ("--help", "--version", "path"):
        assert loaded - {"common", "verbs"} == {"app"} | called
