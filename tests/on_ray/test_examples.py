"""The examples for Ray, unmodified, on two nodes: every voice is prepared once in all of the cluster."""

from __future__ import annotations

import hashlib
import io
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import soundfile

from benchmarks.servers import free_port
from chatterbox_cached.demo import rehearsal
from tests.support import scenery
from tests.support.cluster import Fleet
from tests.support.commands import REPOSITORY

EXAMPLES = REPOSITORY / "examples"
SECONDS = 120.0
Ask = Callable[[str], tuple[bytes, str]]


def test_a_batch_prepares_each_voice_once_and_speaks_every_row(real_fleet: Fleet, tmp_path: Path) -> None:
    voices = [rehearsal.reference_clip(tmp_path / f"{seed}.wav", seconds=2, seed=seed) for seed in range(3)]
    rows = [f"{voice},Text {number} in this voice." for number in range(2) for voice in voices]
    (tmp_path / "rows.csv").write_text("\n".join(["voice,text", *rows]))
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "ray_batch.py"), "rows.csv", "--device", "cpu"],
        cwd=tmp_path,
        env=real_fleet.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "CacheWarning" not in done.stdout + done.stderr
    assert "3 voices are in the shared store." in done.stdout
    assert len(real_fleet.preparations) == real_fleet.voices() == 3
    wavs = sorted((tmp_path / "out").iterdir())
    assert [wav.name for wav in wavs] == [f"{number}.wav" for number in range(1, 7)]
    for wav in wavs:
        samples, rate = soundfile.read(wav)
        assert rate == 24_000
        assert samples.size > 0


def test_a_server_prepares_each_voice_once_and_keeps_it_with_one_replica(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "voices").mkdir()
    voices = scenery.voices(tmp_path / "voices", 6)
    with serving(fleet, tmp_path) as ask:
        first = {voice: ask(voice.name) for voice in voices}
        time.sleep(2)  # replicas tell every 0.1 s of what they have
        again = [(voice, ask(voice.name)) for _ in range(4) for voice in voices]
        with pytest.raises(urllib.error.HTTPError, match="404"):
            ask("../rows.csv")
    for voice, (wav, replica) in [*first.items(), *again]:
        assert says(wav, voice)
        assert replica == first[voice][1]
    assert len({replica for _, replica in first.values()}) == 2, "one replica did it all"
    assert len(fleet.preparations) == fleet.voices() == 6


def says(wav: bytes, voice: Path) -> bool:
    """Whether the stand-in has spoken with this voice: its sound is the digest of the file, six times."""
    samples, _ = soundfile.read(io.BytesIO(wav), dtype="float32")
    return bytes(samples[192:384].astype("uint8")) == hashlib.sha256(voice.read_bytes()).digest() * 6


@contextmanager
def serving(fleet: Fleet, folder: Path) -> Iterator[Ask]:
    """``ask("anna.wav")`` gives the audio and the replica; the server speaks with the voices in ``folder``/voices."""
    port = free_port()

    def ask(voice: str) -> tuple[bytes, str]:
        headers = {"serve_multiplexed_model_id": voice}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/?text=Hello", headers=headers)
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.read(), answer.headers["x-replica"]

    with (folder / "said").open("w") as said:
        server = subprocess.Popen(
            [sys.executable, str(EXAMPLES / "ray_serve.py"), "voices", "--device", "cpu", "--port", str(port)],
            cwd=folder,
            env=fleet.environment,
            stdout=said,
            stderr=said,
        )
    try:
        until = time.monotonic() + SECONDS
        while "is ready at" not in (folder / "said").read_text():
            assert server.poll() is None, (folder / "said").read_text()
            assert time.monotonic() < until, (folder / "said").read_text()
            time.sleep(0.2)
        yield ask
        server.send_signal(signal.SIGINT)
        assert server.wait(SECONDS) == 0, (folder / "said").read_text()
    finally:
        server.kill()
        server.wait()
