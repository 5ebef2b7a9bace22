"""``warm --jobs``: real processes, each with a model that ``from_pretrained`` loads from a hub folder."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from chatterbox_cached import ConditionalCache
from chatterbox_cached.demo import rehearsal
from chatterbox_cached.voice import entry_format
from chatterbox_cached.voice.snapshot import equal
from tests.support.commands import COMMAND, Cli
from tests.support.filled_folders import entries


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("crowd")
    return [rehearsal.reference_clip(folder / f"{seed}.wav", seconds=3, seed=seed) for seed in range(12)]


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the tests of this module fill, from the first to the last of the voices."""
    return tmp_path_factory.mktemp("cache") / "voices"


def test_two_jobs_make_what_one_makes_and_each_voice_once(
    cli: Cli, stage: dict[str, str], voices: list[Path], cache_dir: Path, english: Any, tmp_path: Path
) -> None:
    alone = ConditionalCache(tmp_path / "alone")
    for voice in voices[:4]:
        alone.get_or_prepare(english, voice)
    alone.close()
    bad = tmp_path / "bad.wav"
    bad.touch()

    threads = {"OMP_NUM_THREADS": str(2 * torch.get_num_threads())}  # each of two has what this process has
    files = [bad, *voices[:4]]
    shown = cli("warm", *files, "--jobs", "2", "--cache-dir", cache_dir, "--json", code=1, **stage, **threads)
    found = json.loads(shown.stdout)
    assert found["prepared"] == [str(voice) for voice in voices[:4]]
    assert found["failed"] == {str(bad): "can't be read as audio (EOFError)"}
    assert shown.stderr == f"failed: {bad}: can't be read as audio (EOFError)\n"
    assert (found["device"], found["jobs"], found["not_reached"], found["lost"]) == ("cpu", 2, 0, [])

    ours, theirs = entries(cache_dir), entries(tmp_path / "alone")
    assert ours.keys() == theirs.keys()
    assert all(equal(entry_format.decode(key, ours[key]), entry_format.decode(key, theirs[key])) for key in ours)
    counted = json.loads(cli("stats", "--json", "--cache-dir", cache_dir).stdout)
    assert counted["totals"]["misses"] == 4 + 1  # upstream was asked for the bad one, too


def test_a_killed_process_is_told_of_and_the_others_do_its_files(
    environment: dict[str, str], stage: dict[str, str], voices: list[Path], cache_dir: Path
) -> None:
    before = entries(cache_dir)
    with started({**environment, **stage}, voices[:9], cache_dir) as (process, workers):
        until(process, lambda: len(entries(cache_dir)) > len(before))
        os.kill(workers()[0], signal.SIGKILL)
        out, said = process.communicate(timeout=240)
    assert process.returncode == 1, said
    assert kept(out) == 9, (out, said)
    assert "0 failed: english on cpu" in out
    assert re.fullmatch(r"chatterbox-cached: A process was ended by SIGKILL .* while it .*\.\n", said), said
    assert len(entries(cache_dir)) == 9


def test_an_interruption_keeps_what_is_done_and_leaves_no_process(
    environment: dict[str, str], stage: dict[str, str], voices: list[Path], cache_dir: Path
) -> None:
    before = entries(cache_dir)
    with started({**environment, **stage}, voices, cache_dir) as (process, workers):
        until(process, lambda: len(entries(cache_dir)) > len(before))
        theirs = workers()
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert f"interrupted; {kept(out)} of 12 voices are kept" in said
    assert len(said.splitlines()) == 1, said
    assert len(theirs) == 2
    for worker in theirs:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)
    after = entries(cache_dir)
    assert before.items() <= after.items()
    assert 0 <= len(after) - kept(out) <= 2  # each of them may have stored one just then
    assert len(before) < len(after) < 12
    assert all(entry_format.decode(key, entry) for key, entry in after.items())


def kept(out: str) -> int:
    """How many voices are prepared or were there already."""
    counts = re.match(r"(\d+) prepared, (\d+) there already, ", out)
    assert counts, out
    return int(counts[1]) + int(counts[2])


@contextlib.contextmanager
def started(
    environment: dict[str, str], voices: list[Path], cache_dir: Path
) -> Iterator[tuple[subprocess.Popen[str], Callable[[], list[int]]]]:
    """A warm of these voices with two jobs, and the processes that it has started so far."""
    process = subprocess.Popen(
        [str(COMMAND), "warm", *map(str, voices), "--jobs", "2", "--cache-dir", str(cache_dir)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def workers() -> list[int]:
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], check=True, capture_output=True, text=True).stdout
        pairs = (map(int, line.split()) for line in listed.splitlines())
        return [pid for pid, parent in pairs if parent == process.pid]

    try:
        yield process, workers
    finally:
        process.kill()
        process.communicate()


def until(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    while not reached():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
