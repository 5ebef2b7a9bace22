"""Each example runs as a user runs it, unmodified, on a hub folder with random weights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import torchaudio

ROOT = Path(__file__).parents[2]


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


class Stage(NamedTuple):
    """Where the examples of this module find Chatterbox."""

    hub: Path
    path: Path  # for PYTHONPATH

    def run(self, example: str, folder: Path, *voices: Path) -> Ran:
        own = {"HF_HUB_CACHE": self.hub, "HF_HUB_OFFLINE": 1, "PYTHONPATH": f"{self.path}{os.pathsep}{ROOT}"}
        done = subprocess.run(
            [sys.executable, str(ROOT / "examples" / example), "--device", "cpu", *map(str, voices)],
            cwd=folder,
            env=os.environ | {name: str(value) for name, value in own.items()},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "MismatchWarning" not in done.stderr
        assert "CacheWarning" not in done.stderr
        return Ran(done.stdout, done.stderr, folder)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, hub: Path) -> Stage:
    path = tmp_path_factory.mktemp("path")
    (path / "sitecustomize.py").write_text("from chatterbox_cached.demo import shortening\nshortening.shorten()\n")
    return Stage(hub, path)


def test_simple_caching_prepares_each_voice_once(stage: Stage, tmp_path: Path, voice: Path, other_voice: Path) -> None:
    ran = stage.run("simple_caching.py", tmp_path, voice, other_voice)
    assert ran.served(voice) == ["upstream", *["memory"] * 4]
    assert ran.served(other_voice) == ["upstream", "memory"]
    assert "2 in memory, 2 on disk" in ran.stdout
    texts, turns = [f"text-{n}.wav" for n in (1, 2, 3)], [f"voice-{v}-turn-{t}.wav" for v in (1, 2) for t in (1, 2)]
    assert ran.wavs() == sorted(texts + turns)


def test_with_caching_compares_and_finds_all_voices_on_disk(
    stage: Stage, tmp_path: Path, voice: Path, other_voice: Path
) -> None:
    ran = stage.run("with_caching.py", tmp_path, voice, other_voice)
    assert ran.served(voice) == ["upstream", "disk"]
    assert ran.served(other_voice) == ["upstream", "disk"]
    assert "4 memory hits, 0 disk hits, 2 misses, 0 bypasses" in ran.stdout
    assert "0 memory hits, 2 disk hits, 0 misses, 0 bypasses" in ran.stdout
    assert ran.wavs() == sorted(f"{name}-{number}.wav" for name in ("with", "without") for number in (1, 2, 3, 4))
    assert ran.stdout.count("prepared in") == 8


def test_dialogue_cannot_mix_up_the_exaggerations(stage: Stage, tmp_path: Path, voice: Path, other_voice: Path) -> None:
    ran = stage.run("dialogue.py", tmp_path, voice, other_voice)
    assert ran.stdout.count("same samples = True") == 2
    assert "same samples = False" not in ran.stdout
    assert "4 memory hits, 0 disk hits, 2 misses, 0 bypasses" in ran.stdout
    assert ran.wavs() == ["1-Anna.wav", "2-Ben.wav", "3-Anna.wav", "4-Ben.wav"]


def test_the_unchanged_script_prepares_once_and_never_again(stage: Stage, tmp_path: Path, voice: Path) -> None:
    first = stage.run("unchanged_script.py", tmp_path, voice)
    assert "1 memory hits, 0 disk hits, 1 misses, 0 bypasses" in first.stdout
    assert first.wavs() == ["builtin.wav", "voice-1.wav", "voice-2.wav"]
    audio, rate = torchaudio.load(str(tmp_path / "out" / "voice-1.wav"))
    assert rate == 24000
    assert torch.isfinite(audio).all()

    again = stage.run("unchanged_script.py", tmp_path, voice)
    assert "1 memory hits, 1 disk hits, 0 misses, 0 bypasses" in again.stdout
