"""Unchanged programs, as real processes, have the cache on: upstream's own script with the real Chatterbox.

How programs start their processes and import their modules is their own; the stand-in will do for that.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import soundfile

from chatterbox_cached.accounting.tally import Report
from chatterbox_cached.patching.autostart import REPORT
from tests.support.commands import COMMAND, REPOSITORY, STANDIN, process_in

PROGRAMS = Path(__file__).parent / "programs"
COUNTED = [str(COMMAND), "run", "--json"]
PATIENCE = 300.0  # seconds

Start = Callable[..., "contextlib.AbstractContextManager[subprocess.Popen[str]]"]


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Start:
    """``with start([...]) as process``: with the stand-in, in a folder of its own; killed if it does not end."""
    own = {
        "STANDIN_SECONDS": "0.2",
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(tmp_path / "gradio"),
        "PYTHONPATH": os.pathsep.join(map(str, (STANDIN, PROGRAMS, REPOSITORY))),
    }

    def start(arguments: list[str | Path], **more: str) -> AbstractContextManager[subprocess.Popen[str]]:
        return process_in(tmp_path, arguments, {**environment, **own, **more})

    return start


Run = Callable[..., str]


@pytest.fixture
def run(start: Start, tmp_path: Path) -> Run:
    """``run([...])``: a program that ends well; gives what it said on stderr."""

    def run(arguments: list[str | Path], **more: str) -> str:
        with start(arguments, **more) as process:
            code = process.wait(PATIENCE)
        said = (tmp_path / "stderr").read_text()
        assert code == 0, said
        assert "CacheWarning" not in said
        return said

    return run


def figures(said: str) -> dict[str, Any]:
    """What the command says at the end, without times and what is zero."""
    return _counted(json.loads(said.splitlines()[-1]))


def _counted(shown: dict[str, Any]) -> dict[str, Any]:
    assert shown.pop("seams").get("voices", 0) == sum(shown["hits"].values())
    assert shown.pop("classes")
    return {name: number for name, number in shown.items() if number and not name.endswith("seconds")}


def test_an_upstream_script(run: Run, hub_environment: dict[str, str], voice: Path, tmp_path: Path) -> None:
    said = run([*COUNTED, PROGRAMS / "script.py", voice, voice], **hub_environment)
    assert figures(said) == {"processes": 1, "hits": {"memory": 1}, "misses": 1}
    spoken = [soundfile.read(tmp_path / f"test-{number}.wav")[0] for number in (0, 1)]
    assert len(spoken[0])
    assert (spoken[0] == spoken[1]).all()


def test_a_program_that_imports_inside_a_function_and_the_next_one(run: Run, voice: Path) -> None:
    assert figures(run([*COUNTED, PROGRAMS / "threads.py", voice])) == {
        "processes": 1,
        "hits": {"memory": 2},
        "misses": 1,
    }
    said = run([*COUNTED, "-m", "inside", voice])
    assert figures(said) == {"processes": 1, "hits": {"disk": 1, "memory": 1}, "mismatches": 2}
    assert json.loads(said.splitlines()[-1])["saved_seconds"] != 0  # on a busy machine a hit may take longer than 0.2 s
    assert "ExaggerationMismatchWarning: The voice was prepared with exaggeration=0.7" in said


def test_threads(run: Run, voice: Path, other_voice: Path) -> None:
    said = run([*COUNTED, PROGRAMS / "threads.py", voice, other_voice])
    assert figures(said) == {"processes": 1, "hits": {"memory": 4}, "misses": 2}


def test_a_process_pool(run: Run, voice: Path) -> None:
    shown = figures(run([*COUNTED, PROGRAMS / "pool.py", voice, voice]))
    assert sum(shown.pop("hits").values()) == 3
    assert shown.pop("processes") in (1, 2)  # one worker may be quick enough for all
    assert shown == {"misses": 1}


def test_a_server_with_two_workers(start: Start, voice: Path, tmp_path: Path) -> None:
    port = _free_port()
    uvicorn = Path(sys.executable).with_name("uvicorn")
    arguments = [*COUNTED, "--", uvicorn, "server:app", "--workers", "2", "--port", str(port), "--log-level", "warning"]
    with start(arguments) as process, ThreadPoolExecutor(2) as pool:
        _wait_for(port, process)
        answers: list[str] = []
        # One after the other, so that the second finds the first worker busy and goes to the other.
        while len(set(answers)) < 2 and len(answers) < 20:
            first = pool.submit(_speak, port, voice)
            time.sleep(0.5)
            answers += [pool.submit(_speak, port, voice).result(), first.result()]
        answers += [_speak(port, voice) for _ in range(2)]
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert len(set(answers)) == 2, answers
    assert figures((tmp_path / "stderr").read_text()) == {
        "processes": 2,
        "hits": {"disk": 1, "memory": len(answers) - 2},
        "misses": 1,
    }


def test_a_gradio_app_with_uploaded_files(start: Start, voice: Path, tmp_path: Path) -> None:
    from gradio_client import Client, handle_file

    port, report = _free_port(), tmp_path / "report"
    report.mkdir()
    with start(
        [sys.executable, PROGRAMS / "gradio_app.py", str(port)], CHATTERBOX_CACHED="1", **{REPORT: str(report)}
    ) as process:
        _wait_for(port, process)
        client = Client(f"http://127.0.0.1:{port}", verbose=False, download_files=str(tmp_path / "downloads"))
        uploads = [Path(shutil.copy(voice, tmp_path / f"upload-{number}.wav")) for number in (1, 2)]
        answers = [client.predict("Hello.", handle_file(upload), api_name="/generate") for upload in uploads]
        client.close()
    assert answers[0][1] != answers[1][1]  # where the app found the voice
    assert all(Path(spoken).stat().st_size > 500 for spoken, _ in answers)
    assert _counted(Report(str(report)).figures()) == {"processes": 1, "hits": {"memory": 1}, "misses": 1}


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def _wait_for(port: int, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.2)
    pytest.fail("nothing listens")


def _speak(port: int, voice: Path) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/speak", voice.read_bytes())
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE) as answer:
        found = re.search(rb'"process":(\d+),"samples":[1-9]', answer.read())
    assert found is not None
    return found[1].decode()
