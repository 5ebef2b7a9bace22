"""Voices by the names and paths that a program's calls left in the account of the folder."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from chatterbox_cached.demo import rehearsal
from tests.support.commands import REPOSITORY, Cli
from tests.support.filled_folders import ENGLISH

STANDIN = REPOSITORY / "tests" / "support" / "standin"
PROGRAM = """
import sys, time
from chatterbox.tts import ChatterboxTTS  # the stand-in: names and counts do not depend on how a voice is made
from chatterbox_cached import ConditionalCache

ChatterboxTTS.meanwhile = staticmethod(lambda _: time.sleep(0.5))  # so that a hit saves something
cache = ConditionalCache(sys.argv[1])
model = ChatterboxTTS()
for path in sys.argv[2:]:
    for _ in range(3):
        cache.get_or_prepare(model, path)
cache.close()
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder ``voices`` that a program has filled, beside the audio it was given."""
    home = tmp_path_factory.mktemp("names")
    clips = [home / "deep" / "anna.wav", home / ("long " * 12) / "ben [bold]x.wav"]
    for seed, clip in enumerate(clips):
        clip.parent.mkdir()
        rehearsal.reference_clip(clip, seconds=3, seed=seed)
    subprocess.run(
        [sys.executable, "-c", PROGRAM, home / "voices", *clips],
        env={"PYTHONPATH": os.pathsep.join([str(STANDIN), str(REPOSITORY)]), "OMP_NUM_THREADS": "1", "HOME": str(home)},
        check=True,
        timeout=300,
    )
    return home


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "voices", tmp_path / "voices"))


def test_ls_shows_names_lengths_and_hits(cli: Cli, root: Path, made: Path) -> None:
    shown = cli("ls", "--cache-dir", root).stdout
    assert max(map(len, shown.splitlines())) <= 80
    for said in ("anna.wav", "ben [bold]x.wav", "3.0 s", "english", "4 hits"):
        assert said in shown
    voices = {voice["name"]: voice for voice in json.loads(cli("ls", "--json", "--cache-dir", root).stdout)["voices"]}
    assert voices["anna.wav"]["path"] == str(made / "deep" / "anna.wav")
    assert voices["anna.wav"]["hits"] == 2
    assert voices["anna.wav"]["saved_seconds"] > 0


def test_a_voice_goes_by_its_name_and_by_its_path(cli: Cli, root: Path, made: Path) -> None:
    path = str(made / "deep" / "anna.wav")
    shown = cli("show", "anna.wav", "--cache-dir", root).stdout
    assert ENGLISH in shown
    assert "2 hits" in shown
    assert cli("show", path, "--cache-dir", root).stdout.splitlines()[0] == shown.splitlines()[0] == "anna.wav"


def test_a_removed_voice_is_no_longer_known(cli: Cli, root: Path) -> None:
    assert cli("rm", "anna.wav", "--cache-dir", root).stdout.startswith("Removed anna.wav: 1 entry")
    assert "No voice is known as" in cli("show", "anna.wav", "--cache-dir", root, code=1).stderr
    assert "anna" not in cli("ls", "--cache-dir", root).stdout
    assert "1 voice in" in cli("ls", "--cache-dir", root).stdout


def test_prune_keeps_what_was_used_lately_however_old_it_is(cli: Cli, root: Path) -> None:
    database = sqlite3.connect(root / "entries" / "cache.db", isolation_level=None)
    database.execute("UPDATE Cache SET store_time = store_time - 91 * 86400")
    database.close()
    assert "Removed 0 entries" in cli("prune", "--older-than", "90d", "--cache-dir", root).stdout
