"""The demo with a store: two workers, each with a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import COMMAND, shallow_environment


@pytest.mark.skipif(os.name == "nt", reason="there is no Valkey for Windows")
def test_the_demo_with_a_store_shows_two_workers_of_which_each_voice_is_prepared_by_one(
    voice: Path, tmp_path: Path
) -> None:
    command = [COMMAND, "demo", "--shared", "--json", "--voice", voice, "--out", "out"]
    (temporary := tmp_path / "t").mkdir()
    env = {**shallow_environment(tmp_path), "TMPDIR": str(temporary)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["same"], found["preparations"], found["published_weights"]) == (True, 2, False)
    alone, first, second, *others = [call["voice_from"] for call in found["calls"]]
    assert (alone, first, second) == ("no cache", "upstream", "store")
    assert sorted(others) == ["no cache", "store", "upstream"]
    assert len([line for line in done.stderr.splitlines() if line.endswith(" yes")]) == len(found["calls"])
    assert "RANDOM WEIGHTS" in done.stderr
    assert max(map(len, done.stderr.splitlines())) <= 80
    assert list(temporary.iterdir()) == []
