"""Several processes, one folder: new ones with the stand-in, and forks of one that has loaded the real Chatterbox."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from chatterbox_cached import ConditionalCache
from tests.support.commands import REPOSITORY, STANDIN
from tests.support.crowd import wanted_at_once
from tests.support.preloaded import Preloaded
from tests.support.speech import speak

# Says that it is ready, waits for the word to go, and says how it was served.
PREPARE = """
import sys
from chatterbox.tts import ChatterboxTTS
from chatterbox_cached import ConditionalCache

model = ChatterboxTTS()
cache = ConditionalCache(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
cache.get_or_prepare(model, sys.argv[1])
now = cache.get_cache_stats()
print(now["misses"], now["disk_hits"], sum(now["bypasses"].values()), sum(now["errors"].values()))
"""

LOAD = """
import sys
import chatterbox_cached
import torch
from tests.support.preloaded import Preloaded
from tests.support.speech import speak

name, folder, voice, target = sys.argv[1:]
cache = chatterbox_cached.ConditionalCache(folder)
proxy = getattr(chatterbox_cached, name)
model = proxy.from_pretrained(device="cpu", cache=cache)
said = [speak(model, audio_prompt_path=voice) for _ in range(2)]
print(type(model).__name__, cache.get_cache_stats()["misses"], cache.get_cache_stats()["memory_hits"])
torch.save(said, target)
"""


def test_processes_that_want_a_new_voice_at_once_prepare_it_once(voice: Path, tmp_path: Path) -> None:
    own = {"PYTHONPATH": f"{STANDIN}{os.pathsep}{REPOSITORY}", "STANDIN_SECONDS": "0.5"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PREPARE, str(voice), str(tmp_path / "voices")],
            env=os.environ | own,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        while process.stdout.readline() != "ready\n":
            assert process.poll() is None
    served = [process.communicate()[0].splitlines()[-1].split() for process in _told_to_go(processes)]
    misses, disk_hits, bypasses, errors = (sum(map(int, column)) for column in zip(*served, strict=True))
    assert (misses, disk_hits, bypasses, errors) == (1, 1, 0, 0)


def _told_to_go(processes: list[subprocess.Popen[str]]) -> list[subprocess.Popen[str]]:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return processes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the model is shared by a fork")
def test_eight_processes_that_want_a_new_voice_at_once_have_upstream_prepare_it_once(
    english: Any, voice: Path, tmp_path: Path, one_thread: None
) -> None:
    def cache_of(_: int) -> ConditionalCache:
        return ConditionalCache(tmp_path / "voices")

    assert wanted_at_once(8, english, voice, tmp_path / "log", cache_of) == ["upstream"] + ["hit"] * 7


@pytest.mark.parametrize(("proxy", "kind"), [("CachedTTS", "english"), ("CachedMultilingualTTS", "multilingual")])
def test_a_drop_in_loads_by_from_pretrained_and_speaks_as_upstream(
    proxy: str,
    kind: str,
    preloaded_chatterbox: Preloaded,
    hub_environment: dict[str, str],
    voice: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    target = tmp_path / "said.pt"
    program = [sys.executable, "-c", LOAD, proxy, str(tmp_path / "voices"), str(voice), str(target)]
    run = preloaded_chatterbox.run(program, env=os.environ | hub_environment, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == f"{proxy} 1 1"
    expected = speak(request.getfixturevalue(kind), audio_prompt_path=voice)
    assert all(torch.equal(said, expected) for said in torch.load(target))
