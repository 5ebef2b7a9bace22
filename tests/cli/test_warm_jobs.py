"""``warm --jobs``: real processes, with the real Chatterbox where its bits matter and else with the stand-in."""

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

import pytest

from chatterbox_cached.cli.workers import Order, Worker
from chatterbox_cached.demo import rehearsal
from chatterbox_cached.voice import entry_format
from tests.support import scenery
from tests.support.commands import COMMAND, Cli, Write
from tests.support.comparison import assert_same_entries
from tests.support.filled_folders import entries

# What a worker can have that has threads. scipy's linear algebra and numba come with the first preparation.
LIBRARIES = """
import json, pathlib

class ChatterboxTTS:
    device = "cpu"

    @classmethod
    def from_pretrained(cls, device):
        import torch
        return cls()

    def prepare_conditionals(self, wav_fpath, exaggeration=0.5):
        import numba, scipy.linalg, threadpoolctl, torch
        pools = {pool["filepath"]: pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
        pools |= {"torch": torch.get_num_threads(), "numba": numba.get_num_threads()}
        pathlib.Path(wav_fpath).with_suffix(".json").write_text(json.dumps(pools))

    def generate(self, text, audio_prompt_path=None, exaggeration=0.5): ...
"""


def test_two_jobs_make_what_one_makes_with_as_many_threads_and_each_voice_once(
    installed: Cli, chatterbox_cli: Cli, cli: Cli, hub_environment: dict[str, str], tmp_path: Path
) -> None:
    voices = [rehearsal.reference_clip(tmp_path / f"{seed}.wav", seconds=2, seed=seed) for seed in range(4)]
    bad = tmp_path / "bad.wav"
    bad.touch()
    alone, together = tmp_path / "alone", tmp_path / "together"
    chatterbox_cli("warm", *voices, "--cache-dir", alone)

    threads = {"OMP_NUM_THREADS": str(2 * int(os.environ["OMP_NUM_THREADS"]))}  # each of two has what the one has
    asked = ("warm", bad, *voices, "--jobs", "2", "--into", together, "--json")
    shown = installed(*asked, code=1, **hub_environment, **threads)
    found = json.loads(shown.stdout)
    assert found["prepared"] == [str(voice) for voice in voices]
    assert found["failed"] == {str(bad): "can't be read as audio (EOFError)"}
    assert shown.stderr == f"failed: {bad}: can't be read as audio (EOFError)\n"
    assert (found["device"], found["jobs"], found["not_reached"], found["lost"]) == ("cpu", 2, 0, [])

    assert_same_entries(entries(together), entries(alone))
    counted = json.loads(cli("stats", "--json", "--cache-dir", together).stdout)
    assert counted["totals"]["misses"] == 4 + 1  # upstream was asked for the bad one, too


def test_a_job_keeps_every_library_that_has_threads_to_its_share(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("chatterbox/tts.py", LIBRARIES)
    (tmp_path / "voice.wav").write_text("a voice")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    worker = Worker(Order("english", "cpu", None, str(tmp_path / "voices"), jobs=2))
    try:
        assert worker.loaded() == "cpu"
        worker.warm(tmp_path / "voice.wav")
        worker.dismiss()
        worker.wait(time.monotonic() + 60)
    finally:
        worker.kill()
    pools = json.loads((tmp_path / "voice.json").read_text())
    assert {"torch", "numba"} < set(pools), "no library was looked at"
    assert pools == dict.fromkeys(pools, 1)


@pytest.fixture
def slowly(environment: dict[str, str], standin_environment: dict[str, str]) -> dict[str, str]:
    """The environment in which a preparation takes long enough for something to happen meanwhile."""
    return {**environment, **standin_environment, "STANDIN_SECONDS": "0.4"}


def test_a_killed_process_is_told_of_and_the_others_do_its_files(slowly: dict[str, str], tmp_path: Path) -> None:
    voices, cache_dir = scenery.voices(tmp_path, 9), tmp_path / "voices"
    with started(slowly, voices, cache_dir) as (process, workers):
        until(process, lambda: len(entries(cache_dir)) > 0)
        os.kill(workers()[0], signal.SIGKILL)
        out, said = process.communicate(timeout=240)
    assert process.returncode == 1, said
    assert kept(out) == 9, (out, said)
    assert "0 failed: english on cpu" in out
    assert re.fullmatch(r"chatterbox-cached: A process was ended by SIGKILL .* while it .*\.\n", said), said
    assert len(entries(cache_dir)) == 9


def test_an_interruption_keeps_what_is_done_and_leaves_no_process(slowly: dict[str, str], tmp_path: Path) -> None:
    voices, cache_dir = scenery.voices(tmp_path, 12), tmp_path / "voices"
    with started(slowly, voices, cache_dir) as (process, workers):
        until(process, lambda: len(entries(cache_dir)) > 0)
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
    assert 0 <= len(after) - kept(out) <= 2  # each of them may have stored one just then
    assert 0 < len(after) < 12
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
