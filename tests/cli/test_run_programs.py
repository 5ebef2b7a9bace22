"""Unchanged programs, as real processes with the real chatterbox-tts, have the cache on."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chatterbox_cached import rehearsal
from chatterbox_cached.report import REPORT, Report

from .conftest import COMMAND, REPOSITORY

PROGRAMS = Path(__file__).parent / "programs"
RUN = [str(COMMAND), "run"]
STATS = [*RUN, "--stats"]
PATIENCE = 300.0  # seconds

# The weights in the hub folder are of a short T3. Loaded by its path, so that the package is not there before its time.
SHORTEN = f"""
from importlib.util import module_from_spec, spec_from_file_location

spec = spec_from_file_location("rehearsal", {rehearsal.__file__!r})
module = module_from_spec(spec)
spec.loader.exec_module(module)
module.shorten()
"""

Start = Callable[..., "contextlib.AbstractContextManager[subprocess.Popen[str]]"]


@pytest.fixture
def start(environment: dict[str, str], hub: Path, tmp_path: Path) -> Start:
    """``with start([...]) as process``: in a folder of its own; killed if it does not end."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SHORTEN)
    own = {
        "HF_HUB_CACHE": str(hub),
        "HF_HUB_OFFLINE": "1",
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(tmp_path / "gradio"),
        "PYTHONPATH": os.pathsep.join(map(str, (tmp_path / "site", PROGRAMS, REPOSITORY))),
    }

    @contextlib.contextmanager
    def start(arguments: list[str | Path], **more: str) -> Iterator[subprocess.Popen[str]]:
        with (tmp_path / "stderr").open("w+") as stderr:
            process = subprocess.Popen(
                list(map(str, arguments)), env={**environment, **own, **more}, cwd=tmp_path, stderr=stderr, text=True
            )
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()

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


def figures(said: str) -> dict[str, str]:
    """The rows of the summary: ``{"hits": "2 disk: 1, memory: 1", ...}``."""
    rows = said[said.index("chatterbox-cached: voices asked for: ") :].splitlines()[1:]
    return {
        name: re.sub(r"prepared in .* s", "", rest).strip() for name, rest in (row.split(maxsplit=1) for row in rows)
    }


def test_an_upstream_script(run: Run, voice: Path, tmp_path: Path) -> None:
    said = run([*STATS, PROGRAMS / "script.py", voice, voice])
    assert figures(said) == {"hits": "1  memory: 1", "misses": "1", "bypasses": "0"}
    spoken = [(tmp_path / f"test-{number}.wav").read_bytes() for number in (0, 1)]
    assert spoken[0] == spoken[1]

    # In the next run from disk, this time by the environment alone.
    (tmp_path / "report").mkdir()
    run([sys.executable, PROGRAMS / "script.py", voice], CHATTERBOX_CACHED="1", **{REPORT: str(tmp_path / "report")})
    assert figures(str(Report(str(tmp_path / "report")))) == {"hits": "1  disk: 1", "misses": "0", "bypasses": "0"}
    assert (tmp_path / "test-0.wav").read_bytes() == spoken[0]


def test_an_import_inside_a_function(run: Run, voice: Path) -> None:
    said = run([*STATS, "-m", "inside", voice])
    assert figures(said) == {
        "hits": "1  memory: 1",
        "misses": "1",
        "bypasses": "0",
        "mismatches": "2  of exaggeration",
    }
    assert "ExaggerationMismatchWarning: The voice was prepared with exaggeration=0.7" in said


def test_threads(run: Run, voice: Path, other_voice: Path) -> None:
    said = run([*STATS, PROGRAMS / "threads.py", voice, other_voice])
    assert figures(said) == {"hits": "4  memory: 4", "misses": "2", "bypasses": "0"}


def test_a_process_pool(run: Run, voice: Path) -> None:
    shown = figures(run([*STATS, PROGRAMS / "pool.py", voice, voice]))
    assert (shown["hits"].split()[0], shown["misses"], shown["bypasses"]) == ("3", "1", "0")


def test_a_server_with_two_workers(start: Start, voice: Path, tmp_path: Path) -> None:
    port = _free_port()
    uvicorn = Path(sys.executable).with_name("uvicorn")
    arguments = [*STATS, "--", uvicorn, "server:app", "--workers", "2", "--port", str(port), "--log-level", "warning"]
    with start(arguments) as process, ThreadPoolExecutor(2) as pool:
        _wait_for(port, process)
        answers: list[str] = []
        # One after the other, so that the second finds the first worker busy and goes to the other.
        while len(set(answers)) < 2 and len(answers) < 20:
            first = pool.submit(_speak, port, voice)
            time.sleep(0.5)
            answers += [pool.submit(_speak, port, voice).result(), first.result()]
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert len(set(answers)) == 2, answers
    shown = figures((tmp_path / "stderr").read_text())
    assert (shown["misses"], shown["bypasses"]) == ("1", "0")
    assert shown["hits"].split()[0] == str(len(answers) - 1)
    assert "disk: 1" in shown["hits"]


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
    assert all(Path(spoken).stat().st_size > 1000 for spoken, _ in answers)
    assert figures(str(Report(str(report)))) == {"hits": "1  memory: 1", "misses": "1", "bypasses": "0"}


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
