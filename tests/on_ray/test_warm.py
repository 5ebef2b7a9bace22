"""``warm --ray``: a folder prepared by the workers of a cluster, as the installed command, with the stand-in."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chatterbox_cached.cli.on_ray import CONNECT_SECONDS
from chatterbox_cached.settings import PREFIX
from tests.support import scenery
from tests.support.cluster import Fleet
from tests.support.commands import COMMAND

Warm = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def warm(fleet: Fleet, tmp_path: Path) -> Warm:
    """``warm(voice, "--json", code=0)``: on the cluster, in a process of its own."""

    def warm(*arguments: str | Path, code: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(COMMAND), "warm", *map(str, arguments)],
            env={**fleet.environment, "HOME": str(tmp_path), **more},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return warm


def warming(fleet: Fleet, voices: list[Path]) -> subprocess.Popen[str]:
    """``warm --ray`` of these files, at work."""
    return subprocess.Popen(
        [str(COMMAND), "warm", *map(str, voices), "--ray", "auto"],
        env=fleet.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_folder_is_prepared_once_by_workers_on_all_nodes_and_is_in_the_store(
    warm: Warm, fleet: Fleet, tmp_path: Path
) -> None:
    voices = scenery.voices(tmp_path, 8)
    noise = tmp_path / "noise.wav"
    noise.write_text("noise")
    found = json.loads(warm(tmp_path, "--ray", "auto", "--json", code=1).stdout)
    assert sorted(found["prepared"]) == sorted(map(str, voices))
    assert list(found["failed"]) == [str(noise)]
    assert (found["jobs"], found["device"], found["lost"], found["not_reached"]) == (2, "cpu", [], 0)
    assert (found["shared"], found["ray"]) == ([fleet.store.url], "auto")
    assert len(fleet.preparations) == 8 + 1  # upstream was asked for the noise, too
    assert len(set(fleet.preparations)) == 2, "one worker did it all"
    assert fleet.voices() == 8

    again = warm(*voices, "--ray", fleet.environment["RAY_ADDRESS"], "--jobs", "1")
    assert again.stdout == f"0 prepared, 8 there already, 0 failed: english on cpu, in {fleet.store.url}\n"
    assert again.stderr == ""
    assert len(fleet.preparations) == 9


def test_a_worker_that_dies_is_told_of_and_the_other_does_its_file(fleet: Fleet, tmp_path: Path) -> None:
    voices = scenery.voices(tmp_path, 10)
    with warming(fleet, voices) as command:
        until(command, lambda: len(set(fleet.preparations)) == 2)
        os.kill(int(fleet.preparations[0]), signal.SIGKILL)
        out, said = command.communicate(timeout=240)
    assert command.returncode == 1
    assert "0 failed: english on cpu" in out
    (line,) = (line for line in said.splitlines() if line.startswith("chatterbox-cached: "))  # Ray has its own to say
    assert line.startswith("chatterbox-cached: A process was ended (")
    assert " while it prepared " in line
    assert fleet.voices() == 10


def test_an_interruption_keeps_what_is_done_and_leaves_no_worker(fleet: Fleet, tmp_path: Path) -> None:
    voices = scenery.voices(tmp_path, 12)
    with warming(fleet, voices) as command:
        until(command, lambda: fleet.voices() > 0 and len(set(fleet.preparations)) == 2)
        command.send_signal(signal.SIGINT)
        out, said = command.communicate(timeout=60)
    assert command.returncode == 130, said
    kept = int(out.split()[0])
    assert f"interrupted; {kept} of 12 voices are kept" in said
    assert 0 <= fleet.voices() - kept <= 2  # each of them may have stored one just then
    for worker in set(fleet.preparations):
        until(command, lambda worker=worker: not Path("/proc", worker).exists(), ended=True)


def until(command: subprocess.Popen[str], reached: Callable[[], bool], *, ended: bool = False) -> None:
    deadline = time.monotonic() + 120
    while not reached():
        assert ended or command.poll() is None, command.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (("--ray", "auto"), {f"{PREFIX}SHARED": ""}, "The nodes of a cluster need a store to put the voices in."),
        (("--ray", "auto"), {f"{PREFIX}SHARED_MODE": "read"}, "With these settings nothing is put into the store."),
        (("--ray", "auto", "--device", "cuda"), {}, "This cluster has no GPU. Give --device cpu."),
        (("--ray", "nonsense:port"), {}, "There is no Ray cluster at nonsense:port ("),
        (("--ray", "127.0.0.1:1"), {}, "There is no Ray cluster at 127.0.0.1:1 (ConnectionRefusedError"),
        (("--ray", "auto"), {"RAY_ADDRESS": "127.0.0.1:1"}, "There is no Ray cluster at auto (ConnectionRefusedError"),
    ],
)
def test_what_is_in_the_way_is_one_line(
    warm: Warm, tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], said: str
) -> None:
    voices = scenery.voices(tmp_path, 1)
    done = warm(*voices, *arguments, code=1, **environment)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.fixture
def at_what_says_nothing(fleet: Fleet, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """``warm --ray`` at work, where something listens that is no Ray."""
    (voice,) = scenery.voices(tmp_path, 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        yield subprocess.Popen(
            [str(COMMAND), "warm", str(voice), "--ray", address],
            env={**fleet.environment, "HOME": str(tmp_path)},
            stderr=subprocess.PIPE,
            text=True,
        )


def test_what_listens_and_is_no_ray_is_given_up(at_what_says_nothing: subprocess.Popen[str]) -> None:
    with at_what_says_nothing as command:
        _, said = command.communicate(timeout=CONNECT_SECONDS + 60)
    assert command.returncode == 1
    (line,) = (line for line in said.splitlines() if line.startswith("chatterbox-cached: "))  # Ray has its own to say
    assert line.endswith(f"(TimeoutError: no answer within {CONNECT_SECONDS:g} s).")


def test_ctrl_c_ends_a_wait_for_a_cluster(at_what_says_nothing: subprocess.Popen[str]) -> None:
    with at_what_says_nothing as command:
        time.sleep(8)
        assert command.poll() is None
        command.send_signal(signal.SIGINT)
        command.communicate(timeout=20)
    assert command.returncode == 130


def test_a_store_out_of_reach_is_told_before_a_voice_is_prepared(warm: Warm, fleet: Fleet, tmp_path: Path) -> None:
    (voice,) = scenery.voices(tmp_path, 1)
    done = warm(voice, "--ray", "auto", code=1, **{f"{PREFIX}SHARED": "valkey://127.0.0.1:1"})
    assert "Nothing can be found or kept in valkey://127.0.0.1:1/0 (ConnectionError" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert fleet.preparations == []
