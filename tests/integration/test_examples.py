"""Each example runs unmodified on a hub folder with random weights, and one of them as a user runs it."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torchaudio

from tests.support.commands import REPOSITORY
from tests.support.preloaded import Preloaded

EXAMPLES = REPOSITORY / "examples"


class Ran(NamedTuple):
    """An example that has ended well: what it printed, what it warned of, and where it was."""

    stdout: str
    stderr: str
    folder: Path

    def served(self, voice: Path) -> list[str]:
        """Where ``voice`` came from, each time that the example says so."""
        lines = self.stdout.splitlines()
        return [line.split(": ")[1].split(",")[0] for line in lines if line.startswith(f"{voice}: ")]

    def wavs(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "out").iterdir())


Run = Callable[..., Ran]


@pytest.fixture
def run(preloaded_chatterbox: Preloaded, hub_environment: dict[str, str], tmp_path: Path) -> Run:
    """``run("dialogue.py", voice)``: in a fork of a preloaded process."""
    return _ending_well(preloaded_chatterbox.run, hub_environment, tmp_path)


@pytest.fixture
def run_by_itself(hub_environment: dict[str, str], tmp_path: Path) -> Run:
    """The same in a new Python."""
    return _ending_well(functools.partial(subprocess.run, capture_output=True, text=True), hub_environment, tmp_path)


def _ending_well(run: Callable[..., Any], environment: dict[str, str], folder: Path) -> Run:
    def run_example(example: str, *voices: Path) -> Ran:
        arguments = [sys.executable, str(EXAMPLES / example), "--device", "cpu", *map(str, voices)]
        done = run(arguments, cwd=folder, env=os.environ | environment)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "MismatchWarning" not in done.stderr
        assert "CacheWarning" not in done.stderr
        return Ran(done.stdout, done.stderr, folder)

    return run_example


def test_simple_caching_prepares_each_voice_once(run: Run, voice: Path, other_voice: Path) -> None:
    ran = run("simple_caching.py", voice, other_voice)
    assert ran.served(voice) == ["upstream", *["memory"] * 4]
    assert ran.served(other_voice) == ["upstream", "memory"]
    assert "2 in memory, 2 on disk" in ran.stdout
    texts, turns = [f"text-{n}.wav" for n in (1, 2, 3)], [f"voice-{v}-turn-{t}.wav" for v in (1, 2) for t in (1, 2)]
    assert ran.wavs() == sorted(texts + turns)


def test_with_caching_compares_and_finds_all_voices_on_disk(run: Run, voice: Path, other_voice: Path) -> None:
    ran = run("with_caching.py", voice, other_voice)
    assert ran.served(voice) == ["upstream", "disk"]
    assert ran.served(other_voice) == ["upstream", "disk"]
    assert "4 memory hits, 0 disk hits, 2 misses, 0 bypasses" in ran.stdout
    assert "0 memory hits, 2 disk hits, 0 misses, 0 bypasses" in ran.stdout
    assert ran.wavs() == sorted(f"{name}-{number}.wav" for name in ("with", "without") for number in (1, 2, 3, 4))
    assert ran.stdout.count("prepared in") == 8


def test_dialogue_cannot_mix_up_the_exaggerations(run: Run, voice: Path, other_voice: Path) -> None:
    ran = run("dialogue.py", voice, other_voice)
    assert ran.stdout.count("same samples = True") == 2
    assert "same samples = False" not in ran.stdout
    assert "4 memory hits, 0 disk hits, 2 misses, 0 bypasses" in ran.stdout
    assert ran.wavs() == ["1-Anna.wav", "2-Ben.wav", "3-Anna.wav", "4-Ben.wav"]


def test_the_unchanged_script_prepares_once_and_never_again(
    run_by_itself: Run, run: Run, tmp_path: Path, voice: Path
) -> None:
    first = run_by_itself("unchanged_script.py", voice)
    assert "1 memory hits, 0 disk hits, 1 misses, 0 bypasses" in first.stdout
    assert first.wavs() == ["builtin.wav", "voice-1.wav", "voice-2.wav"]
    audio, rate = torchaudio.load(str(tmp_path / "out" / "voice-1.wav"))
    assert rate == 24000
    assert torch.isfinite(audio).all()

    again = run("unchanged_script.py", voice)
    assert "1 memory hits, 1 disk hits, 0 misses, 0 bypasses" in again.stdout
